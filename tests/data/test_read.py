from dataclasses import fields

import pytest

from groot.data import READERS, Problem, read_examples, read_splits
from groot.data.benchmarks import cut_dev
from groot.data.head import read_head
from groot.data.result import Reading, ReadResult
from groot.errors import ConfigError, DataError, UnknownNameError
from groot.types import Example

CONLL = "play\tO\nnina\tB-artist\n\n" * 12


@pytest.mark.parametrize("name", READERS)
def test_contract_of_readers(name, tmp_path):
    """Every reader takes a task, documents its file and settings, and raises DataError alone."""
    reader = READERS[name]
    assert reader.read.__doc__
    names = [field.name for field in fields(reader.settings)]
    assert "task" in names
    documented = "".join(kind.__doc__ for kind in reader.settings.__mro__[:-1])
    assert all(f"{setting}:" in documented for setting in names)
    for content in (b"", b"\n \n", b"\xff\xfe\x00\x01", b"\x00\x00", b"{", b"[", b"\x80 \x80\n"):
        path = tmp_path / "x.txt"
        path.write_bytes(content)
        assert 0 <= reader.looks_like(read_head(path)) <= 1
        with pytest.raises(DataError, match=r"x\.txt"):
            reader(path)
    with pytest.raises(DataError, match="missing"):
        reader(tmp_path / "missing.txt")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.conll", CONLL),
        ("a.txt", CONLL),
        ("a.tsv", CONLL),
        ("a.jsonl", '{"text": "play nina", "spans": [[5, 9, "artist"]]}\n'),
        ("a.txt", '{"text": "play nina", "spans": [[5, 9, "artist"]]}\n'),
    ],
)
def test_formats_are_found_out(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    result = read_examples(tmp_path / name)
    assert result.examples[0].spans[0].text == "nina"
    assert result.where == str(tmp_path / name)


def test_what_cannot_be_read_says_what_to_do(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"abc")
    (tmp_path / "empty.conll").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for where, reason in (
        (tmp_path / "x.bin", "format of this file is not clear.*\n.*format=..."),
        (tmp_path / "missing.conll", "does not exist.*\n.*Check the path"),
        (tmp_path / "empty.conll", "the file is empty"),
        (tmp_path / "folder", "no data found in this folder"),
        ("nul\x00.conll", "cannot be read"),
    ):
        with pytest.raises(DataError, match=reason):
            read_examples(where)


def test_settings_are_checked_with_the_nearest_name(tmp_path):
    (tmp_path / "a.conll").write_text(CONLL)
    with pytest.raises(ConfigError, match=r"no setting 'tag_colum'\. Did you mean 'tag_column'"):
        read_examples(tmp_path / "a.conll", tag_colum=1)
    with pytest.raises(ConfigError, match="task='span': want one of spans, classes, text"):
        read_examples(tmp_path / "a.conll", task="span")
    with pytest.raises(UnknownNameError, match="Did you mean 'jsonl'"):
        read_examples(tmp_path / "a.conll", format="json")
    with pytest.raises(ConfigError, match="takes no settings"):
        read_examples("sample", scheme="IOB1")


def test_a_folder_of_splits(tmp_path):
    for name in ("train.conll", "valid.conll", "test.conll"):
        (tmp_path / name).write_text(CONLL)
    splits = read_splits(tmp_path)
    assert [len(r.examples) for r in (splits.train, splits.dev, splits.test)] == [12, 12, 12]
    assert splits.dev.examples[0].id == "valid:1"
    assert not splits.is_dev_cut
    (tmp_path / "test.conll").unlink()
    assert read_splits(tmp_path).test is None
    with pytest.raises(DataError, match="has no test set"):
        read_examples(tmp_path, split="test")


def test_dev_is_every_tenth_example(tmp_path):
    (tmp_path / "a.conll").write_text("".join(f"w{i}\tB-x\n\n" for i in range(25)))
    splits = read_splits(tmp_path / "a.conll")
    assert splits.is_dev_cut
    assert [example.text for example in splits.dev.examples] == ["w9", "w19"]
    assert len(splits.train.examples) == 23
    (tmp_path / "b.conll").write_text("w\tB-x\n\n" * 3)
    with pytest.raises(DataError, match="3 examples are too few to cut a dev set from"):
        read_splits(tmp_path / "b.conll")
    given = read_splits(tmp_path / "b.conll", dev=tmp_path / "a.conll")
    assert len(given.dev.examples) == 25


def test_the_notes_of_dev_go_with_it():
    examples = [Example("a", source=f"f:{i}") for i in range(10)]
    notes = [Problem("f:9", "x"), Problem("f:1", "y")]
    reading = Reading("columns", doubts=("a doubt",))
    train, dev = cut_dev(ReadResult(examples, [], "IOB2", notes, reading=reading))
    assert (train.reading, dev.reading) == (reading, Reading("columns"))
    assert [note.source for note in train.notes] == ["f:1"]
    assert [note.source for note in dev.notes] == ["f:9"]


def test_a_small_dev_set_takes_the_scheme_of_train(tmp_path):
    (tmp_path / "train.conll").write_text("a I-x\nb B-x\n\n" * 10)
    (tmp_path / "dev.conll").write_text("a O\nb O\n\n")
    assert read_splits(tmp_path).dev.scheme == "IOB1"
