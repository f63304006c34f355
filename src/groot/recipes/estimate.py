"""How long a run will take: a few steps of the real model on the real data, timed."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import torch

from groot.config import Config
from groot.models.scoring import candidate_log_p
from groot.recipes.items import Item, Variation
from groot.search.label_search import Effort, first_width, label_search, next_width
from groot.writer.labeler import Labeler

STEPS = 3
TEXTS = 64


def seconds_per_step(labeler: Labeler, items: Sequence[Item], config: Config) -> dict[str, float]:
    """Seconds of a fit step, of searching one text, and of a contrast step.

    Gradients are computed and thrown away: the labeler is as before.
    """
    rng = random.Random(config.seed)
    variation = Variation(items)
    sizes = {"fit": (config.fit.batch_size, 1)}
    sizes["contrast"] = (config.optimise.batch_size, config.optimise.candidates_per_round)
    seconds: dict[str, float] = {}
    labeler.model.train()
    for name, (batch_size, candidates) in sizes.items():
        started = 0.0
        for step in range(STEPS + 1):
            if step == 1:  # the first one warms up
                started = time.perf_counter()
            batch = rng.choices(items, k=batch_size)
            inputs = [variation.input_ids(labeler, item.example, rng) for item in batch]
            log_p, _ = candidate_log_p(
                labeler.model, labeler.codec, inputs, [[item.target] * candidates for item in batch]
            )
            log_p.sum().backward()
        seconds[name] = (time.perf_counter() - started) / STEPS
    for parameter in labeler.model.parameters():
        parameter.grad = None
    texts = rng.choices(items, k=TEXTS)
    started = time.perf_counter()
    with torch.no_grad():
        label_search(
            labeler.model,
            labeler.codec,
            [labeler.codec.input_ids(item.example) for item in texts],
            [labeler.form.slots(item.example) for item in texts],
            k=config.optimise.num_candidates,
            effort=Effort(max_width=next_width(first_width(config.optimise.num_candidates))),
        )
    seconds["search"] = (time.perf_counter() - started) / TEXTS
    return seconds
