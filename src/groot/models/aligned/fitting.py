"""How an aligned labeler learns from gold: likelihood, in batches of texts of like length."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from groot.engine.weight_average import WeightAverage
from groot.models.aligned.labeler import AlignedLabeler
from groot.models.aligned.row_adamw import RowAdamW, cut_gradients
from groot.models.aligned.word_encoder import WordEncoder


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How long and how fast to learn; the defaults are those of a word encoder.

    Args:
        passes: over the training texts.
        batch_size: texts of a step.
        rate: highest learning rate; it falls to a fiftieth in a straight line.
        encoder_rate: the same for the weights of a pretrained encoder.
        warmup_steps: in which the rate rises.
        weight_decay: of AdamW.
        max_norm: to which longer gradients are cut.
        class_weight: labels that a class counts for.
        average_every: steps between two updates of the average of the weights.
        average_decay: share of the average that stays in each of these updates.
    """

    passes: int = 16
    batch_size: int = 32
    rate: float = 2e-3
    encoder_rate: float = 2e-4
    warmup_steps: int = 100
    weight_decay: float = 0.01
    max_norm: float = 1.0
    class_weight: float = 3.0
    average_every: int = 4
    average_decay: float = 0.992

    def rate_at(self, step: int, n_steps: int) -> float:
        """The share of the highest rate at which step 1, ..., n_steps is made."""
        rising = min(1.0, step / self.warmup_steps) if self.warmup_steps else 1.0
        return rising * (0.02 + 0.98 * (1.0 - step / n_steps))


@dataclass(frozen=True, slots=True)
class Gold:
    """Texts with the outputs that are to be learnt.

    Args:
        texts: words of each.
        tags: of each word, in the scheme of the labeler's tags.
        classes: of each text; None where there are none.
    """

    texts: Sequence[Sequence[str]]
    tags: Sequence[Sequence[str]]
    classes: Sequence[str] | None = None

    def batch(self, rows: Sequence[int]) -> Gold:
        """Some of the texts."""
        classes = None if self.classes is None else [self.classes[row] for row in rows]
        return Gold([self.texts[row] for row in rows], [self.tags[row] for row in rows], classes)


def gold_losses(labeler: AlignedLabeler, gold: Gold, *, class_weight: float) -> Tensor:
    """[B] minus log-probability of each text's gold, in nats, its class class_weight times."""
    paths = labeler.paths(gold.tags)[:, None]
    classes = None if gold.classes is None else labeler.class_ids(gold.classes)[:, None]
    by_word, by_class = labeler.log_p_parts(gold.texts, paths, classes)
    return -(by_word.sum(-1) + class_weight * by_class)[:, 0]


def length_batches(
    lengths: Sequence[int], batch_size: int, generator: torch.Generator
) -> list[list[int]]:
    """Batches of texts of like length, in random order; each text is in one of them.

    Texts are drawn into pools of twenty batches, so that a batch differs from pass to pass.
    """
    order = torch.randperm(len(lengths), generator=generator).tolist()
    pool = 20 * batch_size
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        drawn = sorted(order[start : start + pool], key=lambda row: lengths[row])
        batches += [drawn[at : at + batch_size] for at in range(0, len(drawn), batch_size)]
    return [batches[at] for at in torch.randperm(len(batches), generator=generator).tolist()]


def optimizer_of(labeler: AlignedLabeler, settings: FitSettings) -> RowAdamW:
    """AdamW with one group of weights; two where a pretrained encoder has a rate of its own.

    Each group's highest rate is kept in it as "peak".
    """
    is_own = isinstance(labeler.encoder, WordEncoder)
    own = [
        weight
        for name, weight in labeler.named_parameters()
        if weight.requires_grad and (is_own or not name.startswith("encoder."))
    ]
    lent = [] if is_own else [w for w in labeler.encoder.parameters() if w.requires_grad]
    groups = [{"params": own, "peak": settings.rate}]
    if lent:
        groups.append({"params": lent, "peak": settings.encoder_rate})
    return RowAdamW(groups, lr=settings.rate, weight_decay=settings.weight_decay, betas=(0.9, 0.99))


def fit_steps(
    labeler: AlignedLabeler,
    gold: Gold,
    average: WeightAverage,
    settings: FitSettings | None = None,
    *,
    seed: int = 1,
) -> Iterator[tuple[int, float]]:
    """Train a labeler; yields (step, loss in nats per label) behind each step.

    Order and dropout are functions of (seed, step). The caller measures the averaged weights when
    it likes, inside `average.swap_in(labeler)`, and keeps those that do best on its dev set.
    """
    settings = settings or FitSettings()
    optimizer = optimizer_of(labeler, settings)
    lengths = [len(words) for words in gold.texts]
    n_steps = settings.passes * math.ceil(len(lengths) / settings.batch_size)
    weights = [weight for weight in labeler.parameters() if weight.requires_grad]
    step = 0
    for number in range(settings.passes):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        for rows in length_batches(lengths, settings.batch_size, generator):
            step += 1
            torch.manual_seed(seed * 1_000_003 + step)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * settings.rate_at(step, n_steps)
            labeler.train()
            losses = gold_losses(labeler, gold.batch(rows), class_weight=settings.class_weight)
            loss = losses.sum() / sum(lengths[row] for row in rows)
            loss.backward()
            cut_gradients(weights, settings.max_norm)
            optimizer.step()
            optimizer.zero_grad()
            if step % settings.average_every == 0 or step == n_steps:
                average.update(labeler)
            labeler.eval()
            yield step, loss.item()
