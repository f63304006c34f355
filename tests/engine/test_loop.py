import hashlib
import math

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from groot.engine.batches import BatchOrder
from groot.engine.loop import Batches, LossTerms, Schedule, train_steps
from groot.engine.training_state import TrainingState
from groot.engine.weight_average import WeightAverage
from groot.errors import ConfigError, ShapeError, TrainingError

N_EXAMPLES = 23
INPUTS = torch.randn(N_EXAMPLES, 4, generator=torch.Generator().manual_seed(0))
TARGETS = INPUTS.sum(dim=1)


def small_model(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))


def collate(indices: list[int], step: int) -> tuple[Tensor, Tensor]:
    return INPUTS[indices], TARGETS[indices]


def squared_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    inputs, targets = batch
    return (model(inputs).squeeze(1) - targets) ** 2


def steps(model, optimizer=None, loss_of=squared_error, **changes):
    settings = {
        "batch_at": BatchOrder(N_EXAMPLES, batch_size=5, seed=1),
        "collate": collate,
        "weight_of": None,
        "accelerator": Accelerator(cpu=True),
        "average": None,
        "last_step": 12,
        "seed": 1,
        **changes,
    }
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=0.01)
    batches = Batches(*(settings.pop(name) for name in ("batch_at", "collate", "weight_of")))
    more = {name: settings.pop(name) for name in ("accelerator", "average")}
    return train_steps(model, loss_of, optimizer, batches, Schedule(**settings), **more)


def sha256_of(model: nn.Module) -> str:
    weights = b"".join(weight.numpy().tobytes() for weight in model.state_dict().values())
    return hashlib.sha256(weights).hexdigest()


def one_step(**settings):
    """A step on the squares of w x for x = 1, 2 from w = 1 by SGD at rate 0.1, and the model."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    inputs = torch.tensor([[1.0], [2.0]])
    (step,) = steps(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1),
        lambda model, x: model(x).squeeze(1) ** 2,
        batch_at=lambda step: [0, 1],
        collate=lambda indices, step: inputs[indices],
        last_step=1,
        **settings,
    )
    return step, model


def test_a_step_worked_by_hand():
    # loss (w x - y)^2 for x = 1, 2 and y = 0, w = 1: losses 1 and 4, mean 2.5;
    # gradients 2 and 8, mean 5; SGD at rate 0.1: w = 1 - 0.5
    step, model = one_step(max_grad_norm=None)
    assert (step.number, step.loss, step.grad_norm, step.learning_rate) == (1, 2.5, 5.0, 0.1)
    assert (step.skipped, step.indices, step.logs) == (False, [0, 1], {})
    assert step.seconds > 0
    assert model.weight.item() == 0.5


def test_weights_and_clipping_worked_by_hand():
    # as above with weights 3 and 1: loss (3 * 1 + 1 * 4) / 4 = 1.75, gradient (6 + 8) / 4 = 3.5,
    # shortened to 1: w = 1 - 0.1
    step, model = one_step(max_grad_norm=1.0, weight_of=lambda index: [3.0, 1.0][index])
    assert (step.loss, step.grad_norm) == (1.75, 3.5)
    assert model.weight.item() == pytest.approx(0.9, abs=1e-6)


def test_learning_rates_are_factors_on_those_of_the_groups():
    model = small_model()
    optimizer = torch.optim.SGD(
        [
            {"params": model[0].parameters(), "lr": 1.0},
            {"params": model[3].parameters(), "lr": 10.0},
        ]
    )
    seen = []
    for step in steps(model, optimizer, learning_rate_at=lambda step: 0.1 / step, last_step=4):
        seen.append([group["lr"] for group in optimizer.param_groups])
        assert step.learning_rate == seen[-1][0]
    assert seen == [[0.1 / n, 10 * (0.1 / n)] for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_micro_batches_take_the_same_steps(size):
    plain, cut = small_model(), small_model()
    weights = {"weight_of": lambda index: 1.0 + index % 3}
    wanted = [step.loss for step in steps(plain, **weights)]
    losses = [step.loss for step in steps(cut, micro_batch_size=size, **weights)]
    assert losses == pytest.approx(wanted, abs=1e-6)
    for one, other in zip(plain.parameters(), cut.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_logs_are_means_over_the_examples_that_have_a_number():
    def with_logs(model: nn.Module, batch: tuple[Tensor, Tensor]) -> LossTerms:
        even = torch.where(batch[2] % 2 == 0, batch[2].double(), torch.nan)
        none = torch.full_like(even, torch.nan)
        return LossTerms(squared_error(model, batch[:2]), {"even": even, "none": none})

    (step,) = steps(
        small_model(),
        loss_of=with_logs,
        batch_at=lambda step: [1, 2, 3, 8],
        collate=lambda indices, step: (*collate(indices, step), torch.tensor(indices)),
        micro_batch_size=3,
        last_step=1,
    )
    assert step.logs["even"] == 5.0
    assert math.isnan(step.logs["none"])


def test_evaluating_between_steps_changes_nothing():
    plain, watched = small_model(0.3), small_model(0.3)
    for _ in steps(plain):
        pass
    for _ in steps(watched):
        watched.eval()
        torch.rand(7)
        watched(INPUTS).sum().backward()
        watched.zero_grad()
    assert sha256_of(plain) == sha256_of(watched)


def test_dropout_is_on_and_depends_on_the_seed():
    ends = set()
    for seed, stage in ((1, "fit"), (2, "fit"), (1, "optimise")):
        model = small_model(0.3)
        model.eval()
        for _ in steps(model, seed=seed, stage=stage):
            pass
        ends.add(sha256_of(model))
    assert len(ends) == 3


def test_a_loop_that_is_done_does_nothing():
    model = small_model()
    before = sha256_of(model)
    assert list(steps(model, first_step=13)) == []
    assert sha256_of(model) == before


# Resuming: the same bits (T1)


def groups(model: nn.Module) -> list[dict]:
    return [
        {"params": model[0].parameters(), "lr": 0.02, "weight_decay": 0.1},
        {"params": model[3].parameters(), "lr": 0.005, "betas": (0.8, 0.95)},
    ]


def train(folder, last_step: int, *, save_every: int | None = None) -> tuple[str, list, str]:
    """Go on from the newest checkpoint to last_step, and save every so often."""
    model = small_model(0.3)
    optimizer = torch.optim.AdamW(groups(model))
    average = WeightAverage(model, decay=0.9)
    state = TrainingState(folder, model, optimizer, average=average)
    found = state.restore()
    losses = list(found.state["losses"]) if found else []
    for step in steps(
        model,
        optimizer,
        first_step=found.step + 1 if found else 1,
        last_step=last_step,
        learning_rate_at=lambda step: 1 / (1 + step),
        average=average,
    ):
        losses.append(step.loss)
        if save_every and step.number % save_every == 0:
            state.save(step.number, {"losses": losses})
    with average.swap_in(model):
        averaged = sha256_of(model)
    return sha256_of(model), losses, averaged


def test_a_run_in_pieces_ends_in_the_same_bits(tmp_path):
    whole = train(tmp_path / "whole", 17)
    for stop in (2, 4, 9, 10, 16):  # steps behind the last checkpoint are lost, and taken again
        train(tmp_path / "pieces", stop, save_every=3)
    assert train(tmp_path / "pieces", 17, save_every=3) == whole
    assert len(whole[1]) == 17
    assert whole[0] != whole[2]


# Losses that are not finite (T9)


def spoil(at: dict[int, float], *, gradient: bool = False):
    """Losses with a number that is not finite at some steps; for gradients, only in backward."""

    class SpoilGradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx, loss, value):
            ctx.value = value
            return loss.clone()

        @staticmethod
        def backward(ctx, upstream):
            return upstream * ctx.value, None

    def loss_of(model: nn.Module, batch: tuple[Tensor, Tensor, int]) -> Tensor:
        loss = squared_error(model, batch[:2])
        value = at.get(batch[2], 1.0)
        return SpoilGradient.apply(loss, value) if gradient else loss * value

    def with_step(indices: list[int], step: int) -> tuple[Tensor, Tensor, int]:
        return (*collate(indices, step), step)

    return {"loss_of": loss_of, "collate": with_step}


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_step_that_is_not_finite_changes_nothing_but_is_told(value, gradient):
    model = small_model(0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    average = WeightAverage(model)
    before = sha256_of(model)
    taken = []
    order = BatchOrder(N_EXAMPLES, batch_size=5, seed=1)
    changes = spoil({3: value, 5: value, 6: value, 8: value}, gradient=gradient)
    for step in steps(model, optimizer, average=average, batch_at=order, **changes):
        assert (sha256_of(model) == before) == step.skipped
        before = sha256_of(model)
        assert all(weight.isfinite().all() for weight in model.parameters())
        assert step.indices == order(step.number)
        taken.append(step)
    assert [step.number for step in taken if step.skipped] == [3, 5, 6, 8]
    assert all(math.isfinite(step.loss) == (gradient or not step.skipped) for step in taken)
    assert average.updates == 8
    assert next(iter(optimizer.state.values()))["step"] == 8


def test_three_in_a_row_end_the_training():
    model = small_model()
    seen = []
    with pytest.raises(TrainingError, match="4 to 6") as caught:
        seen.extend(steps(model, **spoil(dict.fromkeys((1, 2, 4, 5, 6), math.nan))))
    assert "still those of step 3" in str(caught.value)


def test_the_third_one_is_yielded_so_that_it_can_be_logged():
    loop = steps(small_model(), **spoil(dict.fromkeys((1, 2, 3), math.nan)), last_step=3)
    assert [next(loop).skipped for _ in range(3)] == [True, True, True]
    with pytest.raises(TrainingError):
        next(loop)


# What is refused


def test_a_loss_that_is_already_averaged_is_refused():
    with pytest.raises(ShapeError, match=r"'loss' has shape \[\] for 5 examples"):
        next(steps(small_model(), loss_of=lambda model, batch: squared_error(model, batch).mean()))


def test_an_accelerator_that_accumulates_by_itself_is_refused():
    class Accumulating:
        gradient_accumulation_steps = 2

    with pytest.raises(ConfigError, match="micro_batch_size"):
        next(steps(small_model(), accelerator=Accumulating()))


def test_an_empty_batch_and_a_batch_without_weight_are_refused():
    with pytest.raises(ShapeError, match="0 examples"):
        next(steps(small_model(), batch_at=lambda step: []))
    with pytest.raises(ShapeError, match=r"total weight 0\.0"):
        next(steps(small_model(), weight_of=lambda index: 0.0))


def test_a_learning_rate_that_is_not_finite_is_refused():
    model = small_model()
    with pytest.raises(TrainingError, match="nan"):
        next(steps(model, learning_rate_at=lambda step: math.nan))
    assert all(weight.isfinite().all() for weight in model.parameters())
