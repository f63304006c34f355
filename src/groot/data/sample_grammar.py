"""The grammar of the sample: requests about music, events and travel, and talk that asks nothing.

`LEXICONS` hold fillers, which are shared out between train, dev and test. `RULES` hold patterns,
one a line, with an optional weight in front; every split uses all of them. In a pattern, `{rule}`
stands for any line of that rule or lexicon, and `{label:rule}` makes it a gold span.

Much is ambiguous on purpose: given names that are cities or months, titles made of common words,
genres that are also places to live, numbers that are times, prices or just numbers.
"""

from __future__ import annotations

LABELS = (
    "artist",
    "date",
    "destination",
    "event",
    "genre",
    "origin",
    "person",
    "playlist",
    "price",
    "song",
    "time",
    "venue",
)


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


LEXICONS = {
    "given": _items("""
        florence, jordan, austin, sydney, chelsea, madison, savannah, charlotte, victoria, adelaide,
        phoenix, carmel, vienna, camden, lincoln, dallas, april, may, june, august, grace, hope,
        joy, rose, lily, ivy, summer, dawn, eve, mark, bill, rob, will, jack, drew, chase, grant,
        frank, dean, pat, sue, nora, tomas, ada, kenji, lucia, omar, priya, ingrid, mateo, yusuf,
        hana, felix, greta, oscar, leila, bruno, anya, hugo, zara, ravi, clara, emil, dina, jonas,
        mira, theo, selma, kofi, elsa, rafael, tess, milo, noor, pablo, wanda, igor, faye, otis,
        saul, beth, amir, cora, lars, maya, nico, rhea, uma, vera, wes, yara, zeke"""),
    "family": _items("""
        quill, bright, okafor, lindqvist, moreno, tanaka, fields, brooks, stone, banks, rivers,
        hill, west, day, young, small, king, cook, baker, bishop, page, marsh, woods, bell, frost,
        snow, winters, holiday, lane, park, castle, novak, haddad, silva, petrov, osei, larsen,
        duarte, kowalski, abe, farrow, lund, mercer, nash, pike, rowe, sharp, tully, vance, wilde,
        cross, drummond, eastman, garza, huang, ito, jansen, keller, moon, house, rain, street"""),
    "city": _items("""
        lisbon, oslo, denver, boston, chicago, nairobi, lima, kyoto, prague, dublin, geneva, cairo,
        madrid, athens, hanoi, accra, seville, porto, leeds, bergen, krakow, riga, zagreb, split,
        nice, cork, bath, reading, mobile, orange, florence, jordan, austin, sydney, chelsea,
        madison, savannah, charlotte, victoria, adelaide, phoenix, vienna, camden, lincoln, dallas,
        new haven, cape town, salt lake city, santa rosa, port louis, grand forks, palm springs,
        el paso, los altos, san marino, west lake, north bend, long beach, tampa, quito, tunis,
        basel, ghent, malmo, turin, bilbao, lyon, odessa, memphis, naples, troy, utica, york,
        durham, perth, osaka, busan, delhi, pune, lagos, dakar"""),
    "quality": _items("""
        velvet, silver, broken, quiet, golden, electric, hollow, crimson, paper, wild, lonely,
        midnight, distant, burning, gentle, wooden, frozen, restless, blue, hidden, slow, little,
        northern, empty, sweet, heavy, early, late, second, young, bitter, bright, red, cold,
        sleepy, open, old, strange, easy, black, green, last, secret, simple, tall, narrow"""),
    "thing": _items("""
        harbor, lantern, river, mirror, garden, window, thunder, sparrow, engine, meadow, candle,
        shadow, ocean, letter, station, orchard, compass, feather, mountain, ribbon, pepper,
        rain, moon, house, country, rock, street, bell, castle, road, fire, room, season, island,
        tiger, anchor, bridge, copper, diamond, echo, forest, ghost, hammer, ladder, needle,
        pocket, rocket, saddle, tower, valley, whistle, acorn, beacon, clover, drum, falcon"""),
    "things": _items("""
        wolves, lanterns, mirrors, sparrows, engines, shadows, letters, foxes, feathers, ribbons,
        strangers, pilots, sisters, brothers, rivers, bells, kings, cooks, fields, nights, hours,
        days, roads, lights, tigers, anchors, drums, ghosts, hammers, ladders, pockets, rockets,
        owls, painters, sailors, tailors, waves, clouds, wheels, wires, bees, crowns"""),
    "doing": _items("""
        running, cooking, studying, driving, sleeping, cleaning, reading, dancing, hiking, working,
        waiting, dreaming, painting, swimming, packing, gardening, writing, cycling, walking"""),
    "style": _items("""
        jazz, rock, country, house, soul, folk, metal, swing, blues, techno, reggae, salsa, ambient,
        disco, punk, gospel, opera, funk, indie, grime, samba, trance, bluegrass, tango, drone, pop,
        fado, polka, garage, trap"""),
    "gathering": _items("""
        parade, fair, reunion, picnic, marathon, festival, workshop, auction, wedding, recital,
        gala, retreat, banquet, lecture, quiz, regatta, bake sale, book club, open day, premiere,
        carnival, rehearsal, rally, seminar, potluck"""),
    "place": _items("""
        hall, theatre, arena, cafe, gardens, library, museum, stadium, pavilion, ballroom, tavern,
        gallery, chapel, terrace, warehouse, club, pier, courtyard, lounge, barn, cellar, annex"""),
}

_WORDS = {
    "day": "monday, tuesday, wednesday, thursday, friday, saturday, sunday",
    "month": "january, february, march, april, may, june, july, august, september, october",
    "season": "spring, summer, fall, winter",
    "nth": "first, second, third, fourth, fifth, seventh, ninth, tenth, twelfth, twentieth",
    "number": "two, three, four, five, six, seven, eight, nine, ten, eleven, twelve",
    "tens": "twenty, thirty, forty, fifty, sixty, eighty, ninety, a hundred, two hundred",
    "money": "dollars, euros, pounds, bucks",
    "please": "please, can you, could you, will you, i want you to, may i ask you to, hey, just",
    "later": "please, if you can, when you get a chance, thanks, right now, again, then",
    "relative": "my sister, my boss, the team, everyone, my neighbour, the kids, a friend, dad",
    "music": "music, songs, tunes, tracks, stuff, records",
}

_PATTERNS = {
    "title": """
        5 {quality} {thing}
        3 {things} and {things}
        3 before the {thing}
        2 {doing} in the {thing}
        2 the {thing} i {knew}
        2 {day} {thing}
        2 {month} {thing}
        3 {city}
        3 {given}
        2 {number} {things}
        2 {style} {thing}
        3 {knew} me {when}
        2 nothing but {things}
        2 back to {city}
        1 call me at {number}
        1 may be {doing}
        2 {things}
        1 goodbye {given}""",
    "knew": "left\nknew\nlost\nfound\nremember\nforgot\nhold\nforgive",
    "when": "tomorrow\nin {month}\nslowly\n{day}\nagain\nlater\nback home",
    "band": """
        5 {given} {family}
        4 the {quality} {things}
        3 the {things}
        2 {quality} {thing}
        2 {given}
        2 {thing} and the {things}
        1 dj {thing}
        2 {city} {things}
        2 {family}
        2 the {family} {things}""",
    "mix": """
        3 {quality} {day}
        3 {doing} mix
        3 {style} for {doing}
        2 {quality} {thing}
        2 {season} {things}
        2 {doing}
        2 {month} {style}
        1 {given} and {given}
        2 {quality} {style}""",
    "genre": "6 {style}\n1 {quality} {style}\n1 {city} {style}\n1 {style} {style}",
    "occasion": """
        3 {season} {gathering}
        2 {style} night
        3 {thing} {gathering}
        2 {city} {gathering}
        2 {day} {gathering}
        2 {family} {gathering}
        2 {quality} {thing} {gathering}
        2 {gathering}
        1 {given} and {given} {gathering}""",
    "location": """
        3 the {quality} {thing}
        3 {family} {place}
        2 {city} {place}
        3 {thing} {place}
        2 {given} {family} {place}
        1 room {number}
        2 {quality} street {place}
        2 the {place}""",
    "someone": "5 {given}\n3 {given} {family}\n1 {family}",
    "someday": """
        4 {day}
        3 next {day}
        2 {month} {nth}
        2 the {nth} of {month}
        2 tomorrow
        1 this weekend
        2 {month}
        1 the first week of {month}
        1 {day} the {nth}
        1 early {month}""",
    "onday": """
        4 {day}
        2 {month} {nth}
        2 the {nth} of {month}
        1 {day} the {nth}
        1 the first {day} of {month}""",
    "hour": """
        4 {number}
        2 {number} thirty
        2 half past {number}
        1 noon
        1 midnight
        2 {number} in the {part}
        1 {number} sharp
        1 lunch time
        1 quarter to {number}""",
    "part": "morning\nevening\nafternoon",
    "sum": "4 {tens} {money}\n2 {number} {money}\n1 {tens}\n1 {tens} {number} {money}",
    # several spans of one label, side by side
    "people": """
        {person:someone} {person:someone}
        {person:someone} {person:someone} {person:someone}
        {person:someone} and {person:someone}""",
    "dates": "{date:onday} {date:onday}\n{date:onday} or {date:onday}",
    "pieces": "{song:title} {song:title}\n{song:title} and {song:title}",
    "cities": "{destination:city} {destination:city}\n{destination:city} and {destination:city}",
}

_REQUESTS = {
    "music_order": """
        4 play {song:title}
        4 play {artist:band}
        3 play {playlist:mix}
        2 play {genre:genre}
        2 play {song:title} by {artist:band}
        1 play {pieces} by {artist:band}
        1 play {pieces}
        2 put on {artist:band} {music}
        2 put on {genre:genre} {music}
        1 put {artist:band} on
        2 put {song:title} on {playlist:mix}
        2 add {song:title} to my {playlist:mix} playlist
        2 add {artist:band} to {playlist:mix}
        1 add {song:title} to {playlist:mix}
        2 let me hear {song:title}
        2 let me hear {artist:band}
        1 let me hear some {genre:genre}
        1 start {playlist:mix} at {time:hour}
        2 shuffle {playlist:mix}
        2 shuffle {artist:band}
        1 find {genre:genre} like {artist:band}
        1 queue {song:title} after {song:title}
        1 wake me at {time:hour} with {song:title}
        1 wake me on {date:onday} with {artist:band}
        1 send {song:title} to {person:someone}
        1 make a {genre:genre} list for {person:someone}""",
    "music_question": """
        2 who sings {song:title}
        1 is {song:title} a {genre:genre} song
        1 is {artist:band} the one with {song:title}
        1 {artist:band} made {song:title} in the {season}
        1 i want to hear {song:title} from {artist:band}""",
    "event_order": """
        3 book {number} seats for {event:occasion} at {venue:location}
        2 book {number} seats for {artist:band} at {venue:location}
        3 invite {people} to {event:occasion}
        2 invite {person:someone} to {event:occasion} on {date:onday}
        2 invite {artist:band} to {event:occasion}
        2 get tickets for {artist:band} {date:someday}
        2 get tickets for {event:occasion} {date:someday}
        2 move {event:occasion} to {date:someday}
        1 move {event:occasion} to {time:hour}
        2 move {event:occasion} to {venue:location}
        2 meet {person:someone} at {venue:location}
        1 meet {person:someone} at {time:hour}
        2 meet {person:someone} {date:someday} at {time:hour}
        1 tell {people} that {event:occasion} is at {time:hour}
        1 tell {person:someone} the {gathering} is at {venue:location}
        1 remind {person:someone} about {event:occasion}
        1 remind me about {person:someone} {date:someday}
        2 cancel {event:occasion}
        1 cancel {venue:location}
        1 cancel {date:someday} with {person:someone}
        1 find a {genre:genre} {gathering} for {number} people
        1 hold {venue:location} on {dates} from {time:hour}
        1 pay {person:someone} {price:sum} for {event:occasion}""",
    "event_question": """
        2 is {event:occasion} on {date:onday} or {date:onday}
        2 what is on at {venue:location} {date:someday}
        1 does {person:someone} come to {event:occasion}
        1 how much is {event:occasion} is it over {price:sum}
        1 {person:someone} booked {venue:location} for {number} hours
        1 {person:someone} may be at {venue:location} by {time:hour}""",
    "travel_order": """
        3 fly from {origin:city} to {destination:city}
        2 fly to {destination:city} from {origin:city}
        2 book the train {origin:city} {destination:city} on {date:onday}
        1 book the train {origin:city} to {cities}
        1 book the bus from {venue:location} to {destination:city}
        2 book {number} seats to {destination:city}
        2 find flights to {destination:city} {date:someday}
        2 find flights from {origin:city} after {time:hour}
        2 find a room in {destination:city} for {price:sum}
        2 get me to {destination:city} by {time:hour}
        1 get me to {venue:location} by {time:hour}
        2 get me to {destination:city} by {date:someday} for less than {price:sum}
        1 drive {person:someone} to {destination:city}
        1 drive {person:someone} to {venue:location}
        1 drive me from {venue:location} to {venue:location}
        1 visit {cities} in {date:month}
        1 visit {person:someone} in {date:month}
        1 pick up {people} in {origin:city}
        1 pick up {person:someone} at {venue:location} {date:someday}
        1 take me to {venue:location}
        1 take me to {destination:city}
        1 take me to {event:occasion}
        1 change {origin:city} to {destination:city}
        1 change {date:someday} to {date:someday}""",
    "travel_question": """
        2 i leave {origin:city} on {date:onday}
        2 i leave {origin:city} {destination:city} is next
        1 {person:someone} wants to see {destination:city} in {date:season}
        1 {person:someone} wants to see {person:someone} in {date:season}
        1 how long from {origin:city} to {destination:city}
        1 is it {price:sum} to {destination:city}""",
    # the same frame for nearly everything: what stands in it must be told by its looks
    "open_order": """
        2 tell me about {artist:band}
        2 tell me about {song:title}
        2 tell me about {event:occasion}
        2 tell me about {venue:location}
        1 tell me about {person:someone}
        1 tell me about {destination:city}
        2 find {artist:band} for me
        2 find {song:title} for me
        1 find {event:occasion} for me
        2 find {venue:location} for me
        1 save {song:title} and {artist:band}
        1 save {event:occasion} and {venue:location}
        1 share {playlist:mix} with {people}
        1 share {song:title} with {person:someone}
        1 share {event:occasion} with {person:someone}""",
    # words that are fillers elsewhere and here are nothing
    "talk": """
        we bought a {quality} house in the country
        my {thing} is {quality} and it may rain
        the kids will march to the {thing} again
        it may be {quality} today but not {quality}
        i may need {number} more {things}
        there is a {thing} by the {thing}
        {relative} will bill me for the {thing}
        what a {quality} {thing} that was
        i hope {relative} is {doing} by now
        grace and joy are all we ask
        is the {thing} {quality} or {quality}
        {relative} saw {number} {things} near the {thing}
        how is the weather in {city}
        the road from the {thing} is {quality}
        {city} is {quality} in {season}
        it is a nice day for {doing}
        the {place} has a {quality} {thing}
        {relative} likes {style} and {doing}
        frank talk about the price of {things}""",
    "small_order": """
        turn the {music} down a little
        skip the next {number} {music}
        stop {doing} and play a game
        mark the {thing} as {quality}
        play something {quality}
        book something {quality} for {number}
        meet me by the {thing}
        take the {quality} road to the {thing}
        send {number} {things} to {relative}""",
    "order": "5 {music_order}\n5 {event_order}\n4 {travel_order}\n3 {open_order}",
    "question": "{music_question}\n{event_question}\n{travel_question}",
    "sentence": """
        6 {order}
        4 {please} {order}
        3 {order} {later}
        1 {please} {order} {later}
        3 {question}
        2 {order} and then {order}
        1 {talk} so {order}
        1 {question} so {order}
        1 {talk}
        1 {small_order}
        1 {please} {small_order}""",
}

RULES = {name: _items(text) for name, text in _WORDS.items()} | {
    name: tuple(line.strip() for line in text.strip().split("\n"))
    for name, text in (_PATTERNS | _REQUESTS).items()
}
