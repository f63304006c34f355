import pytest
import torch
from torch import nn

from groot.training.stage import adamw


def groups_of(weights: list[nn.Parameter]) -> list[dict]:
    return [
        {"params": weights[:1], "lr": 0.1, "weight_decay": 0.01},
        {"params": weights[1:], "lr": 0.01, "weight_decay": 0.0},
    ]


def test_it_takes_the_steps_of_plain_adamw():
    torch.manual_seed(0)
    start = [torch.randn(3, 5), torch.randn(7)]
    gradients = [[torch.randn_like(weight) for weight in start] for _ in range(4)]
    reached = []
    for make in (adamw, lambda groups: torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=False)):
        weights = [nn.Parameter(weight.clone()) for weight in start]
        optimizer = make(groups_of(weights))
        for of_step in gradients:
            for weight, gradient in zip(weights, of_step, strict=True):
                weight.grad = gradient.clone()
            optimizer.step()
        reached.append([weight.detach() for weight in weights])
    torch.testing.assert_close(reached[0], reached[1])
    assert not torch.equal(reached[0][0], start[0])


@pytest.mark.parametrize(("device", "fused"), [("cpu", True), ("meta", None)])
def test_it_is_fused_on_a_cpu_only(device, fused):
    weight = nn.Parameter(torch.ones(2, device=device))
    assert adamw([{"params": [weight], "lr": 0.1}]).defaults["fused"] is fused
