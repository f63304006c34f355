"""Aligned labelers learn from gold, and what they learn is a function of the seed."""

from __future__ import annotations

import pytest
import torch

from groot.engine.weight_average import WeightAverage
from groot.models.aligned.fitting import (
    FitSettings,
    Gold,
    fit_steps,
    gold_losses,
    length_batches,
    optimizer_of,
)
from groot.models.aligned.labeler import AlignedLabeler
from groot.models.aligned.word_encoder import WordEncoder, WordEncoderSettings
from groot.models.aligned.word_features import ABSENT, WordTable
from groot.search.chain import Chains
from groot.search.joint_chain import JointChains, best_outputs

TAGS = ("O", "B-who", "I-who", "B-where", "I-where")
CITIES, NAMES = ("oslo", "rome", "new york", "lima"), ("nina", "sam li", "ann", "bo")


def gold() -> Gold:
    """Whether a word is a name or a city, and the class, follow from the words beside it."""
    texts, tags, classes = [], [], []
    for city in CITIES:
        for name in NAMES:
            for first, second, kind in ((city, name, "meet"), (name, city, "fly")):
                words, written = ["from"], ["O"]
                for mention, label in ((first, "where"), (second, "who")):
                    if kind == "fly":
                        label = {"where": "who", "who": "where"}[label]
                    parts = mention.split()
                    words += parts
                    written += [f"B-{label}", *[f"I-{label}"] * (len(parts) - 1)]
                texts.append(words), tags.append(written), classes.append(kind)
    return Gold(texts, tags, classes)


def labeler(rows: Gold) -> AlignedLabeler:
    torch.manual_seed(0)
    encoder = WordEncoder(WordTable.of_texts(rows.texts), WordEncoderSettings(size=24, hidden=24))
    return AlignedLabeler(encoder, TAGS, ("fly", "meet"), hidden=32).eval()


def test_a_labeler_learns_to_write_its_gold() -> None:
    rows, settings = gold(), FitSettings(passes=40, batch_size=8, rate=1e-2, warmup_steps=5)
    made = labeler(rows)
    average = WeightAverage(made, decay=settings.average_decay)
    losses = [loss for _, loss in fit_steps(made, rows, average, settings)]
    assert losses[-1] < losses[0] / 5
    with average.swap_in(made):
        tables = made.tables(rows.texts)
        chains = Chains(tables.scores, tables.follows, tables.lengths)
        found = best_outputs(JointChains(chains, tables.class_log_p, tables.in_class))
    assert torch.equal(torch.from_numpy(found.labels[:, 0]), made.paths(rows.tags))
    assert rows.classes is not None
    assert found.classes[:, 0].tolist() == made.class_ids(rows.classes).tolist()


def test_fitting_is_a_function_of_the_seed() -> None:
    rows, settings, weights = gold(), FitSettings(passes=2, batch_size=8), []
    for seed in (1, 1, 2):
        made = labeler(rows)
        for _ in fit_steps(made, rows, WeightAverage(made), settings, seed=seed):
            torch.rand(3)  # what others draw in between changes nothing
        weights.append(torch.cat([weight.flatten() for weight in made.parameters()]))
    assert isinstance(made.encoder, WordEncoder)
    for vectors in (made.encoder.words, made.encoder.features):
        assert not vectors.weight[ABSENT].any()  # what is absent adds nothing
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_loss_counts_a_class_as_so_many_labels() -> None:
    rows = gold().batch([0, 3])
    made = labeler(gold())
    paths, classes = made.paths(rows.tags)[:, None], made.class_ids(rows.classes or ())[:, None]
    by_word, by_class = made.log_p_parts(rows.texts, paths, classes)
    assert not by_class.eq(0).any()
    expected = -(by_word.sum(-1) + 3.0 * by_class)[:, 0]
    torch.testing.assert_close(gold_losses(made, rows, class_weight=3.0), expected)
    torch.testing.assert_close(
        gold_losses(made, rows, class_weight=1.0), -made.log_p(rows.texts, paths, classes)[:, 0]
    )


def test_each_text_is_in_one_batch_and_batches_differ_from_pass_to_pass() -> None:
    lengths = [1 + row % 13 for row in range(200)]
    generator = torch.Generator().manual_seed(0)
    first, second = (length_batches(lengths, 8, generator) for _ in range(2))
    for batches in (first, second):
        assert sorted(row for batch in batches for row in batch) == list(range(200))
        spread = [max(lengths[row] for row in b) - min(lengths[row] for row in b) for b in batches]
        assert max(spread) <= 4
    assert {tuple(sorted(batch)) for batch in first} != {tuple(sorted(batch)) for batch in second}


@pytest.mark.parametrize(("step", "share"), [(1, 0.1), (10, 0.9), (100, 0.02)])
def test_the_rate_rises_and_falls(step: int, share: float) -> None:
    assert FitSettings(warmup_steps=10).rate_at(step, 100) == pytest.approx(share, rel=0.02)


def test_weights_that_are_frozen_are_not_given_to_the_optimiser() -> None:
    made = labeler(gold())
    made.encoder.words.requires_grad_(False)
    groups = optimizer_of(made, FitSettings()).param_groups
    given = {id(weight) for group in groups for weight in group["params"]}
    assert given == {id(weight) for weight in made.parameters() if weight.requires_grad}
