from pathlib import Path

import pytest

from groot.data import read_examples, read_splits
from groot.data.requests import request
from groot.types import Example, Span

SENTENCE = Example(
    "play nina simone in may",
    ("play", "nina", "simone", "in", "may"),
    (0, 5, 10, 17, 20),
    (Span(5, 16, "artist"), Span(20, 23, "month")),
    ("PlayMusic",),
)


def prompts(kind, example=SENTENCE, name="snips"):
    import dataclasses

    some = [dataclasses.replace(example, id=str(number)) for number in range(64)]
    return [request(name, one, kind) for one in some]


def test_wishes_say_the_intent_and_the_slots_of_the_sentence_or_less():
    found = [one.text for one in prompts("wishes")]
    assert set(found) == {"", "PlayMusic", "PlayMusic: artist, month"}
    assert found.count("PlayMusic: artist, month") > found.count("PlayMusic") > 0
    assert found == [one.text for one in prompts("wishes")]


def test_starts_are_words_of_the_sentence():
    found = {one.text for one in prompts("start")}
    assert found == {"", "play", "play nina", "play nina simone"}
    for one in prompts("start"):
        assert one.reference.startswith(one.text)
        ends = zip(one.word_starts, one.words, strict=True)
        assert all(one.text[start:].startswith(word) for start, word in ends)


def test_the_gold_is_the_sentence_alone():
    for kind in ("wishes", "start", "open"):
        for one in prompts(kind):
            assert one.gold == one.reference == SENTENCE.text
            assert one.columns == {"intent": "PlayMusic", "slots": ["artist", "month"]}
    assert {one.text for one in prompts("open")} == {""}


def test_a_set_without_classes_gives_its_subject():
    import dataclasses

    bare = dataclasses.replace(SENTENCE, classes=None, spans=())
    assert {one.text for one in prompts("wishes", bare, "mit_movie_trivia")} == {"", "movie"}


@pytest.fixture
def benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SNIPS and an ATIS of a few sentences, in their own formats."""
    for name, intent in (("snips", "PlayMusic"), ("atis", "flight#airfare")):
        for split, count in (("train", 5), ("valid", 2), ("test", 3)):
            folder = tmp_path / name / split
            folder.mkdir(parents=True)
            (folder / "seq.in").write_text("to rome\n" * count)
            (folder / "seq.out").write_text("O B-city\n" * count)
            (folder / "label").write_text(f"{intent}\n" * count)
    lines = "B-Actor\tnina\n\n"
    movie = tmp_path / "mit_movie_trivia"
    movie.mkdir()
    (movie / "trivia10k13train.bio").write_text(lines * 20)
    (movie / "trivia10k13test.bio").write_text(lines * 4)
    eat = tmp_path / "mit_restaurant"
    eat.mkdir()
    for split, count in (("train", 20), ("test", 4)):
        (eat / f"sent_{split}.txt").write_text("sushi please\n" * count)
        (eat / f"label_{split}.txt").write_text("B-Dish O\n" * count)
    monkeypatch.setenv("GROOT_DATA", str(tmp_path))
    return tmp_path


def test_the_four_benchmarks_are_read_as_one_set(benchmarks):
    splits = read_splits("requests")
    assert splits.test is not None
    sizes = [len(one.examples) for one in (splits.train, splits.dev, splits.test)]
    assert sizes == [5 + 5 + 18 + 18, 2 + 2 + 2 + 2, 3 + 3 + 4 + 4]
    assert {one.columns["intent"] for one in splits.train.examples} == {
        "PlayMusic", "flight and airfare", "movie", "restaurant"
    }  # fmt: skip
    ids = [one.id for one in splits.train.examples]
    assert len(set(ids)) == len(ids)


def test_snips_alone(benchmarks):
    found = read_examples("snips_requests_open:dev", task="text")
    assert [(one.text, one.reference) for one in found.examples] == [("", "to rome")] * 2
