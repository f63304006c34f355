"""Labelling a file of texts, or writing for one of prompts: in order, continued after a stop.

Out gets one line per readable line of the input, so the number of its whole lines says where to
go on. Before going on, the last of them is predicted again: if it comes out otherwise, the file is
of another model or other settings and is left alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch

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
from groot.errors import ConfigError, OutputError
from groot.evaluation.thresholds import Thresholds
from groot.guides.saved_guides import holds_guide, saved_choice
from groot.outputs.choose import Choice
from groot.outputs.items import items_of, label_of
from groot.rewards import refuse_code
from groot.studies.probability_settings import ProbabilitySettings, model_mark
from groot.studies.threshold import above_thresholds, open_thresholds
from groot.work.continued_file import STANDARD, ContinuedFile
from groot.work.guided_texts import GuideChoice, opened_guide
from groot.work.predicted_lines import Row, is_same, line_of, parse_line
from groot.writer.folders import load
from groot.writer.prediction import Prediction

Label = Callable[[Sequence[Row]], Iterator[dict[str, Any]]]


@dataclass(slots=True)
class PredictedFile:
    """What was done so far.

    Args:
        texts: lines of out, those of earlier starts included.
        continued_from: lines of out that were there already.
        proven: lines of this start whose candidates are proven to be the most probable; None where
            nothing is proven: of free text, and under a guide.
        bad_lines: input lines that could not be read.
        first_reason: the first of them.
        spans: spans, or classes, that the first candidates said, of this start.
        dropped: of them below their threshold.
        dropped_labels: how many of those are of a label without a threshold, by label.
        errors: the file that lists them; None where there are none.
        out: the file of predictions.
        seconds: of this start.
        labelling_s: the part of it behind loading and checking: reading, labelling and writing
            the texts that are new.
    """

    texts: int = 0
    continued_from: int = 0
    proven: int | None = None
    bad_lines: int = 0
    first_reason: str = ""
    spans: int = 0
    dropped: int = 0
    dropped_labels: dict[str, int] = field(default_factory=dict)
    errors: Path | None = None
    out: Path | None = None
    seconds: float = 0.0
    labelling_s: float = 0.0

    @property
    def texts_per_second(self) -> float | None:
        """Speed of labelling; None where this start labelled nothing."""
        new = self.texts - self.continued_from
        return new / self.labelling_s if new and self.labelling_s > 0 else None

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "texts": self.texts,
            "continued_from": self.continued_from,
            "proven": self.proven,
            "bad_lines": self.bad_lines,
            "errors": None if self.errors is None else str(self.errors),
            "out": str(self.out),
            "spans": self.spans,
            "dropped": self.dropped,
            "dropped_labels": self.dropped_labels,
            "seconds": round(self.seconds, 3),
            "texts_per_second": self.texts_per_second and round(self.texts_per_second, 3),
        }


def predict_file(
    folder: Path,
    source: Path,
    out: Path,
    *,
    done: PredictedFile,
    top_k: int = 1,
    choose: Choice | None = None,
    reward: Sequence[str] | None = None,
    candidates: int = 16,
    calibrated: bool | None = None,
    exact: bool = True,
    thresholds: Path | None = None,
    guide: GuideChoice | None = None,
    batch_size: int = 64,
    dtype: Literal["float32", "bfloat16"] = "float32",
    is_plain_text: bool = False,
    is_restarted: bool = False,
    events: OnEvent = ignore_events,
) -> None:
    """Label every line of a file.

    Args:
        folder: of a run or a model.
        source: the input; "-" is standard input.
        out: the output; "-" is standard output.
        done: is kept up to date, for whoever interrupts.
        top_k: candidates per text.
        choose: what comes first: the most probable candidate, or the best expected one; None is
            what was found out with a saved guide, or else the most probable.
        reward: what "mbr" maximises; None is what was found out with it, or else what the model was
            optimised for.
        candidates: searched per text for probabilities, and for "mbr".
        calibrated, exact: as in `Labeler.predict`.
        thresholds: a file of `groot threshold`: spans below their label's threshold are dropped.
        guide: steers the search, or the generator of free text.
        batch_size: texts searched together.
        dtype: arithmetic of the model.
        is_plain_text: a line is a text, not JSON.
        is_restarted: begin out anew where it is there already.
        events: is called with the progress.

    Raises:
        DataError: if the input cannot be opened.
        OutputError: if out is there and belongs to other texts, another model or other settings.
        ModelError: if there is neither a labeler nor a generator in the folder, or no calibration
            where one is asked for.
        ConfigError: if the thresholds are none, are not reachable, or are of other predictions.
    """
    if source == out != STANDARD:
        raise OutputError(f"{out}: input and output are the same file. Name another --out.")
    choose, reward = _choice(choose, reward, guide)
    if choose == "mbr" and candidates < 2:
        raise ConfigError(
            f"--choose mbr cannot choose among --candidates {candidates}. A guide of groot steer"
            " may ask for it by itself: --choose top."
        )
    if guide is not None and thresholds is not None:
        raise ConfigError("--thresholds hold for unguided labels: leave out --guide.")
    start = time.monotonic()
    with ExitStack() as stack:
        # Input and model first: where they fail, nothing is written.
        lines = number_lines(stack.enter_context(_open_input(source)), source)
        lines = chain(list(islice(lines, 1)), lines)
        model = load(folder)
        if dtype != "float32":
            model.model.to(getattr(torch, dtype))
        if not model.writes_labels and thresholds is not None:
            raise ConfigError("--thresholds hold for labels; this model writes texts.")
        limits = None
        if thresholds is not None:
            asked = ProbabilitySettings(
                top_k=top_k,
                choose=choose,
                reward=None if reward is None else tuple(reward),
                candidates=candidates,
                exact=exact,
                dtype=dtype,
            )
            limits = open_thresholds(thresholds, asked.binding(model, model_mark(folder)))
        steers = None if guide is None else opened_guide(guide, model)

        def label(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
            found = model.predict(
                [row.example for row in rows],
                top_k=top_k,
                choose=choose,
                reward=reward,
                mbr_candidates=candidates,
                guide=steers,
                probability_candidates=candidates,
                calibrated=calibrated,
                exact=exact,
                seed=0 if guide is None else guide.seed,
                batch_size=batch_size,
            )
            for row, one in zip(rows, found, strict=True):
                if one.candidates and isinstance(one.candidates[0].output, tuple):
                    done.spans += len(one.candidates[0].output)
                if one.exact is not None:
                    done.proven = (done.proven or 0) + one.exact
                kept = one if limits is None else above(one, limits, done)
                yield line_of(row, kept, task=model.task)

        output = stack.enter_context(ContinuedFile(out, is_restarted=is_restarted))
        done.out, total = out, _count_lines(source)
        rows = _rows(lines, source, output, done, events, is_plain_text=is_plain_text)
        done.continued_from = done.texts = _check_continued(output, rows, label)
        done.spans, done.proven, done.dropped = 0, None, 0  # the check is not of this start
        done.dropped_labels.clear()
        if done.texts:
            events(Note(f"{out} holds {done.texts} texts already; continuing after them"))
        events(StageStarted("predict", total, done.texts))
        labelling = time.monotonic()
        while texts := list(islice(rows, batch_size)):
            output.write(label(texts))
            done.texts += len(texts)
            done.labelling_s = time.monotonic() - labelling
            events(StepDone("predict", done.texts + done.bad_lines, total))
        done.seconds = time.monotonic() - start
        events(StageFinished("predict", done.seconds, {"texts": done.texts}))


def _choice(
    choose: Choice | None, reward: Sequence[str] | None, guide: GuideChoice | None
) -> tuple[Choice, Sequence[str] | None]:
    """What comes first and what "mbr" maximises: as asked for, or as a saved guide has it."""
    if guide is not None and holds_guide(guide.name):
        found, of = saved_choice(guide.name)
        if found is not None and choose in (None, found):
            if found == "mbr" and not reward:
                refuse_code(of or (), "guide")
            return found, reward or of
    return choose or "top", reward


def above(found: Prediction, limits: Thresholds, done: PredictedFile) -> Prediction:
    """The prediction without what is below its threshold; of the first candidate it is counted."""
    kept = above_thresholds(found, limits)
    if found.candidates:
        said, left = (items_of(each.candidates[0].output) for each in (found, kept))
        done.dropped += len(said) - len(left)
        for name in (label_of(item) for item in said if item not in left):
            if not limits.has_threshold(name):
                done.dropped_labels[name] = done.dropped_labels.get(name, 0) + 1
    return kept


def dropped_line(done: PredictedFile) -> str:
    """What thresholds did, in a line.

    >>> dropped_line(PredictedFile(spans=9, dropped=3, dropped_labels={"song": 2}))
    'dropped 3 of 9 spans: 1 below its threshold, 2 of labels without one (song)'
    """
    others = sum(done.dropped_labels.values())
    below = done.dropped - others
    parts = [f"{below} below {'its' if below == 1 else 'their'} threshold"]
    if others:
        parts.append(f"{others} of labels without one ({', '.join(sorted(done.dropped_labels))})")
    return f"dropped {done.dropped} of {done.spans} spans: {', '.join(parts)}"


def speed_line(done: PredictedFile) -> str:
    """How fast texts were labelled or written, in a line.

    >>> speed_line(PredictedFile(texts=3000, continued_from=1000, labelling_s=2.5))
    'predicted 2,000 texts in 2.5 s: 800 texts per second'
    >>> speed_line(PredictedFile(texts=3000, proven=2999, labelling_s=2.5))
    'predicted 3,000 texts in 2.5 s: 1,200 texts per second, 2,999 of them proven'
    """
    new = done.texts - done.continued_from
    rate = done.texts_per_second or 0.0
    shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    line = f"predicted {new:,} texts in {done.labelling_s:.1f} s: {shown} texts per second"
    if done.proven is None:
        return line
    return f"{line}, {'all' if done.proven == new else f'{done.proven:,}'} of them proven"


def _rows(
    lines: Iterable[tuple[int, str | Problem]],
    source: Path,
    output: ContinuedFile,
    done: PredictedFile,
    events: OnEvent,
    *,
    is_plain_text: bool,
) -> Iterator[Row]:
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


def _check_continued(output: ContinuedFile, rows: Iterator[Row], label: Label) -> int:
    """Move rows behind the texts that output holds already; return how many those are."""
    row: Row | None = None
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
    if row is not None and not is_same(next(label([row])), written):
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
