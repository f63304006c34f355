import dataclasses
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from groot.engine import marks
from groot.engine.marks import (
    Marks,
    differences,
    mark_of_bytes,
    mark_of_examples,
    mark_of_file,
    mark_of_folder,
    mark_of_json,
    mark_of_tensors,
)
from groot.errors import CheckpointError
from groot.types import Example, Span

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def make_model(folder: Path) -> Path:
    (folder / "more").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(range(256)))
    (folder / "config.json").write_text('{"width": 16}')
    (folder / "more" / "tokenizer.json").write_text("{}")
    return folder


def flip(path: Path, place: int = -1) -> None:
    """Change one bit and nothing else, not even the time of the file."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# Files and folders


def test_one_bit_of_any_file_changes_the_mark_of_its_folder(tmp_path):
    folder = make_model(tmp_path / "model")
    before = mark_of_folder(folder)
    seen = {before}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for place in (0, -1):
            flip(path, place)
            seen.add(mark_of_folder(folder))
            flip(path, place)
    assert len(seen) == 1 + 3 * 2
    assert mark_of_folder(folder) == before


def test_a_mark_knows_which_file_holds_what(tmp_path):
    folder = make_model(tmp_path / "model")
    before = mark_of_folder(folder)
    (folder / "config.json").rename(folder / "settings.json")
    renamed = mark_of_folder(folder)
    (folder / "settings.json").rename(folder / "more" / "config.json")
    moved = mark_of_folder(folder)
    (folder / "more" / "config.json").unlink()
    assert len({before, renamed, moved, mark_of_folder(folder)}) == 4


def test_the_place_the_times_and_what_is_no_content_do_not_count(tmp_path):
    before = mark_of_folder(make_model(tmp_path / "model"))
    other = make_model(tmp_path / "elsewhere")
    os.utime(other / "config.json", (1, 1))
    for name in ("README.md", "README", "LICENSE", ".gitattributes", "tmp-model-7", "ledger.json"):
        (other / name).write_text("anything")
    (other / ".cache").mkdir()
    (other / ".cache" / "model.safetensors").write_text("anything")
    (other / "__pycache__").mkdir()
    (other / "__pycache__" / "reward.pyc").write_text("anything")
    assert mark_of_folder(other) == before


def test_links_are_followed_inside_the_folder_only(tmp_path):
    plain, linked = make_model(tmp_path / "plain"), make_model(tmp_path / "linked")
    (plain / "copy.json").write_text('{"width": 16}')
    (linked / "copy.json").symlink_to("config.json")
    assert mark_of_folder(linked) == mark_of_folder(plain)
    for target in (plain / "config.json", linked / "more", linked / "missing.json"):
        (linked / "copy.json").unlink()
        (linked / "copy.json").symlink_to(target)
        with pytest.raises(CheckpointError, match=r"copy\.json"):
            mark_of_folder(linked)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    folder = make_model(tmp_path / "model")
    os.mkfifo(folder / "pipe")
    with pytest.raises(CheckpointError, match="pipe"):
        mark_of_folder(folder)
    with pytest.raises(CheckpointError, match="no such folder"):
        mark_of_folder(folder / "missing")


def test_an_old_file_is_read_once_and_again_only_when_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    hour_later = time.time_ns() + 3600 * 10**9
    monkeypatch.setattr(marks.time, "time_ns", lambda: hour_later)
    reads = []
    real = marks.sha256_of
    monkeypatch.setattr(marks, "sha256_of", lambda path: reads.append(path) or real(path))
    before = mark_of_file(path)
    assert mark_of_file(path) == before
    assert len(reads) == 1
    time.sleep(0.02)  # one tick of the clock of the file system, so that the change is seen
    flip(path)  # same size, same time of modification
    assert mark_of_file(path) != before


def test_a_young_file_is_always_read(tmp_path):
    path = tmp_path / "model.safetensors"
    seen = set()
    for content in (b"0", b"1", b"2", b"3"):  # faster than the clock of some file systems
        path.write_bytes(content)
        os.utime(path, ns=(0, 0))
        seen.add(mark_of_file(path))
    assert len(seen) == 4


# Values


@settings(max_examples=40, deadline=None)
@given(JSON, JSON)
def test_two_values_have_one_mark_exactly_when_json_writes_them_alike(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (mark_of_json(one) == mark_of_json(other)) == same


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.text(), JSON))
def test_the_order_of_keys_does_not_count(value):
    assert mark_of_json(dict(reversed(value.items()))) == mark_of_json(value)


def test_neighbouring_values_differ():
    values = [1, 1.0, True, "1", None, [], {}, "", [1], [1, 1], 0.1, math.nextafter(0.1, 1), "None"]
    values += [math.nan, math.inf, [[1], 1], [1, [1]], {"a": 1}, {"b": 1}, {"a": [1]}]
    assert len({mark_of_json(value) for value in values}) == len(values)


def test_what_json_lacks_counts_too():
    values = [Path("a"), Path("b"), {1, 2}, {1, 3}, np.float32(0.5), np.arange(3), b"a", b"b"]
    values += [{1: "mixed", "a": 2}, {1: "mixed", "a": 3}, Span(0, 1, "a"), Span(0, 1, "b")]
    assert len({mark_of_json(value) for value in values}) == len(values)


# Tensors


def test_names_types_shapes_and_bits_of_tensors_count():
    weights = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(1.5), "c": torch.zeros(0, 2)}
    changes = [
        {"a": weights["a"].reshape(3, 2)},
        {"a": weights["a"].double()},
        {"a": weights["a"].view(torch.int32)},
        {"a": weights["a"].flip(0)},
        {"b": torch.tensor([1.5])},
        {"b": torch.nextafter(weights["b"], torch.tensor(2.0))},
        {"c": torch.zeros(2, 0)},
        {"d": torch.tensor(1.5)},
    ]
    seen = {mark_of_tensors(weights), *(mark_of_tensors({**weights, **one}) for one in changes)}
    renamed = {"b": weights["a"], "a": weights["b"], "c": weights["c"]}
    seen.add(mark_of_tensors(renamed))
    assert len(seen) == 1 + len(changes) + 1


def test_order_and_layout_of_tensors_do_not_count():
    matrix = torch.randn(3, 4)
    plain = {"a": matrix, "b": torch.ones(2).bfloat16()}
    strided = {"b": torch.ones(2, requires_grad=True).bfloat16(), "a": matrix.T.contiguous().T}
    assert mark_of_tensors(strided) == mark_of_tensors(plain)


# Examples

EXAMPLE = Example(
    "play nina",
    ("play", "nina"),
    (0, 5),
    spans=(Span(5, 9, "artist"),),
    classes=("play",),
    reference="now playing",
    id="train:1",
    source="train.jsonl:1",
    columns={"cost": 2.5, "of": ["a", {"b": None}]},
)


@pytest.mark.parametrize(
    "change",
    [
        {"text": "play ninb"},
        {"words": ("play ", "nina")},
        {"word_starts": (0, 6)},
        {"spans": (Span(5, 9, "song"),)},
        {"spans": (Span(4, 9, "artist"),)},
        {"spans": ()},
        {"spans": None},
        {"classes": ("stop",)},
        {"classes": None},
        {"reference": "now playin"},
        {"id": "train:2"},
        {"columns": {"cost": 2.6, "of": ["a", {"b": None}]}},
        {"columns": {"cost": 2.5, "of": ["a", {"b": 0}]}},
        {"columns": {"Cost": 2.5, "of": ["a", {"b": None}]}},
        {"columns": {}},
    ],
    ids=repr,
)
def test_text_words_gold_and_columns_count(change):
    changed = dataclasses.replace(EXAMPLE, **change)
    assert mark_of_examples([changed]) != mark_of_examples([EXAMPLE])


def test_every_field_of_an_example_but_its_place_counts():
    """A field that is added later counts as well, without a change here."""
    assert mark_of_examples([dataclasses.replace(EXAMPLE, source="moved:7")]) == mark_of_examples(
        [EXAMPLE]
    )
    for item in dataclasses.fields(Example):
        if item.name != "source":
            changed = dataclasses.replace(EXAMPLE, **{item.name: ("something else",)})
            assert mark_of_examples([changed]) != mark_of_examples([EXAMPLE]), item.name


def test_the_order_of_examples_counts_and_that_of_columns_does_not():
    other = dataclasses.replace(EXAMPLE, text="stop")
    assert mark_of_examples([EXAMPLE, other]) != mark_of_examples([other, EXAMPLE])
    assert mark_of_examples([EXAMPLE, EXAMPLE]) != mark_of_examples([EXAMPLE])
    turned = dataclasses.replace(EXAMPLE, columns=dict(reversed(EXAMPLE.columns.items())))
    assert mark_of_examples([turned]) == mark_of_examples([EXAMPLE])


# Tables of marks


def test_differences_are_sentences_that_name_what_differs():
    before = Marks(
        {"the model": mark_of_bytes(b"1"), "the test data": None, "the candidates file": "ab"},
        {"seed": 1, "fit": {"passes": 3, "rate": 0.1}, "old": True},
    )
    now = Marks(
        {"the model": mark_of_bytes(b"2"), "the test data": "cd", "the reward": "ef"},
        {"seed": True, "fit": {"passes": 4, "rate": 0.1}},
    )
    assert differences(before, now) == [
        "the model: changed",
        "the test data: not there before",
        "the candidates file: not there any more",
        "the reward: not there before",
        "fit.passes was 3 and is 4 now",
        "old was True and is absent now",
        "seed was 1 and is True now",
    ]
    assert before.mark != now.mark


def test_marks_survive_their_file(tmp_path):
    asked = {"b": (1, 2), "a": {"nan": math.nan, "path": Path("x"), "none": None}}
    made = Marks({"the model": "ab", "the candidates file": None}, asked)
    stored = Marks.from_json(json.loads(json.dumps(made.to_json())))
    assert stored is not None
    assert differences(stored, made) == []
    assert stored.mark == made.mark


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {"settings": {"seed": 1}, "data": {"train": "ab"}, "versions": {}},  # of an old run.json
        {"contents": {}},
        {"contents": [], "settings": {}},
        {"contents": {"the model": 3}, "settings": {}},
        {"contents": {}, "settings": None},
    ],
)
def test_what_is_no_table_of_marks_is_none(stored):
    assert Marks.from_json(stored) is None
