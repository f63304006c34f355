import json
import logging
import os
import random
import resource
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from groot.engine import checkpoints, files
from groot.engine.checkpoints import MANIFEST, find_damage, latest_checkpoint, save_checkpoint
from groot.errors import CheckpointError, TrainingError


def save(folder: Path, step: int, keep: int = 2) -> Path:
    tensors = {
        "model": {"w": torch.full((3, 2), float(step)), "b": torch.arange(4)},
        "optimizer": {"m": torch.full((5,), step / 3)},
    }
    return save_checkpoint(folder, step=step, tensors=tensors, state={"step": step}, keep=keep)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_comes_back(tmp_path):
    state = {"a": 0.1 + 0.2, "b": [1, None, "ü\u2028"], "c": {"d": True}, "e": 5e-324}
    tensors = {
        "floats": {"x": torch.randn(4, 3), "y": torch.tensor(2.5), "z": torch.zeros(0, 3)},
        "others": {"h": torch.randn(3).bfloat16(), "i": torch.tensor([2**62]), "o": torch.eye(3).T},
    }
    save_checkpoint(tmp_path, step=123, tensors=tensors, state=state)
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert (found.folder.name, found.step, found.state) == ("step-00000123", 123, state)
    for name, content in tensors.items():
        loaded = found.tensors(name)
        assert loaded.keys() == content.keys()
        for key, tensor in content.items():
            assert loaded[key].dtype == tensor.dtype
            assert torch.equal(loaded[key], tensor)


def test_tensors_that_share_memory_are_written_once_and_parts_of_one_apart(tmp_path):
    whole = torch.randn(1000, 10)
    tensors = {"model": {"a": whole, "b": whole, "row": whole[3], "flat": whole.view(-1)}}
    path = save_checkpoint(tmp_path, step=1, tensors=tensors, state={})
    loaded = latest_checkpoint(tmp_path).tensors("model")
    assert all(torch.equal(loaded[key], tensor) for key, tensor in tensors["model"].items())
    assert loaded["a"].data_ptr() == loaded["b"].data_ptr()
    assert (path / "model.safetensors").stat().st_size < 2 * 40_000 + 40 + 1000


def test_only_safetensors_and_json_are_written(tmp_path):
    path = save(tmp_path, 1)
    assert names(path) == [
        "MANIFEST.json",
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]


def test_the_newest_stay(tmp_path):
    for step in (5, 10, 15, 20):
        save(tmp_path, step, keep=3)
    assert names(tmp_path) == ["step-00000010", "step-00000015", "step-00000020"]
    save(tmp_path, 25, keep=1)
    assert names(tmp_path) == ["step-00000025"]


def test_steps_order_by_number(tmp_path):
    for step in (99_999_999, 100_000_000):
        save(tmp_path, step)
    assert latest_checkpoint(tmp_path).step == 100_000_000


def test_a_history_that_was_given_up_is_deleted(tmp_path):
    for step in (10, 20, 30):
        save(tmp_path, step, keep=3)
    save(tmp_path, 15, keep=3)
    assert names(tmp_path) == ["step-00000010", "step-00000015"]


def test_saving_the_same_step_again_never_puts_the_good_one_at_risk(tmp_path):
    save(tmp_path, 10)
    again = save(tmp_path, 10)
    assert again.name == "step-00000010.2"
    assert names(tmp_path) == ["step-00000010.2"]
    assert latest_checkpoint(tmp_path).folder == again
    assert save(tmp_path, 10).name == "step-00000010"


def test_nothing_there_is_none(tmp_path):
    assert latest_checkpoint(tmp_path / "absent") is None
    (tmp_path / "tmp-step-00000003-99").mkdir()
    assert latest_checkpoint(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": 0}, "keep=0"),
        ({"tensors": {"../a": {}}}, "cannot name a file"),
        ({"state": {"a": object()}}, "plain JSON"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_anything_is_written(tmp_path, change, message):
    arguments = {"step": 1, "tensors": {}, "state": {}, **change}
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


# Damage (T5)


def cut(path: Path, where: str) -> None:
    size = path.stat().st_size
    keep = {"start": 0, "middle": size // 2, "last byte": size - 1}[where]
    with path.open("r+b") as content:
        content.truncate(keep)


FILES = ["MANIFEST.json", "model.safetensors", "optimizer.safetensors", "state.json"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", ["start", "middle", "last byte", "missing"])
def test_a_cut_or_missing_file_is_found_and_the_one_before_is_used(tmp_path, caplog, name, where):
    save(tmp_path, 10)
    newest = save(tmp_path, 20)
    if where == "missing":
        (newest / name).unlink()
    else:
        cut(newest / name, where)
    with caplog.at_level(logging.WARNING):
        found = latest_checkpoint(tmp_path)
    assert found.step == 10
    assert str(newest) in caplog.text
    assert "falling back" in caplog.text
    # And training on from there, the damaged one is replaced.
    save(tmp_path, 20)
    assert latest_checkpoint(tmp_path).step == 20


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_found(tmp_path, name):
    path = save(tmp_path, 20) / name
    good = path.read_bytes()
    bits = range(8 * len(good))
    for bit in random.Random(0).sample(bits, min(200, len(bits))):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        assert find_damage(path.parent) is not None, f"bit {bit} of {name}"
    path.write_bytes(good)
    assert find_damage(path.parent) is None


@settings(deadline=None, max_examples=50)
@given(junk=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_junk_as_manifest_is_damage(junk, tmp_path_factory):
    folder = tmp_path_factory.mktemp("junk") / "step-00000001"
    folder.mkdir()
    (folder / MANIFEST).write_bytes(junk)
    assert find_damage(folder) is not None
    shutil.rmtree(folder.parent)


@pytest.mark.parametrize("manifest", ["[]", "null", "1", '{"files": [], "step": 1}', "[" * 100_000])
def test_json_of_another_shape_is_damage(tmp_path, manifest):
    (tmp_path / "step-00000001").mkdir()
    (tmp_path / "step-00000001" / MANIFEST).write_text(manifest)
    assert "cannot be read" in find_damage(tmp_path / "step-00000001")


def test_a_checkpoint_under_another_step_is_damage(tmp_path):
    save(tmp_path, 10).rename(tmp_path / "step-00000011")
    assert "this folder" in find_damage(tmp_path / "step-00000011")


def test_a_manifest_that_leads_out_of_the_folder_is_damage(tmp_path):
    path = save(tmp_path, 10)
    (tmp_path / "outside.json").write_text("{}")
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["files"]["../outside.json"] = {
        "bytes": 2,
        "sha256": files.sha256_of(tmp_path / "outside.json"),
    }
    (path / MANIFEST).write_text(checkpoints._sealed(manifest))
    assert "not a plain file" in find_damage(path)


def test_a_link_in_place_of_a_file_is_damage(tmp_path):
    path = save(tmp_path, 10)
    (path / "state.json").rename(tmp_path / "state.json")
    (path / "state.json").symlink_to(tmp_path / "state.json")
    assert "not a plain file" in find_damage(path)


def test_when_all_are_damaged_nothing_starts_afresh_in_silence(tmp_path):
    for step in (10, 20):
        cut(save(tmp_path, step) / "model.safetensors", "middle")
    with pytest.raises(CheckpointError) as caught:
        latest_checkpoint(tmp_path)
    message = str(caught.value)
    assert "step-00000010" in message
    assert "step-00000020" in message
    assert "to start afresh" in message


# No space (T4)


def test_no_space_is_seen_before_writing(tmp_path, monkeypatch):
    save(tmp_path, 10)
    monkeypatch.setattr(files, "free_bytes", lambda path: 100)
    with pytest.raises(TrainingError, match=r"bytes needed, 100 bytes free"):
        save(tmp_path, 20)
    assert names(tmp_path) == ["step-00000010"]


def test_space_that_runs_out_while_writing_leaves_the_one_before(tmp_path):
    save(tmp_path, 10)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(TrainingError) as caught:
            save_checkpoint(
                tmp_path, step=20, tensors={"model": {"w": torch.zeros(10_000)}}, state={}
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    message = str(caught.value)
    assert str(tmp_path / "step-00000020") in message
    assert "bytes needed" in message
    assert "bytes free" in message
    assert "\n" not in message
    assert names(tmp_path) == ["step-00000010"]
    assert latest_checkpoint(tmp_path).step == 10


# A crash between any two operations (T6)


class Crash(BaseException):
    """Stands for the death of the process: nothing of ours catches it."""


def crash_at(monkeypatch, number: int, when: str) -> list[str]:
    """Crash at the number-th operation on the disk, before or after it is done."""
    done: list[str] = []

    def wrap(owner, name):
        original = getattr(owner, name)

        def operation(*arguments, **keywords):
            done.append(name)
            is_it = len(done) == number
            if is_it and when == "before":
                raise Crash
            try:
                return original(*arguments, **keywords)
            finally:
                if is_it:
                    raise Crash

        monkeypatch.setattr(owner, name, operation)

    for owner, name in (
        (checkpoints, "save_file"),
        (Path, "write_text"),
        (Path, "mkdir"),
        (os, "fsync"),
        (os, "rename"),
        (os, "unlink"),
        (os, "rmdir"),
    ):
        wrap(owner, name)
    return done


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_operation_leaves_a_good_checkpoint(tmp_path, monkeypatch, keep, when):
    operations: set[str] = set()
    for step in range(11 - keep, 11):
        save(tmp_path / "before", step, keep)
    for number in range(1, 200):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "before", folder)
        with monkeypatch.context() as patch:
            done = crash_at(patch, number, when)
            try:
                save(folder, 20, keep)
                crashed = False
            except Crash:
                crashed = True
        operations |= set(done)
        found = latest_checkpoint(folder)
        assert found.step in (10, 20)
        save(folder, found.step + 1, keep)  # the next start goes on, and cleans up
        assert not [name for name in names(folder) if not name.startswith("step-")]
        if not crashed:
            break
    assert not crashed
    assert number > 20
    assert operations >= {"save_file", "write_text", "fsync", "rename", "unlink", "rmdir"}


def test_a_first_save_that_crashed_counts_as_none(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        crash_at(patch, 6, "after")
        with pytest.raises(Crash):
            save(tmp_path, 10)
    assert latest_checkpoint(tmp_path) is None
