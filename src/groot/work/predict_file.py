"""Labelling a file of texts, or writing for one of prompts: in order, continued after a stop.

Out gets one line per readable line of the input, so the number of its whole lines says where to
go on. Before going on, the last of them is predicted again: if it comes out otherwise, the file is
of another model or other settings and is left alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from groot.data.lines import number_lines, open_binary
from groot.data.result import Problem, RowError
from groot.engine.events import (
    Note,
    OnEvent,
    StageFinished,
    StageStarted,
    StepDone,
    ignore_events,
)
from groot.errors import OutputError
from groot.work.continued_file import STANDARD, ContinuedFile
from groot.work.predicted_file import PredictedFile
from groot.work.predicted_lines import InputLine, is_same, parse_line
from groot.work.predictor import Predictor, Request


def predict_file(
    folder: Path,
    source: Path,
    out: Path,
    request: Request | None = None,
    *,
    done: PredictedFile,
    is_plain_text: bool = False,
    is_restarted: bool = False,
    events: OnEvent = ignore_events,
) -> None:
    """Label every line of a file.

    Args:
        folder: of a run or a model.
        source: the input; "-" is standard input.
        out: the output; "-" is standard output.
        request: how; None takes the defaults.
        done: is kept up to date, for whoever interrupts.
        is_plain_text: a line is a text, not JSON.
        is_restarted: begin out anew where it is there already.
        events: is called with the progress.

    Raises:
        DataError: if the input cannot be opened.
        OutputError: if out is there and belongs to other texts, another model or other settings.
        ModelError, ConfigError: as `Predictor.open`.
    """
    if source == out != STANDARD:
        raise OutputError(f"{out}: input and output are the same file. Name another --out.")
    request = request or Request()
    start = time.monotonic()
    with ExitStack() as stack:
        # Input and model first: where they fail, nothing is written.
        lines = number_lines(stack.enter_context(_open_input(source)), source)
        lines = chain(list(islice(lines, 1)), lines)
        predictor = Predictor.open(folder, request)
        output = stack.enter_context(ContinuedFile(out, is_restarted=is_restarted))
        done.out, total = out, _count_lines(source)
        rows = _rows(lines, source, output, done, events, is_plain_text=is_plain_text)
        done.continued_from = done.texts = _check_continued(output, rows, predictor)
        if done.texts:
            events(Note(f"{out} holds {done.texts} texts already; continuing after them"))
        events(StageStarted("predict", total, done.texts))
        labelling = time.monotonic()
        while texts := list(islice(rows, request.batch_size)):
            output.write(predictor.lines(texts, done))
            done.texts += len(texts)
            done.labelling_s = time.monotonic() - labelling
            events(StepDone("predict", done.texts + done.bad_lines, total))
        done.seconds = time.monotonic() - start
        events(StageFinished("predict", done.seconds, {"texts": done.texts}))


def _rows(
    lines: Iterable[tuple[int, str | Problem]],
    source: Path,
    output: ContinuedFile,
    done: PredictedFile,
    events: OnEvent,
    *,
    is_plain_text: bool,
) -> Iterator[InputLine]:
    """The readable lines; the others are counted and go to the side file. Blank lines are none."""
    for number, line in lines:
        try:
            if isinstance(line, Problem):
                raise RowError(line.reason, line.kind)
            if line.strip():
                place = f"{source}:{number}"
                default_id = f"{source.stem if source != STANDARD else 'stdin'}:{number}"
                yield parse_line(line, place, default_id, is_plain_text=is_plain_text)
        except RowError as error:
            shown = line.row if isinstance(line, Problem) else line
            output.write_error(number, error.problem(f"{source}:{number}", shown))
            if output.errors_path is None:
                events(Note(f"{source}:{number}: {error.reason}", level="warning"))
            done.bad_lines += 1
            done.first_reason = done.first_reason or f"{source}:{number}: {error.reason}"
            done.errors = output.errors_path


def _check_continued(output: ContinuedFile, rows: Iterator[InputLine], predictor: Predictor) -> int:
    """Move rows behind the texts that output holds already; return how many those are."""
    row: InputLine | None = None
    written: dict[str, Any] = {}
    count = 0
    for count, written in enumerate(output.written(), start=1):
        row = next(rows, None)
        if row is None or (row.id, row.example.text) != (written.get("id"), written.get("text")):
            raise OutputError(
                f"{output.path}:{count}: holds id {written.get('id')!r}, which is not what the"
                " input has there. The file belongs to another input: name another --out, or give"
                " --force."
            )
    if row is not None and not is_same(next(predictor.lines([row], PredictedFile())), written):
        raise OutputError(
            f"{output.path}:{count}: was written by another model or with other settings than"
            " these. Name another --out, or give --force."
        )
    return count


def _open_input(source: Path) -> BinaryIO:
    return sys.stdin.buffer if source == STANDARD else open_binary(source)


def _count_lines(source: Path) -> int | None:
    """Lines of a file, for the ETA; None for standard input."""
    if source == STANDARD or not source.is_file():
        return None
    with source.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
