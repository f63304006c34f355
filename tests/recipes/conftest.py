"""`groot` as a command of its own, many times, at the price of one import of torch."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from groot.data.sample import sample_sentences


class Nursery:
    """Starts commands; see nursery.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )
        self.ask(ready=True)  # a test that takes times should not time the import

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the nursery ended"
        return json.loads(line)

    def start(self, *words: object, log: Path, kill: list[dict] | None = None) -> "Command":
        answer = self.ask(start=[str(word) for word in words], log=str(log), kill=kill or [])
        return Command(self, answer["pid"], log)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


@dataclass
class Command:
    """A command that was started."""

    nursery: Nursery
    pid: int
    log: Path

    def send(self, number: int, *, to_group: bool = False) -> None:
        (os.killpg if to_group else os.kill)(self.pid, number)

    def wait(self) -> int:
        """Its exit code, or minus the number of the signal that killed it."""
        return self.nursery.ask(wait=self.pid)["code"]

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train.conll, dev.conll and test.conll: the first sentences of the sample."""
    folder = tmp_path_factory.mktemp("small")
    for split, count in (("train", 64), ("dev", 12), ("test", 16)):
        blocks = [
            "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True))
            for words, tags in sample_sentences(split)[:count]
        ]
        (folder / f"{split}.conll").write_text("\n".join(blocks), encoding="utf-8")
    return folder


SMALL = {
    "model.width": 32,
    "model.feed_forward": 48,
    "model.encoder_layers": 1,
    "model.vocabulary_size": 400,
    "fit.passes": 2,
    "fit.batch_size": 8,
    "fit.evaluations": 3,
    "optimise.rounds": 2,
    "optimise.num_candidates": 3,
    "optimise.candidates_per_round": 5,
    "optimise.batch_size": 8,
    "distil.rounds": 1,
    "distil.variations": 1,
    "distil.num_candidates": 3,
    "search.width": 4,
    "search.max_width": 8,
    "evaluation.k": 3,
    "evaluation.mbr_candidates": 4,
    "evaluation.bootstrap_samples": 20,
    "output.report": False,
}


@pytest.fixture(scope="session")
def small_settings() -> dict[str, Any]:
    """Settings of a run that takes seconds."""
    return dict(SMALL)


@pytest.fixture(scope="session")
def train_words(small_data: Path) -> Callable[..., list[object]]:
    """The words of a small `groot train`: train_words(out, {"fit.passes": 1}, "--force")."""

    def words(out: Path, settings: dict[str, Any] | None = None, *more: object) -> list[object]:
        given = {**SMALL, **(settings or {})}
        return [
            *("train", small_data / "train.conll", "--out", out),
            *("--dev", small_data / "dev.conll", "--test", small_data / "test.conll"),
            *(w for name, value in given.items() for w in ("--set", f"{name}={json.dumps(value)}")),
            *more,
        ]

    return words


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Wait until something holds, for 60 s at most."""

    def wait(holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end, "it never came about"
            time.sleep(0.01)

    return wait
