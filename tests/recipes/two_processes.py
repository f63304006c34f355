"""Trains a tiny model for a few steps and writes what each step gave; see test_two_processes."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from groot.engine.batches import BatchOrder, step_seed
from groot.engine.interrupts import Interrupt
from groot.engine.loop import Batches, LossTerms, Schedule, train_steps
from groot.engine.processes import leave, make_accelerator
from groot.engine.weight_average import WeightAverage


class EncoderDecoder(nn.Module):
    """Two parts that the loss calls one by one, never the whole, and one that it never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 8)
        self.decoder = nn.Linear(8, 1)


def loss_of(model: EncoderDecoder, batch: tuple[torch.Tensor, torch.Tensor]) -> LossTerms:
    inputs, targets = batch
    states = torch.tanh(model.encoder(inputs))
    loss = sum((model.decoder(states).squeeze(1) - k * targets) ** 2 for k in (1, 2))
    return LossTerms(loss, {"positive": torch.where(targets > 0, targets, torch.nan)})


def main(out: Path, micro_batch_size: int | None) -> None:
    torch.manual_seed(0)
    accelerator = make_accelerator(cpu=True)
    model = EncoderDecoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    average = WeightAverage(model, decay=0.9)
    inputs = torch.randn(21, 4, generator=torch.Generator().manual_seed(1))
    lengths = [1 + index % 5 for index in range(21)]

    def collate(indices: list[int], step: int) -> tuple[torch.Tensor, torch.Tensor]:
        seed = step_seed(1, "fit", step)
        noise = [np.random.default_rng((seed, index)).normal(size=4) for index in indices]
        noisy = inputs[indices] + 0.1 * torch.from_numpy(np.stack(noise)).float()
        return noisy, inputs[indices].sum(dim=1)

    steps = []
    # Batches of 5, 5, 5, 5, 1: shares of 2 and 3, and one process without a share. Two loops, as
    # a run has two stages on the same model.
    for stage in ("fit", "optimise"):
        for step in train_steps(
            model,
            loss_of,
            optimizer,
            Batches(
                BatchOrder(21, batch_size=5, seed=3, lengths=lengths),
                collate,
                weight_of=lambda index: float(lengths[index]),
            ),
            Schedule(
                last_step=10,
                seed=1,
                stage=stage,
                learning_rate_at=lambda step: 1 / step,
                micro_batch_size=micro_batch_size,
            ),
            accelerator=accelerator,
            average=average,
        ):
            steps.append([step.loss, step.grad_norm, step.logs["positive"]])
    # One process is asked to stop, and all of them learn of it.
    interrupt = Interrupt()
    if accelerator.process_index == accelerator.num_processes - 1:
        interrupt.signal_number = 15
    stops = accelerator.gather(
        torch.tensor([interrupt.requested_anywhere(accelerator)], device=accelerator.device)
    ).tolist()
    weights = [weight.flatten().tolist() for weight in model.parameters()]
    averages = [weight.flatten().tolist() for weight in average.tensors().values()]
    result = {
        "processes": accelerator.num_processes,
        "steps": steps,
        "weights": weights + averages,
        "stops": stops,
    }
    (out / f"{accelerator.process_index}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) or None)
    leave(0)
