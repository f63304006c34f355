"""Gold in is gold out: each format that is written gives back what was written, or a problem."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groot.data import READERS, read_examples
from groot.data.settings import WriteSettings
from groot.data.written import word_spans
from groot.errors import DataError
from groot.targets.words import split_words
from groot.types import Example, Span

WRITTEN = [name for name in READERS if READERS[name].write]
# formats whose texts are words joined by single spaces
OF_WORDS = {"columns", "gliner"}
# said, as a few random words may look like anything
SAID = {
    "columns": {"word_column": 0, "tag_column": 1, "separator": "\t", "scheme": "IOB2"},
    "conllu": {"scheme": "IOB2"},
    "jsonl": {"task": "spans"},
    "doccano": {"task": "spans"},
    "parquet": {"task": "spans"},
}
WORDS = [
    "nina",
    "👍🏽",
    "東京",
    "café",
    "cafe\u0301",
    "#",
    "-DOCSTART-",
    "x|y",
    "O",
    '"a"',
    "5",
    "_",
    "\\n",
]
BETWEEN = [" ", " ", "  ", "\t", "\n", "\u00a0", ""]
LABELS = ["PER", "Full name", "B-x", "a|b", "ünï", "O", "_", "x=y", "*"]


@st.composite
def examples(draw):
    """Texts of odd words with spans over words; ids are their numbers."""
    made = []
    for number in range(draw(st.integers(1, 4))):
        pieces = draw(
            st.lists(
                st.tuples(st.sampled_from(WORDS), st.sampled_from(BETWEEN)), min_size=1, max_size=8
            )
        )
        text = "".join(word + between for word, between in pieces).rstrip()
        words, starts = split_words(text)
        spans = []
        place = 0
        while place < len(words):
            length = draw(st.integers(1, 3))
            label = draw(st.sampled_from([None, *LABELS]))
            behind = min(place + length, len(words))
            if label is not None:
                start, end = starts[place], starts[behind - 1] + len(words[behind - 1])
                spans.append(Span(start, end, label, text[start:end]))
            place = behind
        made.append(
            Example(text, words, starts, tuple(spans), id=str(number), source=f"made:{number}")
        )
    return made


def said(name, example):
    """What a format gives back: places in the text, or of words where the text is not kept."""
    if name in OF_WORDS:
        return example.words, tuple(word_spans(example))
    return example.text, tuple((span.start, span.end, span.label) for span in example.spans)


@pytest.mark.parametrize("name", WRITTEN)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(made=examples())
def test_spans_come_back(tmp_path_factory, name, made):
    path = tmp_path_factory.mktemp("round") / f"out-{name}"
    problems = READERS[name].write(made, path, WriteSettings())
    left_out = {problem.source for problem in problems}
    kept = [example for example in made if example.source not in left_out]
    assert len(left_out) == len(problems)
    assert all(problem.reason for problem in problems)
    if not kept:
        return
    result = read_examples(path, format=name, **SAID.get(name, {}))
    assert not result.problems
    assert [said(name, example) for example in result.examples] == [
        said(name, example) for example in kept
    ]


@pytest.mark.parametrize("name", ["jsonl", "doccano", "prodigy", "spacy", "labelstudio", "parquet"])
def test_classes_come_back(tmp_path, name):
    made = [
        Example(text, *split_words(text), classes=classes, id=str(i), source=f"made:{i}")
        for i, (text, classes) in enumerate(
            [("a b", ("x",)), ("👍 c", ("x", "y z")), ("d", ("y z",))]
        )
    ]
    path = tmp_path / "out.json"
    assert READERS[name].write(made, path, WriteSettings()) == []
    result = read_examples(path, format=name)
    assert [(example.text, example.classes) for example in result.examples] == [
        (example.text, example.classes) for example in made
    ]


@pytest.mark.parametrize("name", [name for name in WRITTEN if name not in OF_WORDS])
def test_a_written_file_is_recognised(tmp_path, name):
    texts = [f"nina {i} sings in oslo" for i in range(12)]
    made = [
        Example(
            text, *split_words(text), (Span(0, 4, "PER", "nina"),), id=str(i), source=f"made:{i}"
        )
        for i, text in enumerate(texts)
    ]
    path = tmp_path / "out"
    READERS[name].write(made, path, WriteSettings())
    result = read_examples(path)
    assert [example.spans for example in result.examples] == [example.spans for example in made]


def test_offsets_in_utf16_come_back(tmp_path):
    text = "👍 nina"
    made = [
        Example(text, *split_words(text), (Span(2, 6, "PER", "nina"),), id="1", source="made:1")
    ]
    for name in ("jsonl", "doccano", "labelstudio"):
        path = tmp_path / f"{name}.json"
        READERS[name].write(made, path, WriteSettings(offset_unit="utf16"))
        assert "3" in json.dumps(path.read_text())
        more = {"offset_unit": "utf16"} if name == "doccano" else {}
        assert read_examples(path, format=name, **more).examples[0].spans == made[0].spans


def test_label_studios_units_are_told_by_the_texts(tmp_path):
    value = {"start": 3, "end": 7, "text": "nina", "labels": ["PER"]}
    task = {
        "data": {"text": "👍 nina"},
        "annotations": [{"result": [{"type": "labels", "value": value}]}],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps([task]))
    result = read_examples(path)
    assert result.examples[0].spans[0].text == "nina"
    assert result.reading.parts["offsets"] == "utf16"
    with pytest.raises(DataError, match="lies outside the text"):
        read_examples(path, offset_unit="codepoint")
