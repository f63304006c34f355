"""The training loop: a generator of steps that knows no task, no model and no file.

A recipe gives the functions, and logs, evaluates and saves between the steps:

    batches = Batches(order, collate)
    schedule = Schedule(first_step=done + 1, last_step=1000, seed=1, stage="fit")
    for step in train_steps(model, loss_of, optimizer, batches, schedule, accelerator=accelerator):
        run.log({"step": step.number, "loss": step.loss, ...})
        if step.number % 100 == 0:
            state.save(step.number)

The loss of a step is sum(weight * loss) / sum(weight) over all its examples, whatever the number of
processes and the size of micro-batches: each process adds up its share and divides by the sum of
weights of the whole batch, which it knows from the indices, before anything is exchanged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn

from groot.engine.batches import BatchOrder, share_of_process, step_seed
from groot.engine.weight_average import WeightAverage
from groot.errors import ConfigError, ShapeError, TrainingError

SKIPS_IN_A_ROW = 3  # so many steps without a finite loss and gradient end the training


@dataclass(frozen=True)
class LossTerms:
    """What a loss function may return, where a plain tensor of losses is not all there is to say.

    Args:
        loss: [B] loss of each example, to be minimised.
        logs: by name, [B] numbers worth logging; NaN where an example has none. A step logs the
            mean over the examples that have one. Every batch must give the same names.
    """

    loss: Tensor
    logs: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A step that has been taken, or skipped.

    Args:
        number: from 1.
        loss: weighted mean over all examples of the step.
        grad_norm: Euclidean norm of the whole gradient, before clipping.
        learning_rate: of the first group of the optimizer.
        seconds: of computing; what happens between two steps is not counted.
        skipped: the loss or the gradient was not finite, so the weights did not change.
        indices: the examples of the step, over all processes.
        logs: means over all examples of the step; NaN where none had a number.
    """

    number: int
    loss: float
    grad_norm: float
    learning_rate: float
    seconds: float
    skipped: bool
    indices: list[int]
    logs: dict[str, float]


LossOf = Callable[[Any, Any], LossTerms | Tensor]
Collate = Callable[[list[int], int], Any]


@dataclass(frozen=True)
class Batches:
    """What the steps learn from.

    Args:
        order: step -> indices of *all* its examples, see `batches.BatchOrder`; the same on every
            process.
        collate: (indices, step) -> batch, anything at all, of the examples that this process has;
            moved to the device if made of tensors. Its noise must follow from its arguments.
        weight_of: index -> weight of the example, >= 0, such as the tokens of its target for a
            mean over tokens; all 1 where not given.
    """

    order: BatchOrder
    collate: Collate
    weight_of: Callable[[int], float] | None = None

    def weights(self, indices: Sequence[int]) -> list[float]:
        """The weight of each example."""
        return [1.0 if self.weight_of is None else self.weight_of(index) for index in indices]


@dataclass(frozen=True)
class Schedule:
    """Which steps are taken, and how.

    Args:
        last_step: the last step, included; nothing is done where it is below first_step.
        seed, stage: with the step and the process, these seed torch before each step.
        first_step: one more than the step of the checkpoint that was restored.
        learning_rate_at: step -> factor on the rate that each group of the optimizer was made
            with; 1 where not given.
        max_grad_norm: longer gradients are shortened to this; None leaves them as they are.
        micro_batch_size: examples per forward pass and process, to save memory; the step
            stays the same but for dropout.
    """

    last_step: int
    seed: int
    first_step: int = 1
    stage: str = "fit"
    learning_rate_at: Callable[[int], float] | None = None
    max_grad_norm: float | None = 1.0
    micro_batch_size: int | None = None


def train_steps(
    model: nn.Module,
    loss_of: LossOf,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    schedule: Schedule,
    *,
    accelerator: Accelerator,
    average: WeightAverage | None = None,
) -> Iterator[Step]:
    """Take the steps of a schedule, and yield each one after it is taken.

    Args:
        model: the plain model, not one that was prepared by accelerate; `loss_of` is given it
            and may call any part of it, as often as it likes.
        loss_of: (model, batch) -> LossTerms, or a tensor [B] of losses.
        optimizer: the plain optimizer over the model's parameters.
        batches: what is learnt from.
        schedule: which steps are taken, and how.
        accelerator: says on what, in which precision and with how many processes.
        average: updated after each step that is not skipped.

    Raises:
        TrainingError: the loss or gradient was not finite in 3 steps in a row, the last of which
            was still yielded. The weights are those from before the 3.
    """
    if accelerator.gradient_accumulation_steps != 1:
        raise ConfigError(
            "The accelerator has gradient_accumulation_steps="
            f"{accelerator.gradient_accumulation_steps}; leave it at 1 and use micro_batch_size."
        )
    # The loss is inside what is prepared: DDP, FSDP and autocast act on this one forward, so
    # loss_of may call the encoder or the decoder alone without gradients getting lost.
    objective, stepper = accelerator.prepare(_Objective(model, loss_of), optimizer)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    stepper.zero_grad()
    skipped: list[int] = []
    limit = math.inf if schedule.max_grad_norm is None else schedule.max_grad_norm
    for number in range(schedule.first_step, schedule.last_step + 1):
        started = time.perf_counter()
        indices = list(batches.order(number))
        learning_rate = _set_learning_rate(optimizer, number, schedule.learning_rate_at)
        objective.train()
        process = accelerator.process_index
        torch.manual_seed(step_seed(schedule.seed, schedule.stage, number, process))
        size = schedule.micro_batch_size or len(indices)
        loss, logs = _backward(objective, indices, number, batches, accelerator, size)
        grad_norm = float(accelerator.clip_grad_norm_(trained, limit))
        is_finite = math.isfinite(loss) and math.isfinite(grad_norm)
        # In float16 the scaler tries too large a scale now and then: it skips and lowers it.
        is_rescaling = accelerator.scaler is not None and math.isfinite(loss)
        if is_finite or is_rescaling:
            stepper.step()
        if is_finite and average is not None:
            average.update(model)
        stepper.zero_grad()
        skipped = [] if is_finite or is_rescaling else [*skipped, number]
        seconds = time.perf_counter() - started
        yield Step(number, loss, grad_norm, learning_rate, seconds, not is_finite, indices, logs)
        if len(skipped) == SKIPS_IN_A_ROW:
            raise TrainingError(
                f"{schedule.stage}: the loss or the gradient was not finite in {SKIPS_IN_A_ROW} "
                f"steps in a row, {skipped[0]} to {number} (loss {loss}, gradient norm "
                f"{grad_norm}). The weights are still those of step {skipped[0] - 1}. Last "
                f"examples: {indices}. "
                "Try a lower learning rate, and look at these examples."
            )


class _Objective(nn.Module):
    """A model and its loss as one module: (batch, weights) -> weighted sum, losses, logs."""

    def __init__(self, model: nn.Module, loss_of: LossOf) -> None:
        super().__init__()
        self.model = model
        self.loss_of = loss_of

    def forward(self, batch: Any, weights: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        terms = self.loss_of(self.model, batch)
        if isinstance(terms, Tensor):
            terms = LossTerms(terms)
        for name, values in {"loss": terms.loss, **terms.logs}.items():
            if values.shape != weights.shape:
                raise ShapeError(
                    f"{name!r} has shape {list(values.shape)} for {len(weights)} examples; "
                    "give one number per example, not yet averaged."
                )
        logs = {name: values.detach() for name, values in terms.logs.items()}
        return (terms.loss * weights.to(terms.loss)).sum(), terms.loss.detach(), logs


def _set_learning_rate(
    optimizer: torch.optim.Optimizer, step: int, learning_rate_at: Callable[[int], float] | None
) -> float:
    factor = 1.0 if learning_rate_at is None else float(learning_rate_at(step))
    if not math.isfinite(factor):
        raise TrainingError(f"learning_rate_at({step}) gave {factor}; it must be finite.")
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    return float(optimizer.param_groups[0]["lr"])


def _backward(
    objective: nn.Module,
    indices: list[int],
    step: int,
    batches: Batches,
    accelerator: Accelerator,
    size: int,
) -> tuple[float, dict[str, float]]:
    """Add up the gradients of a step, `size` examples at once; its mean loss and means of logs."""
    n_processes = accelerator.num_processes
    total_weight = math.fsum(batches.weights(indices))
    if not total_weight > 0:
        raise ShapeError(f"step {step}: {len(indices)} examples of total weight {total_weight}.")
    share = share_of_process(indices, accelerator.process_index, n_processes)
    # Every process must run backward equally often: without a share, an example of weight 0.
    is_idle = not share
    parts = [share[start : start + size] for start in range(0, len(share), size)] or [indices[:1]]
    loss = 0.0
    sums: dict[str, list[float]] = {}
    for number, part in enumerate(parts, start=1):
        factors = [0.0] if is_idle else batches.weights(part)
        weights = torch.tensor(factors, dtype=torch.float64) / total_weight
        batch = send_to_device(batches.collate(part, step), accelerator.device)
        is_last = number == len(parts)
        with nullcontext() if is_last else accelerator.no_sync(objective):
            # Processes average their gradients; ours are parts of a sum.
            total, losses, logs = objective(batch, weights.to(torch.float32) * n_processes)
            accelerator.backward(total)
        if is_idle:
            sums = {name: [0.0, 0.0] for name in logs}
            continue
        loss += float((losses.cpu().to(torch.float64) * weights).sum())
        for name, values in logs.items():
            values = values.cpu().to(torch.float64)
            seen = sums.setdefault(name, [0.0, 0.0])
            seen[0] += float(values.nansum())
            seen[1] += float((~values.isnan()).sum())
    return _over_processes(loss, sums, accelerator)


def _over_processes(
    loss: float, sums: Mapping[str, list[float]], accelerator: Accelerator
) -> tuple[float, dict[str, float]]:
    numbers = [loss, *(number for name in sorted(sums) for number in sums[name])]
    if accelerator.num_processes > 1:
        shared = torch.tensor(numbers, dtype=torch.float64, device=accelerator.device)
        numbers = accelerator.reduce(shared, "sum").tolist()
    totals = numbers[1:]
    means = {
        name: totals[2 * place] / totals[2 * place + 1] if totals[2 * place + 1] else math.nan
        for place, name in enumerate(sorted(sums))
    }
    return numbers[0], means
