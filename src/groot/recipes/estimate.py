"""How long a run will take: a few steps of the real model on the real data, timed."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import torch

from groot.config import Config
from groot.rollouts.instances import Instance
from groot.search.label_search import first_width, next_width
from groot.writer.notation import Asked
from groot.writer.writer import Writer

STEPS = 3
TEXTS = 64


def seconds_per_step(
    writer: Writer, instances: Sequence[Instance], config: Config
) -> dict[str, float]:
    """Seconds of a fit step, of searching one text, and of a contrast step.

    Gradients are computed and thrown away: the writer is as before.
    """
    rng = random.Random(config.seed)
    notation, model = writer.notation, writer.model
    sizes = {"fit": (config.fit.batch_size, 1)}
    sizes["contrast"] = (config.optimise.batch_size, config.optimise.candidates_per_round)
    seconds: dict[str, float] = {}
    model.train()
    for name, (batch_size, n_candidates) in sizes.items():
        started = 0.0
        for step in range(STEPS + 1):
            if step == 1:  # the first one warms up
                started = time.perf_counter()
            batch = rng.choices(instances, k=batch_size)
            inputs = [notation.input_ids(instance.example) for instance in batch]
            targets = [[instance.target] * n_candidates for instance in batch]
            log_p, _ = notation.log_p(model, inputs, targets)
            log_p.sum().backward()
        seconds[name] = (time.perf_counter() - started) / STEPS
    for parameter in model.parameters():
        parameter.grad = None
    texts = [instance.example for instance in rng.choices(instances, k=TEXTS)]
    n_candidates = config.optimise.num_candidates
    asked = Asked(n_candidates, max_width=next_width(first_width(n_candidates)))
    started = time.perf_counter()
    with torch.no_grad():
        notation.answers(model, texts, asked)
    seconds["search"] = (time.perf_counter() - started) / TEXTS
    return seconds
