"""Files with something wrong: every row is used or reported, and no other meaning comes unwarned.

A seeded script breaks good files in the ways that people's files are broken. GROOT_MUTATED says how
many; `make mutated` tries 1,000.
"""

import json
import os
import random
from collections import Counter

import pytest

from groot.data import read_examples
from groot.errors import DataError

N_FILES = int(os.environ.get("GROOT_MUTATED", "120"))
PEOPLE = ("Anna Berg", "Tomás Li", "Ruth Okoro", "Ben Côté", "Ida Sand", "Leo Marsh")
PLACES = ("Oslo", "Lima", "Málaga", "Porto", "Quito", "Turin", "Zürich")
N_ROWS = 30


def trips():
    """Words, tags, spans and class of made-up sentences; every text is another."""
    for i in range(N_ROWS):
        first, last = PEOPLE[i % 6].split()
        place = PLACES[i * 5 % 7]
        words = [first, last, "flew", "to", place, "with", f"bag{i}", "."]
        tags = ["B-PER", "I-PER", "O", "O", "B-LOC", "O", "O", "O"]
        text = " ".join(words)
        spans = [[0, len(PEOPLE[i % 6]), "PER"], [text.index(place), 0, "LOC"]]
        spans[1][1] = spans[1][0] + len(place)
        yield words, tags, text, spans, ["travel", "move"][i % 2]


TRIPS = list(trips())
SPANS = {
    text: sorted((text[a:b], label) for a, b, label in spans) for _, _, text, spans, _ in TRIPS
}
CLASSES = {text: [name] for _, _, text, _, name in TRIPS}


def blocks(line):
    return "\n".join(
        "".join(
            line(n, word, tag) + "\n"
            for n, (word, tag) in enumerate(zip(words, tags, strict=True), start=1)
        )
        for words, tags, *_ in TRIPS
    )


def rows(row):
    return "".join(json.dumps(row(*trip), ensure_ascii=False) + "\n" for trip in TRIPS)


def labelled(words, tags, text, spans, name):
    return {"text": text, "label": spans}


def task(words, tags, text, spans, name):
    values = [{"start": a, "end": b, "text": text[a:b], "labels": [label]} for a, b, label in spans]
    return {
        "data": {"text": text},
        "annotations": [{"result": [{"type": "labels", "value": v} for v in values]}],
    }


def table(mark, header):
    lines = [mark.join(header)] if header else []
    return "".join(
        line + "\n" for line in [*lines, *(f"{text}{mark}{name}" for *_, text, _, name in TRIPS)]
    )


# name -> content, the gold of each text, and what parts its columns (None: it has none)
SOURCES = {
    "a.conll": (blocks(lambda n, word, tag: f"{word}\t{tag}"), SPANS, "\t"),
    "b.conll": (blocks(lambda n, word, tag: f"{word} NNP I-NP {tag}"), SPANS, " "),
    "c.tsv": (blocks(lambda n, word, tag: f"{n}\t{word}\t{tag}"), SPANS, "\t"),
    "d.csv": (table(",", ("text", "label")), CLASSES, ","),
    "e.tsv": (table("\t", ("sentence", "label")), CLASSES, "\t"),
    "f.csv": (table(";", ()), CLASSES, ";"),
    "g.jsonl": (rows(labelled), SPANS, None),
    "h.jsonl": (rows(lambda w, t, text, s, name: {"text": text, "label": name}), CLASSES, None),
    "i.jsonl": (rows(lambda w, tags, text, s, n: {"tokens": w, "ner_tags": tags}), SPANS, None),
    "j.json": (
        json.dumps([labelled(*trip) for trip in TRIPS], ensure_ascii=False, indent=1),
        SPANS,
        None,
    ),
    "k.json": (
        json.dumps([task(*trip) for trip in TRIPS], ensure_ascii=False, indent=1),
        SPANS,
        None,
    ),
    "l.txt": (
        "\n".join(
            f"{i}|t|{text}\n{i}|a|\n"
            + "".join(f"{i}\t{a}\t{b}\t{text[a:b]}\t{label}\t-\n" for a, b, label in spans)
            for i, (_, _, text, spans, _) in enumerate(TRIPS)
        ),
        SPANS,
        None,
    ),
    "m.conllu": (
        blocks(lambda n, word, tag: f"{n}\t{word}\t_\t_\t_\t_\t_\t_\t_\tNER={tag}") + "\n",
        SPANS,
        None,
    ),
}


def swap_columns(text, mark, draw):
    if mark is None:
        return text
    lines = text.split("\n")
    n = max(line.count(mark) for line in lines) + 1
    order = draw.sample(range(n), n)
    swapped = []
    for line in lines:
        cells = line.split(mark)
        swapped.append(mark.join(cells[i] for i in order) if len(cells) == n else line)
    return "\n".join(swapped)


def drop_header(text, mark, draw):
    return text.partition("\n")[2]


def other_separator(text, mark, draw):
    return text if mark is None else text.replace(mark, draw.choice(["\t", ";", "|", "  ", ","]))


def add_comments(text, mark, draw):
    lines = text.split("\n")
    for _ in range(draw.randint(1, 3)):
        comment = draw.choice(["# a note", "# id 7 domain=en", "#note", "# see, this", "# a\tb"])
        lines.insert(draw.randrange(len(lines)), comment)
    return "\n".join(lines)


def cut_end(text, mark, draw):
    place = draw.randrange(len(text) * 2 // 3, len(text))
    while text[place - 1] == "\n" or text[place] == "\n":  # a cut between lines leaves a good file
        place -= 1
    return text[:place]


MUTATIONS = (swap_columns, drop_header, other_separator, add_comments, cut_end)


def encoded(text, draw):
    """The bytes of a text: mostly UTF-8, else with other lines in it, or in another encoding."""
    kind = draw.choice(["utf-8"] * 4 + ["lines", "cp1252", "utf-16", "utf-8-sig"])
    if kind != "lines":
        return text.encode(kind)
    return b"\n".join(
        line.encode(draw.choice(["utf-8", "utf-8", "latin-1"])) for line in text.split("\n")
    )


def n_rows_in(name, data):
    """How many rows a file of lines has; None where that is not plain to see."""
    if not name.endswith((".jsonl", ".csv")) or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    return sum(bool(line.strip()) for line in data.split(b"\n"))


def meaning(example):
    if example.spans is not None:
        return sorted((span.text, span.label) for span in example.spans)
    return list(example.classes or ())


@pytest.mark.parametrize("seed", range(N_FILES))
def test_no_other_meaning_without_a_warning(tmp_path, seed):
    draw = random.Random(seed)
    name = draw.choice(list(SOURCES))
    text, gold, mark = SOURCES[name]
    for mutation in draw.sample(MUTATIONS, draw.choice([1, 1, 2])):
        text = mutation(text, mark, draw)
    path = tmp_path / name
    path.write_bytes(data := encoded(text, draw))
    try:
        result = read_examples(path)
    except DataError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert str(path) in message  # told, with the file's name
        return
    n_in = n_rows_in(name, data)
    if n_in is not None:
        has_header = name == "d.csv" and result.reading.parts.get("text", "").startswith("'")
        assert result.n_rows == n_in - has_header
    others = [example for example in result.examples if gold.get(example.text) != meaning(example)]
    is_warned = bool(result.reading.doubts or result.notes)
    assert not others or is_warned, (others[0].text, meaning(others[0]), str(result.reading))


def test_the_good_files_are_read_whole(tmp_path):
    for name, (text, gold, _) in SOURCES.items():
        (tmp_path / name).write_text(text)
        result = read_examples(tmp_path / name)
        assert {example.text: meaning(example) for example in result.examples} == gold, name
        assert not result.problems


def test_most_mutated_files_are_read(tmp_path):
    """Refusing everything would be no reading."""
    outcomes = Counter()
    for seed in range(60):
        draw = random.Random(seed)
        name = draw.choice(list(SOURCES))
        text, _, mark = SOURCES[name]
        text = draw.choice(MUTATIONS)(text, mark, draw)
        (tmp_path / name).write_text(text)
        try:
            outcomes["read"] += bool(read_examples(tmp_path / name).examples)
        except DataError:
            outcomes["told"] += 1
    assert outcomes["read"] > outcomes["told"]
