"""Worker processes for the user's functions: a call that hangs or crashes costs one worker.

This isolates faults; it is no sandbox. The functions are the user's own and may do what they may.
"""

from __future__ import annotations

import logging
import shutil
import signal
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import spawn
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

from pebble import ProcessExpired, ProcessPool

from groot.errors import RewardError
from groot.rewards.call_settings import CallSettings
from groot.rewards.calling import Form
from groot.rewards.places import Place
from groot.rewards.worker import Answer, load, run_call, start_worker, trace_path
from groot.types import Candidate, Example

LOGGER = logging.getLogger(__name__)

# Importing a user's module (torch and all) may take this long without counting as a hang.
LOAD_TIMEOUT_S = 120.0
# Above its own time limit a worker ends itself; the pool's limit is for those that do not.
GRACE_S = 5.0
# Times that the whole pool may break without any call coming through before we give up.
MAX_RESTARTS = 3
# What a worker that ends with exit code 0 in the middle of a call is said to have ended with:
# the pool takes 0 for a worker that was not needed any more, and would wait for its answer.
ENDED_BY_ITSELF = 256

# A call: the example, its candidates, and its gold as the model should write it.
Job = tuple[Example, Sequence[Candidate], str | None]
# What a worker process is asked: a function of worker.py and its arguments.
Task = tuple[Callable[..., Answer], tuple[Any, ...]]


class WorkerPool:
    """Calls functions in worker processes, which are replaced when they hang or crash.

    Args:
        places: the functions, by number.
        settings: its number of processes, which start on first use, and their limits.
    """

    def __init__(self, places: Sequence[Place], settings: CallSettings) -> None:
        self.places = tuple(places)
        self.timeout_s = settings.timeout_s
        self.workers = settings.workers
        self.memory_mb = settings.memory_mb
        self._folder = tempfile.mkdtemp(prefix="groot-reward-")
        self._open: list[ProcessPool] = []
        self._finalizer = weakref.finalize(self, _end, self._open, self._folder)

    def load(self, number: int) -> Form:
        """The form that a function has.

        Raises:
            RewardError: if it cannot be loaded.
        """
        limit = max(LOAD_TIMEOUT_S, self.timeout_s)
        (answer,) = self._results([(load, (number, limit))], limit + GRACE_S)
        if answer.form is None:
            spec = self.places[number].spec
            why = f"{answer.detail}{self._memory_hint()}"
            raise RewardError(f"reward {spec!r} cannot be loaded: {why}")
        form: Form = answer.form
        return form

    def calls(self, number: int, jobs: Iterable[Job]) -> Iterator[Answer]:
        """The answers of a function to many calls, in their order, a few ahead of the reader."""
        load_limit = max(LOAD_TIMEOUT_S, self.timeout_s)
        tasks = ((run_call, (number, *job, self.timeout_s, load_limit)) for job in jobs)
        yield from self._results(tasks, self.timeout_s + load_limit + GRACE_S)

    def close(self) -> None:
        """End the processes; may be called twice."""
        self._finalizer()

    def _results(self, tasks: Iterable[Task], limit_s: float) -> Iterator[Answer]:
        """Answers of the tasks in their order."""
        waiting: deque[tuple[Task, Future[Any]]] = deque()
        rest = iter(tasks)
        restarts = 0
        try:
            while True:
                for task in islice(rest, 8 * self.workers - len(waiting)):
                    waiting.append((task, self._schedule(task, limit_s)))
                if not waiting:
                    return
                task, future = waiting[0]
                try:
                    result = self._result(future, limit_s)
                except BrokenProcessPool as error:
                    restarts += 1
                    if restarts > MAX_RESTARTS:
                        raise RewardError(self._why_broken()) from error
                    LOGGER.warning("the reward workers ended unexpectedly; starting new ones")
                    self._stop_pool()
                    again = [task for task, _ in waiting]
                    waiting.clear()
                    waiting.extend((task, self._schedule(task, limit_s)) for task in again)
                    continue
                restarts = 0
                waiting.popleft()
                yield result
        finally:
            for _, future in waiting:
                future.cancel()

    def _result(self, future: Future[Any], limit_s: float) -> Answer:
        try:
            # The oldest task runs or is next, so it must end within its limit and a start.
            answer: Answer = future.result(timeout=limit_s + LOAD_TIMEOUT_S)
            return answer
        except TimeoutError as error:
            if not future.done():
                raise BrokenProcessPool("a task was lost") from error
            return Answer(
                "hung", detail=f"it took longer than {self.timeout_s:g} s and was killed."
            )
        except ProcessExpired as error:
            return self._last_words(error)

    def _last_words(self, expired: ProcessExpired) -> Answer:
        """Why a worker ended: its own watch found a hang, or it crashed."""
        try:
            trace = trace_path(self._folder, expired.pid or 0).read_text(encoding="utf-8")
        except OSError:
            trace = ""
        trace = _users_frames(trace)
        if trace.startswith("Timeout"):
            detail = (
                f"it took longer than {self.timeout_s:g} s and was killed.\nIt was here:\n{trace}"
            )
            return Answer("hung", detail=detail)
        return Answer(
            "crashed", detail=f"its process ended: {_exit_text(expired.exitcode)}.\n{trace}"
        )

    def _why_broken(self) -> str:
        names = ", ".join(repr(place.spec) for place in self.places)
        return f"The processes for {names} end as soon as they start.{self._memory_hint()}"

    def _memory_hint(self) -> str:
        if self.memory_mb is None:
            return ""
        return f"\n  Its process may use {self.memory_mb} MB of memory: is that too little?"

    def _schedule(self, task: Task, limit_s: float) -> Future[Any]:
        function, arguments = task
        if self._open and not self._open[-1].active:
            self._stop_pool()
        if not self._open:
            if not self._finalizer.alive:
                raise RewardError("This reward is closed. Parse it again, or score before close().")
            self._open.append(
                ProcessPool(
                    max_workers=self.workers,
                    initializer=start_worker,
                    initargs=(self.places, self._folder, self.memory_mb),
                    context=_Context(),
                )
            )
        future: Future[Any] = self._open[-1].schedule(function, args=arguments, timeout=limit_s)
        return future

    def _stop_pool(self) -> None:
        while self._open:
            _stop(self._open.pop())


def _users_frames(trace: str) -> str:
    """The lines of a dumped traceback down to our own frames: the most recent call is first."""
    lines: list[str] = []
    for line in trace[:4000].splitlines():
        if "/groot/rewards/" in line:
            break
        lines.append(line)
    return "\n".join(lines).rstrip()


def _exit_text(code: int) -> str:
    if code < 0:
        try:
            return f"killed by signal {-code} ({signal.Signals(-code).name})"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {0 if code == ENDED_BY_ITSELF else code}"


def _stop(pool: ProcessPool) -> None:
    pool.stop()
    pool.join()


def _end(pools: list[ProcessPool], folder: str) -> None:
    while pools:
        _stop(pools.pop())
    shutil.rmtree(folder, ignore_errors=True)


_thread = threading.local()
_preparation_data = spawn.get_preparation_data


def _without_main(name: str) -> dict[str, Any]:
    data: dict[str, Any] = _preparation_data(name)
    if getattr(_thread, "is_starting_a_worker", False):
        data.pop("init_main_from_name", None)
        data.pop("init_main_from_path", None)
    return data


# A spawned process runs the parent's main file again: the whole training, where a script has no
# `if __name__ == "__main__"`. Our workers need nothing of it; other processes are left as they are.
spawn.get_preparation_data = _without_main


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:
        _thread.is_starting_a_worker = True
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            _thread.is_starting_a_worker = False

    @property
    def exitcode(self) -> int | None:
        code = super().exitcode
        return ENDED_BY_ITSELF if code == 0 else code


class _Context(SpawnContext):
    Process = _Process
