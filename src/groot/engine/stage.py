"""A stage of training: steps, dev measurements spread evenly, the best weights kept, resumable.

Both `fit` and each round of `optimise` are stages; they differ in batches and loss only.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from groot.engine.batches import BatchOrder
from groot.engine.events import Note, OnEvent, StageFinished, StageStarted, StepDone
from groot.engine.loop import Batches, LossOf, Schedule, Step, train_steps
from groot.engine.run_folder import RunFolder
from groot.engine.training_state import TrainingState
from groot.engine.weight_average import WeightAverage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageSettings:
    """How a stage is trained.

    Args:
        name: "fit", "round 1".
        passes: passes over the training set.
        evaluations: dev measurements, spread evenly over the steps; the last after the last step.
        patience: stop after so many measurements without an improvement; None never stops early.
        warmup: share of the steps with a rising rate; then it falls linearly to 0.
        max_grad_norm: longer gradients are shortened to this.
        average_decay: decay of the average of the weights that is measured and kept; 0 for none.
        checkpoint_every_s: seconds between checkpoints; 0 saves after every step.
        keep_checkpoints: checkpoints that stay.
    """

    name: str
    passes: int
    evaluations: int
    seed: int
    patience: int | None = None
    warmup: float = 0.05
    max_grad_norm: float = 1.0
    average_decay: float = 0.0
    checkpoint_every_s: float = 60.0
    keep_checkpoints: int = 2


@dataclass(frozen=True, slots=True)
class StageResult:
    """What came of a stage; the model has the best weights.

    Args:
        best: dev measurement of the weights that were kept.
        best_step: when it was taken; 0 is before the first step, -1 where no measurement was a
            number, and the last weights stay.
        steps: steps that were taken.
        seconds: over all the starts of the run.
    """

    best: float
    best_step: int
    steps: int
    seconds: float


class Interrupted(Exception):
    """Training was asked to stop, and has saved a checkpoint."""


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a stage works with and reports to.

    Args:
        measure: dev numbers of the model as it is; called with the averaged weights swapped in.
        selects_on: which of them is higher for better weights.
        run: where log and checkpoints go; a checkpoint of a stage of this name is continued.
        accelerator: on what, and with how many processes.
        events: told what happens.
        should_stop: asked after each step; True saves a checkpoint and raises Interrupted.
    """

    measure: Callable[[], Mapping[str, float]]
    selects_on: str
    run: RunFolder
    accelerator: Accelerator
    events: OnEvent
    should_stop: Callable[[], bool]


@dataclass
class _Progress:
    """How far a stage has come; the JSON part of its checkpoints."""

    best: float | None = None
    best_step: int = -1
    waited: int = 0
    seconds: float = 0.0
    done: bool = False
    log_position: int | None = None

    def take(self, value: float, step: int) -> bool:
        """Note a dev measurement; True where it is the best so far."""
        if math.isnan(value) or (self.best is not None and value <= self.best):
            self.waited += 1
            return False
        self.best, self.best_step, self.waited = value, step, 0
        return True


def train_stage(
    model: nn.Module,
    loss_of: LossOf,
    batches: Batches,
    settings: StageSettings,
    context: StageContext,
    *,
    parameter_groups: list[dict[str, Any]],
    measure_first: bool = False,
) -> StageResult:
    """Train, and leave the weights with the best dev measurement in the model.

    Args:
        model, loss_of, batches: what learns from what, see `train_steps`.
        settings: for how long, and what is kept.
        context: what measures, and who is told.
        parameter_groups: of AdamW.
        measure_first: also measure before the first step, so that a stage never ends with worse
            weights than it began with.

    Raises:
        Interrupted: after saving, if should_stop said so.
        TrainingError: if losses stay non-finite, or the disk is full.
    """
    run, events = context.run, context.events
    last_step = settings.passes * batches.order.steps_per_epoch
    optimizer = torch.optim.AdamW(parameter_groups, betas=(0.9, 0.98), fused=True)
    average = WeightAverage(model, decay=settings.average_decay) if settings.average_decay else None
    state = TrainingState(
        run.checkpoints(settings.name),
        model,
        optimizer,
        average=average,
        keep=settings.keep_checkpoints,
        is_writer=context.accelerator.is_main_process,
    )
    state.check_space()
    progress, best = _Progress(), dict[str, Tensor]()
    found = state.restore()
    if found is not None:
        progress = _Progress(**found.state)
        best = found.tensors("best") if progress.best_step >= 0 else {}
        events(Note(f"{settings.name}: continuing from step {found.step}"))
    done_steps = 0 if found is None else found.step
    run.rewind_log(progress.log_position)
    events(StageStarted(settings.name, last_step, done_steps))
    started = time.perf_counter() - progress.seconds
    saved_at = time.perf_counter()

    def evaluate(step: int) -> dict[str, float]:
        with average.swap_in(model) if average is not None else nullcontext():
            numbers = dict(context.measure())
            if progress.take(numbers[context.selects_on], step):
                best.update(_trained_weights(model))
        return {f"eval_{name}": number for name, number in numbers.items()}

    if found is None and measure_first:
        run.log({"step": 0, "stage": settings.name, **evaluate(0)})
    evaluations = range(1, settings.evaluations + 1)
    evaluate_at = {max(1, round(last_step * i / settings.evaluations)) for i in evaluations}
    for step in train_steps(
        model,
        loss_of,
        optimizer,
        batches,
        Schedule(
            first_step=done_steps + 1,
            last_step=0 if progress.done else last_step,
            seed=settings.seed,
            stage=settings.name,
            learning_rate_at=lambda number: rate_at(number, last_step, settings.warmup),
            max_grad_norm=settings.max_grad_norm,
        ),
        accelerator=context.accelerator,
        average=average,
    ):
        done_steps = step.number
        line = _line(step, settings.name, batches.order)
        if step.number in evaluate_at:
            line |= evaluate(step.number)
        run.log(line)
        events(StepDone(settings.name, step.number, last_step, step.loss, _worth_showing(line)))
        is_late = time.perf_counter() - saved_at >= settings.checkpoint_every_s
        is_tired = settings.patience is not None and progress.waited >= settings.patience
        progress.done = is_tired or step.number == last_step
        stop = context.should_stop()
        if is_late or stop or progress.done:
            progress.seconds = time.perf_counter() - started
            progress.log_position = run.sync_log()
            state.save(step.number, asdict(progress), {"best": best} if best else None)
            saved_at = time.perf_counter()
        if progress.done:
            break
        if stop:
            raise Interrupted(f"{settings.name}: stopped after step {step.number} of {last_step}")
    _put_weights(model, best)
    seconds = time.perf_counter() - started
    value = math.nan if progress.best is None else progress.best
    values = {"steps": done_steps, f"dev {context.selects_on}": value}
    events(StageFinished(settings.name, seconds, values))
    return StageResult(value, progress.best_step, done_steps, seconds)


def _trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the weights that are trained, by name."""
    return {
        name: weight.detach().clone()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


@torch.no_grad()
def _put_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, weight in model.named_parameters():
        if name in weights:
            weight.copy_(weights[name])


def _worth_showing(line: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a log line that a progress display has room for."""
    wanted = ("eval_", "reward")
    return {k: v for k, v in line.items() if isinstance(v, float) and k.startswith(wanted)}


def rate_at(step: int, last_step: int, warmup: float) -> float:
    """Factor on the learning rate: linear up over the warm-up, then linear down to 0.

    >>> [round(rate_at(step, 10, 0.2), 3) for step in (1, 2, 3, 10)]
    [0.5, 1.0, 0.889, 0.111]
    """
    rising = max(1, round(warmup * last_step))
    if step <= rising:
        return step / rising
    return (last_step - step + 1) / (last_step - rising + 1)


def _line(step: Step, stage: str, order: BatchOrder) -> dict[str, Any]:
    """A step as a line of log.jsonl."""
    line: dict[str, Any] = {
        "step": step.number,
        "stage": stage,
        "epoch": round(step.number / order.steps_per_epoch, 4),
        "loss": step.loss,
        "grad_norm": step.grad_norm,
        "learning_rate": step.learning_rate,
        "step_time": round(step.seconds, 4),
        **step.logs,
    }
    if step.skipped:
        line["skipped"] = True
        line["indices"] = step.indices
    return line
