"""A stage keeps the best weights, stops when asked or tired, and goes on in the same bits."""

import dataclasses
import json
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from groot.engine.batches import BatchOrder
from groot.engine.events import Note, StageFinished, StageStarted, StepDone
from groot.engine.loop import Batches
from groot.engine.marks import Marks, mark_of_tensors
from groot.engine.run_folder import RunFolder
from groot.engine.stage import (
    Interrupted,
    StageContext,
    StageResult,
    StageSettings,
    rate_at,
    train_stage,
)

INPUTS = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
TARGETS = INPUTS.sum(dim=1)
SETTINGS = StageSettings(
    "fit", passes=3, evaluations=6, seed=1, average_decay=0.5, checkpoint_every_s=0.0
)


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 1))


def collate(indices: list[int], step: int) -> tuple[Tensor, Tensor]:
    return INPUTS[indices], TARGETS[indices]


def squared_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    inputs, targets = batch
    return (model(inputs).squeeze(1) - targets) ** 2


class Stage:
    """Trains a stage in a folder; `measured` holds the marks of the weights that were measured.

    Args:
        values: of the measurements in their order; None measures the error.
        stop_after: steps of one start after which it is told to stop.
    """

    def __init__(self, folder: Path, values=None, stop_after: int | None = None) -> None:
        self.folder = folder
        self.values = values
        self.stop_after = stop_after
        self.model = small_model()
        self.measured: list[str] = []
        self.measuring_s = 0.0
        self.events: list[object] = []

    def measure(self) -> dict[str, float]:
        time.sleep(self.measuring_s)
        self.measured.append(mark_of_tensors(self.model.state_dict()))
        if self.values is not None:
            return {"goal": self.values[len(self.measured) - 1], "other": 0.0}
        self.model.eval()
        with torch.no_grad():
            error = float(squared_error(self.model, (INPUTS, TARGETS)).mean())
        return {"goal": -error, "other": 0.0}

    def should_stop(self) -> bool:
        if self.stop_after is None:
            return False
        self.stop_after -= 1
        return self.stop_after == 0

    def train(self, settings: StageSettings = SETTINGS, *, measure_first=False) -> StageResult:
        with RunFolder(self.folder) as run:
            run.check_same_run(Marks())
            context = StageContext(
                self.measure,
                "goal",
                run,
                Accelerator(cpu=True),
                self.events.append,
                self.should_stop,
            )
            return train_stage(
                self.model,
                squared_error,
                Batches(BatchOrder(12, batch_size=4, seed=1), collate),
                settings,
                context,
                parameter_groups=[{"params": list(self.model.parameters()), "lr": 0.1}],
                measure_first=measure_first,
            )

    @property
    def mark(self) -> str:
        return mark_of_tensors(self.model.state_dict())


def checkpoints(folder: Path, stage: str = "fit") -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints" / stage).glob("step-*"))


def names(*steps: int) -> list[str]:
    return [f"step-{step:08d}" for step in steps]


@pytest.mark.parametrize("keep", range(1, 8))
def test_as_many_checkpoints_stay_as_asked_for_in_each_stage_and_after_a_resume(tmp_path, keep):
    settings = dataclasses.replace(SETTINGS, keep_checkpoints=keep)
    with pytest.raises(Interrupted):
        Stage(tmp_path, stop_after=5).train(settings)
    assert checkpoints(tmp_path) == names(1, 2, 3, 4, 5)[-keep:]
    Stage(tmp_path).train(settings)
    assert checkpoints(tmp_path) == names(*range(1, 10))[-keep:]
    second = dataclasses.replace(settings, name="round 1", passes=2)
    Stage(tmp_path).train(second)
    assert checkpoints(tmp_path, "round 1") == names(*range(1, 7))[-keep:]
    assert checkpoints(tmp_path) == names(*range(1, 10))[-keep:]


@pytest.mark.parametrize("stop_after", [1, 4, 8])
def test_a_stage_that_was_stopped_ends_in_the_bits_of_an_unbroken_one(tmp_path, stop_after):
    unbroken = Stage(tmp_path / "unbroken")
    whole = unbroken.train()
    with pytest.raises(Interrupted, match=f"after step {stop_after} of 9"):
        Stage(tmp_path / "stopped", stop_after=stop_after).train()
    resumed = Stage(tmp_path / "stopped")
    result = resumed.train()
    assert resumed.mark == unbroken.mark
    assert (result.best, result.best_step, result.steps) == (
        whole.best,
        whole.best_step,
        whole.steps,
    )
    assert log_of(tmp_path / "stopped") == log_of(tmp_path / "unbroken")


def log_of(folder: Path) -> list[dict]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key != "step_time"}
        for line in lines
    ]


def test_the_best_measured_weights_are_kept_the_first_of_equals(tmp_path):
    stage = Stage(tmp_path, values=[0.1, 0.4, 0.3, 0.4, 0.2, 0.4])
    result = stage.train()
    assert (result.best, result.best_step, result.steps) == (0.4, 3, 9)
    assert stage.mark == stage.measured[1]  # averaged weights, as they were measured
    assert len(set(stage.measured)) == 6


@pytest.mark.parametrize("stop_after", [3, 5])
def test_the_best_weights_outlive_a_stop(tmp_path, stop_after):
    values = [0.1, 0.9, 0.3, 0.4, 0.2, 0.4]
    first = Stage(tmp_path, values=values, stop_after=stop_after)
    with pytest.raises(Interrupted):
        first.train()
    second = Stage(tmp_path, values=values[len(first.measured) :])
    assert second.train().best_step == 3
    assert second.mark == first.measured[1]


def test_it_is_the_average_of_the_weights_that_is_measured_and_kept(tmp_path):
    averaged, plain = Stage(tmp_path / "averaged"), Stage(tmp_path / "plain")
    averaged.train()
    plain.train(dataclasses.replace(SETTINGS, average_decay=0.0))
    assert not set(averaged.measured) & set(plain.measured)
    steps = [
        [{**line, "eval_goal": None} for line in log_of(tmp_path / name)]
        for name in ("averaged", "plain")
    ]
    assert steps[0] == steps[1]  # the steps themselves are taken on the plain weights


def test_seconds_are_over_all_the_starts(tmp_path):
    first = Stage(tmp_path, stop_after=5)
    first.measuring_s = 0.2
    with pytest.raises(Interrupted):
        first.train()
    second = Stage(tmp_path)
    started = time.perf_counter()
    seconds = second.train().seconds
    assert seconds > time.perf_counter() - started + 0.2 * len(first.measured) - 0.1
    assert (second.events[-1].seconds, len(first.measured)) == (seconds, 3)


def test_whoever_watches_is_told_of_each_step_and_of_where_it_goes_on(tmp_path):
    first = Stage(tmp_path, stop_after=7)
    with pytest.raises(Interrupted):
        first.train()
    second = Stage(tmp_path)
    result = second.train()
    assert first.events[0] == StageStarted("fit", 9, 0)
    assert second.events[:2] == [Note("fit: continuing from step 7"), StageStarted("fit", 9, 7)]
    steps = [event for event in [*first.events, *second.events] if isinstance(event, StepDone)]
    assert [event.step for event in steps] == list(range(1, 10))
    assert "eval_goal" in steps[-1].values
    finished = StageFinished("fit", result.seconds, {"steps": 9, "dev goal": result.best})
    assert second.events[-1] == finished


def test_a_stage_that_is_measured_first_never_ends_with_worse_weights(tmp_path):
    stage = Stage(tmp_path, values=[0.5, 0.1, 0.4, 0.3, 0.4, 0.2, 0.5])
    before = stage.mark
    result = stage.train(measure_first=True)
    assert (result.best, result.best_step) == (0.5, 0)
    assert stage.mark == before == stage.measured[0]


def test_a_tired_stage_stops_and_stays_stopped(tmp_path):
    settings = dataclasses.replace(SETTINGS, patience=2)
    stage = Stage(tmp_path, values=[0.1, 0.4, 0.3, 0.4, 0.9, 0.9])
    result = stage.train(settings)
    assert (result.best_step, result.steps) == (3, 6)
    again = Stage(tmp_path, values=[])
    assert again.train(settings).best_step == 3
    assert again.measured == []
    assert again.mark == stage.mark


def test_a_number_that_is_not_one_is_never_the_best(tmp_path):
    nan = float("nan")
    stage = Stage(tmp_path / "some", values=[nan, 0.05, nan, 0.2, nan, 0.1])
    assert stage.train().best == 0.2
    assert stage.mark == stage.measured[3]
    none = Stage(tmp_path / "none", values=[nan] * 6)
    assert none.train().best_step == -1  # the last weights stay, and no measurement is claimed


def test_dev_is_measured_as_often_as_asked_the_last_time_at_the_end(tmp_path):
    for evaluations, expected in ((1, [9]), (2, [4, 9]), (4, [2, 4, 7, 9]), (50, [*range(1, 10)])):
        folder = tmp_path / str(evaluations)
        Stage(folder).train(dataclasses.replace(SETTINGS, evaluations=evaluations))
        lines = (folder / "log.jsonl").read_text().splitlines()
        log = [json.loads(line) for line in lines]
        assert [line["step"] for line in log if "eval_goal" in line] == expected


def test_a_checkpoint_is_taken_only_when_it_is_time_and_at_the_end(tmp_path):
    Stage(tmp_path).train(dataclasses.replace(SETTINGS, checkpoint_every_s=3600.0))
    assert checkpoints(tmp_path) == names(9)


def test_the_rate_rises_to_one_and_falls_but_never_to_nothing():
    rates = [rate_at(step, 100, 0.1) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates[9] == 1.0 == max(rates)
    assert all(before > after for before, after in pairwise(rates[9:]))
    assert rates[-1] == pytest.approx(1 / 91)
    assert rate_at(1, 1, 0.0) == 1.0


def test_the_log_of_a_stage_without_a_checkpoint_starts_again(tmp_path):
    """Killed before the first checkpoint: the steps are taken, and logged, again."""
    settings = dataclasses.replace(SETTINGS, checkpoint_every_s=3600.0)
    pid = os.fork()
    if pid == 0:
        stage = Stage(tmp_path)
        stage.should_stop = lambda: os._exit(9) if stage.measured[2:] else False
        stage.train(settings)
    os.waitpid(pid, 0)
    assert len(log_of(tmp_path)) > 0
    Stage(tmp_path).train(settings)
    assert [line["step"] for line in log_of(tmp_path)] == list(range(1, 10))
