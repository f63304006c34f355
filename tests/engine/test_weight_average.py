import pytest
import torch
from torch import nn

from groot.engine.weight_average import WeightAverage, go_back
from groot.errors import CheckpointError, ShapeError


def model_of(value: float) -> nn.Linear:
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def test_value():
    # warm-up: decay_0 = 1/10, decay_1 = 2/11; start 1, then weights 2 and 3:
    # 0.1 * 1 + 0.9 * 2 = 1.9, then 2/11 * 1.9 + 9/11 * 3 = 2.8
    model = model_of(1.0)
    average = WeightAverage(model, decay=0.5)
    for value in (2.0, 3.0):
        nn.init.constant_(model.weight, value)
        average.update(model)
    torch.testing.assert_close(average.tensors()["weight"], torch.full((1, 2), 2.8))


def test_the_decay_holds_after_the_warm_up():
    model = model_of(0.0)
    average = WeightAverage(model, decay=0.5)
    average.updates = 1000
    nn.init.constant_(model.weight, 1.0)
    average.update(model)
    assert average.tensors()["weight"].tolist() == [[0.5, 0.5]]


def test_swapping_in_and_back_is_exact_even_after_an_error():
    model = model_of(0.1)
    own = model.weight.detach().clone()
    average = WeightAverage(model)
    average.restore({"weight": torch.full((1, 2), 9.0)}, 5)

    def fail_inside():
        with average.swap_in(model):
            assert model.weight.tolist() == [[9.0, 9.0]]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert torch.equal(model.weight, own)
    assert model.weight.requires_grad


def test_the_average_of_half_precision_weights_is_kept_in_full():
    model = model_of(1.0).bfloat16()
    average = WeightAverage(model, decay=0.0)
    assert average.tensors()["weight"].dtype == torch.float32
    average.update(model)
    with average.swap_in(model):
        assert model.weight.dtype == torch.bfloat16


def test_frozen_weights_stay_out_and_tied_ones_come_once():
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2), "c": nn.Linear(2, 2)})
    model["b"].weight = model["a"].weight
    model["c"].requires_grad_(False)
    assert set(WeightAverage(model).tensors()) == {"a.weight", "a.bias", "b.bias"}


def test_restoring_another_model_is_refused():
    with pytest.raises(CheckpointError, match="another model"):
        WeightAverage(model_of(0.0)).restore({"weight": torch.zeros(3, 2)}, 1)


def test_a_decay_of_one_would_never_learn():
    with pytest.raises(ShapeError, match=r"decay=1\.0"):
        WeightAverage(model_of(0.0), decay=1.0)


def test_going_back_takes_every_weight_once_tied_and_frozen_ones_too():
    def tied(value: float) -> nn.Sequential:
        model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
        model[1].weight = model[0].weight
        model.append(nn.Linear(2, 2, bias=False).requires_grad_(False))
        for weight in model.parameters():
            nn.init.constant_(weight, value)
        return model

    model = tied(4.0)
    go_back(model, tied(0.0), share=0.25)
    assert {value for weight in model.parameters() for value in weight.flatten().tolist()} == {3.0}
