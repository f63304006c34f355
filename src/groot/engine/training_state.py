"""What a training run must save to go on in the same bits: weights, optimizer, their average."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groot.engine.checkpoints import (
    Checkpoint,
    latest_checkpoint,
    save_checkpoint,
    size_in_bytes,
)
from groot.engine.files import free_space_check, remove_leftovers
from groot.engine.weight_average import WeightAverage
from groot.errors import CheckpointError

log = logging.getLogger(__name__)

_MOMENTS = 2  # tensors that Adam keeps for each trained weight


class TrainingState:
    """Saves a model, its optimizer and the average of its weights, and puts them back.

    Weights without requires_grad are not saved: with LoRA they are the base model, which is loaded
    from its own folder. What they add up to is saved, and compared on restoring.

    Args:
        folder: where the checkpoints of this stage live.
        model: the plain model, in the state in which every start of the run makes it.
        optimizer: the plain optimizer.
        average: None where no average is kept.
        keep: checkpoints that stay.
        is_writer: whether this process saves; with several processes, only the main one does.

    >>> import tempfile
    >>> model = nn.Linear(2, 1)
    >>> optimizer = torch.optim.AdamW(model.parameters())
    >>> state = TrainingState(Path(tempfile.mkdtemp()), model, optimizer)
    >>> state.restore() is None
    True
    >>> _ = state.save(10, {"best": 0.5})
    >>> _ = nn.init.zeros_(model.weight)
    >>> state.restore().state, bool(model.weight.any())
    ({'best': 0.5}, True)
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        average: WeightAverage | None = None,
        keep: int = 2,
        is_writer: bool = True,
    ) -> None:
        self.folder = folder
        self.model = model
        self.optimizer = optimizer
        self.average = average
        self.keep = keep
        self.is_writer = is_writer
        named = dict(model.named_parameters(remove_duplicate=False))  # tied weights, all names
        frozen = {name: weight for name, weight in named.items() if not weight.requires_grad}
        self._frozen = set(frozen)
        self._frozen_sum = sum(float(w.sum(dtype=torch.float64)) for w in frozen.values())
        if is_writer:
            remove_leftovers(folder)

    def needed_bytes(self) -> int:
        """What the checkpoints will take at most, their best weights too; known at the start."""
        weights = size_in_bytes({"model": self._model_tensors()})
        trained = sum(p.nbytes for p in self.model.parameters() if p.requires_grad)
        averaged = 0 if self.average is None else size_in_bytes({"a": self.average.tensors()})
        best = trained
        return (weights + _MOMENTS * trained + averaged + best) * (self.keep + 1)

    def check_space(self) -> None:
        """Raise a TrainingError where the checkpoints will not fit; ask before the first step."""
        free_space_check(self.folder, self.needed_bytes())

    def save(
        self,
        step: int,
        state: Mapping[str, Any] | None = None,
        tensors: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> None:
        """Save a checkpoint after `step`.

        Args:
            step: the last step that is in the weights.
            state: what the recipe itself must know to go on, as plain JSON.
            tensors: more tensors of the recipe, by file name, such as the best weights so far.
        """
        if not self.is_writer:
            return
        moments, optimizer = optimizer_to_tensors(self.optimizer)
        saved: dict[str, Mapping[str, Tensor]] = dict(tensors or {})
        saved |= {"model": self._model_tensors(), "optimizer": moments}
        if self.average is not None:
            saved["average"] = self.average.tensors()
        own = {
            "optimizer": optimizer,
            "frozen_sum": self._frozen_sum,
            "average_updates": None if self.average is None else self.average.updates,
        }
        save_checkpoint(
            self.folder,
            step=step,
            tensors=saved,
            state={"recipe": dict(state or {}), "training": own},
            keep=self.keep,
        )

    def restore(self) -> Checkpoint | None:
        """Put back the newest checkpoint that verifies; its `state` is the recipe's own.

        Returns:
            The checkpoint, or None where there is none, which leaves everything as it is.

        Raises:
            CheckpointError: all checkpoints are damaged, or the newest is of another model,
                optimizer or average.
        """
        found = latest_checkpoint(self.folder)
        if found is None:
            return None
        own = found.state["training"]
        # Not equality: another number of threads adds up in another order.
        if not math.isclose(own["frozen_sum"], self._frozen_sum, rel_tol=1e-9, abs_tol=1e-9):
            raise CheckpointError(
                f"{found.folder}: the weights that are not trained differ from those it was saved "
                "with. Is the base model still the same?"
            )
        if (own["average_updates"] is None) != (self.average is None):
            raise CheckpointError(f"{found.folder}: only one of it and this run averages weights.")
        self._restore_model(found)
        optimizer_from_tensors(self.optimizer, found.tensors("optimizer"), own["optimizer"])
        if self.average is not None:
            self.average.restore(found.tensors("average"), own["average_updates"])
        log.info("restored %s", found.folder)
        return Checkpoint(found.folder, found.step, found.state["recipe"])

    def _model_tensors(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.model.state_dict()
        return {name: tensor for name, tensor in state.items() if name not in self._frozen}

    def _restore_model(self, found: Checkpoint) -> None:
        tensors = found.tensors("model")
        expected = {name: tensor.shape for name, tensor in self._model_tensors().items()}
        saved = {name: tensor.shape for name, tensor in tensors.items()}
        if expected != saved:
            other = sorted(
                name
                for name in expected.keys() | saved.keys()
                if expected.get(name) != saved.get(name)
            )
            raise CheckpointError(
                f"{found.folder} is of another model: {len(other)} weights differ in name or "
                f"shape, the first is {other[0]!r}."
            )
        self.model.load_state_dict(tensors, strict=False)


def optimizer_to_tensors(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as flat tensors, and the rest of it as JSON.

    Raises:
        CheckpointError: the optimizer keeps something that is neither.

    >>> weight = nn.Parameter(torch.ones(2))
    >>> optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    >>> weight.grad = torch.ones(2)
    >>> _ = optimizer.step()
    >>> optimizer_to_tensors(optimizer)[0]
    {'state.0.momentum_buffer': tensor([1., 1.])}
    """
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    for index, values in state["state"].items():
        tensors |= {
            f"state.{index}.{key}": value
            for key, value in values.items()
            if isinstance(value, Tensor)
        }
    for index, group in enumerate(state["param_groups"]):
        tensors |= {
            f"group.{index}.{key}": value
            for key, value in group.items()
            if isinstance(value, Tensor)
        }
    rest = {
        "state": {str(index): _plain(values) for index, values in state["state"].items()},
        "param_groups": [_plain(group) for group in state["param_groups"]],
    }
    return tensors, rest


def optimizer_from_tensors(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]
) -> None:
    """Put back what `optimizer_to_tensors` gave, bit for bit.

    Raises:
        CheckpointError: it is of an optimizer over other parameters.
    """
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    saved_sizes = [len(group["params"]) for group in rest["param_groups"]]
    if sizes != saved_sizes:
        raise CheckpointError(
            f"The optimizer in the checkpoint has groups of {saved_sizes} parameters, this one "
            f"of {sizes}."
        )
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state = {int(index): _lively(values) for index, values in rest["state"].items()}
    groups = [_lively(group) for group in rest["param_groups"]]
    for name, tensor in tensors.items():
        kind, index, key = name.split(".", 2)
        if kind == "state":
            weight = weights[int(index)]
            if not _fits(tensor, weight):
                raise CheckpointError(
                    f"The optimizer in the checkpoint has {key} of shape {list(tensor.shape)} for "
                    f"a parameter of shape {list(weight.shape)}."
                )
            state[int(index)][key] = tensor
        else:
            groups[int(index)][key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _fits(moment: Tensor, weight: Tensor) -> bool:
    """Whether it can belong to the weight: a number, of its shape, or of its rows or columns."""
    sizes = zip(moment.shape, weight.shape, strict=False)
    is_part = moment.ndim == weight.ndim and all(a in (1, b) for a, b in sizes)
    return moment.ndim == 0 or is_part


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that are no tensors, as JSON; a tuple becomes {"tuple": [...]}."""
    plain: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Tensor):
            continue
        plain[key] = {"tuple": list(value)} if isinstance(value, tuple) else value
        parts = value if isinstance(value, list | tuple) else [value]
        if not all(part is None or isinstance(part, bool | int | float | str) for part in parts):
            raise CheckpointError(f"The optimizer keeps {key}={value!r}, which no JSON can carry.")
    return plain


def _lively(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: tuple(value["tuple"]) if isinstance(value, dict) else value
        for key, value in plain.items()
    }
