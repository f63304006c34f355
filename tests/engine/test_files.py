import errno
import json
import math
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from groot.engine import files
from groot.errors import OutputError, TrainingError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_json_has_no_nan_and_takes_numpy_numbers():
    value = {"a": math.nan, "b": [math.inf, np.float32(0.5)], "c": (np.int64(3), True), "d": "ü"}
    assert json.loads(files.to_json(value)) == {
        "a": None,
        "b": [None, 0.5],
        "c": [3, True],
        "d": "ü",
    }


def test_a_text_is_old_or_new_but_never_a_part(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    files.write_json(path, {"f1": 0.5})

    def crash(*arguments):
        raise KeyboardInterrupt  # as abrupt as Python can be: no handler of ours catches it

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        files.write_json(path, {"f1": 0.9})
    assert json.loads(path.read_text()) == {"f1": 0.5}
    files.remove_leftovers(tmp_path)
    assert names(tmp_path) == {"results.json"}


def test_a_full_disk_keeps_the_old_text_and_says_how_much_is_missing(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    files.write_text(path, "old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError) as caught:
        files.write_text(path, "new text")
    assert path.read_text() == "old"
    message = str(caught.value)
    assert str(path) in message
    assert "8 bytes needed" in message
    assert "bytes free" in message
    assert "\n" not in message
    assert names(tmp_path) == {"results.json"}


def test_a_limit_on_file_sizes_is_told_as_lack_of_space(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(TrainingError, match=r"5,000 bytes needed, [\d,]+ bytes free"):
            files.write_text(tmp_path / "a.txt", "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == set()


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        files.write_text(tmp_path / "file" / "a.txt", "x")


def test_free_space_check_on_a_folder_that_does_not_exist_yet(tmp_path):
    files.free_space_check(tmp_path / "a" / "b", 1)
    with pytest.raises(TrainingError, match="not enough disk space"):
        files.free_space_check(tmp_path / "a" / "b", files.free_bytes(tmp_path) * 2 + 1)


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "model"
    for content in ("one", "two"):
        with files.write_folder(path) as folder:
            (folder / f"{content}.txt").write_text(content)
    assert names(path) == {"two.txt"}
    assert names(tmp_path) == {"model"}


def test_an_error_while_a_folder_is_filled_leaves_the_old_one(tmp_path):
    path = tmp_path / "model"
    with files.write_folder(path) as folder:
        (folder / "one.txt").write_text("one")

    def fill_and_fail():
        with files.write_folder(path) as folder:
            (folder / "two.txt").write_text("two")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill_and_fail()
    assert names(path) == {"one.txt"}
    assert names(tmp_path) == {"model"}


def test_everything_is_synced_before_the_rename(tmp_path, monkeypatch):
    calls = []
    fsync, rename = os.fsync, os.rename

    def note_fsync(handle):
        calls.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        fsync(handle)

    def note_rename(old, new):
        calls.append("rename")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    with files.write_folder(tmp_path / "model") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a.txt").write_text("a")
        (folder / "b.txt").write_text("b")
    before, after = calls[: calls.index("rename")], calls[calls.index("rename") + 1 :]
    assert {"a.txt", "inner", "b.txt"} < set(before)
    assert before.index("a.txt") < before.index("inner")
    assert after == [tmp_path.name]


def test_leftovers_go_and_nothing_else(tmp_path):
    (tmp_path / "tmp-3-77").mkdir()
    (tmp_path / "tmp-3-77" / "half").write_text("")
    (tmp_path / "trash-old-5").mkdir()
    (tmp_path / "tmp-results.json-9").write_text("{")
    (tmp_path / "model").mkdir()
    (tmp_path / "trashy.txt").write_text("")
    files.remove_leftovers(tmp_path)
    assert names(tmp_path) == {"model", "trashy.txt"}
    files.remove_leftovers(tmp_path / "absent")
