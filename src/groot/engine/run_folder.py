"""The folder of a run: one owner at a time, a log that a kill cannot tear, what is done so far.

DIR/run.json     what the run was started with, its finished stages, the marks of what they wrote
DIR/log.jsonl    one JSON line per step
DIR/.lock        held while a process works in DIR; .owner.json says which
"""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from groot.engine.files import (
    explained,
    remove_leftovers,
    to_json,
    write_json,
)
from groot.engine.marks import Marks, content_files, differences, mark_of_file
from groot.errors import CheckpointError, OutputError

log = logging.getLogger(__name__)

RUN_FILE = "run.json"
LOG_FILE = "log.jsonl"
LOCK_FILE = ".lock"
OWNER_FILE = ".owner.json"
_LOCK_WAIT_S = 0.5


class RunFolder:
    """The folder that one run writes to, locked from `with` to the end of the block.

    Args:
        path: made if it does not exist. An existing one must be empty or a run's.
        is_writer: with several processes, only the main one locks and writes; for the others
            every writing method does nothing, so that recipes need not ask.

    Raises:
        OutputError: another process works in the folder, or it holds something else.

    >>> import tempfile
    >>> with RunFolder(Path(tempfile.mkdtemp()) / "run") as run:
    ...     run.check_same_run(Marks(settings={"seed": 1}))
    ...     run.log({"step": 1, "loss": 0.5})
    ...     run.mark_done("fit", {"dev f1": 0.75})
    ...     run.is_done("fit"), run.info_of("fit")
    (True, {'dev f1': 0.75})
    """

    def __init__(self, path: Path, *, is_writer: bool = True) -> None:
        self.path = path
        self.is_writer = is_writer
        self._lock = FileLock(str(path / LOCK_FILE))
        self._log_handle: int | None = None

    def __enter__(self) -> RunFolder:
        if not self.is_writer:
            return self
        with explained(self.path, 0):
            if self.path.exists():
                self._refuse_foreign()
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
        for folder in (self.path, *(path for path in self.path.rglob("*") if path.is_dir())):
            remove_leftovers(folder)
        return self

    def __exit__(self, *error: object) -> None:
        if not self.is_writer:
            return
        if self._log_handle is not None:
            os.close(self._log_handle)
            self._log_handle = None
        (self.path / OWNER_FILE).unlink(missing_ok=True)
        self._lock.release()

    def checkpoints(self, stage: str) -> Path:
        """Where the checkpoints of a stage live; each stage counts its steps from 1."""
        return self.path / "checkpoints" / stage

    # What the run was started with

    def check_same_run(self, made_of: Marks, *, force: bool = False) -> None:
        """Remember what the run is made of; when it goes on, refuse if that has changed.

        Args:
            made_of: the settings, the data, the model, the reward, the versions of libraries.
            force: go on in spite of differences, which run.json and the log then record.

        Raises:
            CheckpointError: something differs, and the message lists what; or the run was started
                by a version of groot that kept no marks.
        """
        record = self._record()
        if "marks" in record or "fingerprint" in record:
            changes = self._changes(record, made_of)
            if not changes:
                return
            if not force:
                raise CheckpointError(
                    f"{self.path} was started with other settings or data:\n  "
                    + "\n  ".join(changes)
                    + "\n  Undo the change, choose another folder, or go on all the same with"
                    " --force."
                )
            record = self._with_forced(record, changes)
        self._save_record({**record, "marks": made_of.to_json()})

    def _changes(self, record: Mapping[str, Any], made_of: Marks) -> list[str]:
        before = Marks.from_json(record.get("marks"))
        if before is not None:
            return differences(before, made_of)
        return [
            "an older version of groot started it, which did not record the contents of what it "
            "was made of; its models can be opened, but the run cannot be told from another"
        ]

    def _with_forced(self, record: Mapping[str, Any], changes: list[str]) -> dict[str, Any]:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        self.log({"event": "forced", "time": when, "differences": changes})
        for change in changes:
            log.warning("going on, as forced, although %s", change)
        kept = {key: value for key, value in record.items() if key != "fingerprint"}
        forced = [*record.get("forced", []), {"time": when, "differences": changes}]
        return {**kept, "forced": forced}

    # Stages

    def is_done(self, stage: str) -> bool:
        """Whether `mark_done` was called for the stage, in this start of the run or before."""
        return stage in self._record().get("stages", {})

    def info_of(self, stage: str) -> dict[str, Any]:
        """What was given to `mark_done`.

        Raises:
            CheckpointError: the stage is not done.
        """
        stages = self._record().get("stages", {})
        if stage not in stages:
            raise CheckpointError(f"{self.path}: {stage!r} is not done; done is: {[*stages]}.")
        info: dict[str, Any] = stages[stage]["info"]
        return info

    def mark_done(
        self, stage: str, info: Mapping[str, Any] | None = None, *, wrote: Sequence[str] = ()
    ) -> None:
        """Remember for good that a stage is done.

        Args:
            stage: its name.
            info: plain values, for `info_of`.
            wrote: files and folders below the run, in place by now, that a later start reads
                again; their marks are remembered for `written`.
        """
        if self.is_writer:
            record = self._record()
            entry = {"info": dict(info or {}), "log_position": self.sync_log()}
            stages = {**record.get("stages", {}), stage: entry}
            kept = {**record.get("written", {})}
            for name in wrote:
                kept[name] = {inner: mark_of_file(file) for inner, file in self._files(name)}
            self._save_record({**record, "stages": stages, "written": kept})

    def written(self, name: str) -> Path:
        """A file or folder that a stage wrote, after a look at every bit of it.

        Raises:
            CheckpointError: some of it is missing or is not what was written.
        """
        path = self.path / name
        if not self.is_writer:  # the main process looks, and it may be ahead of this one
            return path
        marks = self._record().get("written", {}).get(name)
        if marks is None:
            raise CheckpointError(f"{path} was not written by a finished stage of this run.")
        now = {inner: mark_of_file(file) for inner, file in self._files(name)}
        wrong = [inner for inner in marks if now.get(inner) != marks[inner]]
        if wrong:
            places = ", ".join(str(path / inner) if inner else str(path) for inner in wrong)
            raise CheckpointError(
                f"{places}: damaged, missing or changed since this run wrote it.\n"
                f"  Restore it from a copy, or start again in another folder."
            )
        return path

    def _files(self, name: str) -> list[tuple[str, Path]]:
        """What stands under a name: (place below it, file); the place of a plain file is ""."""
        path = self.path / name
        if path.is_dir():
            return sorted(content_files(path).items())
        return [("", path)] if path.is_file() else []

    # The log

    def log(self, entry: Mapping[str, Any]) -> None:
        """Append one line to log.jsonl; NaN becomes null.

        It survives the death of this process at once, and that of the machine from the next
        `sync_log` on.
        """
        if self.is_writer:
            line = to_json(dict(entry)).encode() + b"\n"
            with explained(self.path / LOG_FILE, len(line)):
                self._append(line)

    def sync_log(self) -> int:
        """Return once the log is on the disk. The result goes into the checkpoint taken next."""
        if not self.is_writer:
            return 0
        with explained(self.path / LOG_FILE, 0):
            os.fsync(self._open_log())
        return os.fstat(self._open_log()).st_size

    def rewind_log(self, position: int | None = None) -> None:
        """Take back the lines behind a checkpoint, whose steps will be taken, and logged, again.

        So the log of a run that was killed equals that of an unbroken one. Lines about events,
        which have a key "event", stay.

        Args:
            position: what `sync_log` gave before the checkpoint; where there is no checkpoint,
                None: back to the end of the stage that was finished last.
        """
        if not self.is_writer:
            return
        if position is None:
            stages = self._record().get("stages", {}).values()
            position = max((stage["log_position"] for stage in stages), default=0)
        path = self.path / LOG_FILE
        content = path.read_bytes() if path.exists() else b""
        if len(content) < position:
            log.warning("%s is shorter than when the checkpoint was taken; lines are missing", path)
            return
        events = [line for line in content[position:].split(b"\n") if _is_event(line)]
        handle = self._open_log()
        with explained(path, 0):
            os.ftruncate(handle, position)
            for line in events:
                self._append(line + b"\n")
            os.fsync(handle)

    def _append(self, line: bytes) -> None:
        handle = self._open_log()
        while line:  # a full disk may take a part of it before it complains
            line = line[os.write(handle, line) :]

    def _open_log(self) -> int:
        if self._log_handle is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._log_handle = os.open(self.path / LOG_FILE, flags, 0o644)
        return self._log_handle

    # The record and the lock

    def _record(self) -> dict[str, Any]:
        path = self.path / RUN_FILE
        if not path.exists():
            return {}
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(
                f"{path} is damaged ({error}). Restore it from a copy, or choose another folder."
            ) from error
        return dict(record)

    def _save_record(self, record: Mapping[str, Any]) -> None:
        if self.is_writer:
            write_json(self.path / RUN_FILE, dict(record))

    def _refuse_foreign(self) -> None:
        if not self.path.is_dir():
            raise OutputError(f"{self.path} is a file; give a folder for the run.")
        names = {path.name for path in self.path.iterdir()} - {LOCK_FILE, OWNER_FILE}
        if names and RUN_FILE not in names and not all(n.startswith("tmp-") for n in names):
            raise OutputError(
                f"{self.path} holds files of something else, such as {min(names)!r}. Choose an "
                "empty or a new folder."
            )

    def _take_lock(self) -> None:
        try:
            self._lock.acquire(timeout=_LOCK_WAIT_S)
        except Timeout as error:
            raise OutputError(
                f"{self.path} is in use by {self._owner()}. Wait for it to end, stop it, or choose "
                "another folder."
            ) from error
        owner = {"pid": os.getpid(), "host": platform.node()}
        write_json(self.path / OWNER_FILE, owner)

    def _owner(self) -> str:
        try:
            owner = json.loads((self.path / OWNER_FILE).read_text(encoding="utf-8"))
            return f"process {owner['pid']} on {owner['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"


def library_versions(
    names: Sequence[str] = ("torch", "transformers", "tokenizers", "accelerate", "peft", "numpy"),
) -> dict[str, str]:
    """The versions that decide about the bits of a run; for its marks.

    >>> sorted(library_versions(["numpy"]))
    ['numpy', 'python']
    """
    versions = {name: metadata.version(name) for name in names}
    return {**versions, "python": ".".join(platform.python_version_tuple()[:2])}


def _is_event(line: bytes) -> bool:
    try:
        return "event" in json.loads(line)
    except (ValueError, TypeError):
        return False
