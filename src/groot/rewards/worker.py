"""What runs inside a worker process: load the user's function, call it, keep its output apart."""

from __future__ import annotations

import faulthandler
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from groot.rewards.calling import Form, ImpossibleError, InfiniteError, call, form_of
from groot.rewards.places import Place, find_function
from groot.types import Candidate, Example

MAX_OUTPUT_BYTES = 20_000


@dataclass(frozen=True)
class Answer:
    """How one call ended.

    Args:
        kind: "values" or, of the first call, "loaded"; else why there are none.
        values: a number, nan or None for each candidate.
        detail: for people: the error and, where the user's code raised it, its traceback.
        output: the beginning of what the function printed.
        form: of a function that was loaded.
    """

    kind: Literal["values", "loaded", "raised", "impossible", "infinite", "hung", "crashed"]
    values: Sequence[float | None] = ()
    detail: str = ""
    output: str = ""
    form: Form | None = None


class CappedBytes(io.RawIOBase):
    """Keeps the first bytes that are written to it and counts the rest."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.lost = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        room = MAX_OUTPUT_BYTES - len(self.kept)
        self.kept += bytes(data[:room]) if room > 0 else b""
        self.lost += max(len(data) - max(room, 0), 0)
        return len(data)

    def take(self) -> str:
        """What was written since the last call."""
        text = self.kept.decode("utf-8", errors="replace")
        if self.lost:
            text += f"\n... and {self.lost} bytes more"
        self.kept.clear()
        self.lost = 0
        return text


@dataclass
class State:
    """Of this process, set once by `start_worker`."""

    places: Sequence[Place]
    functions: dict[int, Callable[..., Any]]
    output: CappedBytes
    trace: TextIO


_state: State | None = None


def trace_path(folder: str, pid: int) -> Path:
    """Where a worker leaves its last words: the traceback of a hang or a crash."""
    return Path(folder) / f"{pid}.trace"


def start_worker(places: Sequence[Place], folder: str, memory_mb: int | None) -> None:
    """Set up this process: output captured, memory limited, last words prepared."""
    global _state
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # what C code prints must not reach the parent's stdout either
        os.dup2(nowhere, standard)
    output = CappedBytes()
    stream = io.TextIOWrapper(output, encoding="utf-8", errors="replace", write_through=True)  # type: ignore[type-var]
    sys.stdout = sys.stderr = stream
    trace = trace_path(folder, os.getpid()).open("w", encoding="utf-8")
    faulthandler.enable(trace)
    with suppress(ImportError):  # not on every system
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory_mb is not None:
            limit = memory_mb * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.path.insert(0, os.getcwd())
    _state = State(places, {}, output, trace)


def load(number: int, timeout_s: float) -> Answer:
    """Load a function and say which form it has."""
    state = _started()
    try:
        return Answer("loaded", form=form_of(_function(state, number, timeout_s)))
    except ImpossibleError as error:
        return Answer("impossible", detail=str(error))
    except BaseException:
        return Answer("raised", detail=users_traceback())


def run_call(
    number: int,
    example: Example,
    candidates: Sequence[Candidate],
    completion: str | None,
    timeout_s: float,
    load_timeout_s: float,
) -> Answer:
    """One call of a function; loads it first where this process has not yet."""
    state = _started()
    state.output.take()
    try:
        function = _function(state, number, load_timeout_s)
        with _Watch(state.trace, timeout_s):
            values = call(function, example, candidates, completion)
    except ImpossibleError as error:
        return Answer("impossible", detail=str(error), output=state.output.take())
    except InfiniteError as error:
        return Answer("infinite", detail=str(error), output=state.output.take())
    except BaseException as error:  # SystemExit too: user code may do anything
        what = traceback.format_exception_only(error)[-1].strip()
        detail = f"it raised {what}\n{users_traceback()}"
        return Answer("raised", detail=detail, output=state.output.take())
    return Answer("values", values=values, output=state.output.take())


class _Watch:
    """Ends this process after timeout_s, even where C code holds the interpreter's lock.

    The watching thread of faulthandler needs no lock, and leaves the traceback of the hang.
    """

    def __init__(self, trace: TextIO, timeout_s: float) -> None:
        self.trace = trace
        self.timeout_s = timeout_s

    def __enter__(self) -> None:
        faulthandler.dump_traceback_later(self.timeout_s, file=self.trace, exit=True)

    def __exit__(self, *_: object) -> None:
        faulthandler.cancel_dump_traceback_later()


def _started() -> State:
    if _state is None:
        raise RuntimeError("start_worker was not called in this process")
    return _state


def _function(state: State, number: int, timeout_s: float) -> Callable[..., Any]:
    if number not in state.functions:
        with _Watch(state.trace, timeout_s):
            state.functions[number] = find_function(state.places[number])
    return state.functions[number]


def users_traceback() -> str:
    """The traceback of the error being handled, without groot's own frames at its beginning."""
    kind, error, trace = sys.exc_info()
    ours = str(Path(__file__).parent)
    while trace and trace.tb_frame.f_code.co_filename.startswith((ours, "<frozen importlib")):
        trace = trace.tb_next
    if error is None:
        return ""
    return "".join(traceback.format_exception(kind, error, trace)).rstrip()
