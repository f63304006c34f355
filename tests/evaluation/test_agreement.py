"""Our counts against seqeval and nervaluate, on stored and on random cases.

Where they agree: valid IOB2 tags; micro precision, recall and F1, per label and over all, in
seqeval's default mode and in nervaluate's strict one. Where they differ, on purpose:
- an undefined number is None here and 0 there (nothing predicted, nothing gold);
- macro averages: here over the labels of the gold, there over labels of gold and prediction;
- illegal tags: here malformed output misses all its gold; seqeval reads an I- as a start in
  default mode and drops it in strict mode, which pays for broken output.
"""

import random

import numpy as np
import pytest
from nervaluate import Evaluator
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from groot.evaluation.corpus_metrics import MicroF
from groot.evaluation.measure import measure
from groot.targets.schemes import illegal_tags, spans_of_tags
from groot.types import Candidate, Example, Span

LABELS = ("artist", "album", "year")

# gold tags, predicted tags, (right, predicted, gold)
STORED = [
    ("B-artist I-artist O", "B-artist I-artist O", (1, 1, 1)),
    ("B-artist I-artist O", "B-artist O O", (0, 1, 1)),
    ("B-artist B-artist O", "B-artist I-artist O", (0, 1, 2)),
    ("O O O", "B-year O B-year", (0, 2, 0)),
    ("B-year O B-album", "O O O", (0, 0, 2)),
    ("B-year O B-album", "B-album O B-album", (1, 2, 2)),
    ("O O O", "O O O", (0, 0, 0)),
]


def spans(tags):
    """Character offsets as if every word were one letter and one space."""
    return tuple(Span(2 * a, 2 * b - 1, name) for a, b, name in spans_of_tags(tags, "IOB2"))


def scored(golds, saids):
    examples = [Example("x " * len(tags), spans=spans(tags), id=str(i)) for i, tags in golds]
    candidates = [[Candidate("", spans(tags), log_p=-0.5, reward=0.0)] for _, tags in saids]
    return measure(examples, candidates, k=1).summary(n_resamples=0)


def random_tags(rng, n_words):
    tags = []
    while len(tags) < n_words:
        if rng.random() < 0.5:
            tags.append("O")
        else:
            label = rng.choice(LABELS)
            tags += [f"B-{label}", *[f"I-{label}"] * rng.randrange(3)]
    return tags[:n_words]


def random_pairs(seed, n_examples=60):
    """Predictions that are right in about half of the examples' halves."""
    rng = random.Random(seed)
    golds, saids = [], []
    for _ in range(n_examples):
        size = rng.randrange(1, 12)
        gold = random_tags(rng, size)
        cut = rng.randrange(size + 1)
        said = gold[:cut] + random_tags(rng, size - cut)
        golds.append(gold)
        saids.append(said)
    return golds, saids


@pytest.mark.parametrize(("gold", "said", "expected"), STORED)
def test_stored_cases(gold, said, expected):
    numbers = scored([(0, gold.split())], [(0, said.split())])
    per_label = numbers["per_label"].values()
    seen = tuple(sum(one[name] for one in per_label) for name in ("right", "predicted", "gold"))
    assert seen == expected
    ours = numbers["f1"]
    theirs = f1_score([gold.split()], [said.split()], zero_division=0)
    assert theirs == pytest.approx(0 if ours is None else ours)


@pytest.mark.parametrize("seed", range(8))
def test_random_cases_agree_with_seqeval(seed):
    golds, saids = random_pairs(seed)
    numbers = scored(list(enumerate(golds)), list(enumerate(saids)))
    for name, score in (
        ("precision", precision_score),
        ("recall", recall_score),
        ("f1", f1_score),
    ):
        assert numbers[name] == pytest.approx(score(golds, saids))
        by_label = score(golds, saids, average=None)
        assert [numbers["per_label"][label][name] for label in sorted(LABELS)] == pytest.approx(
            by_label
        )
    assert not any(illegal_tags(tags, "IOB2") for tags in saids)


@pytest.mark.parametrize("seed", range(8))
def test_random_cases_agree_with_nervaluate_strict(seed):
    golds, saids = random_pairs(seed + 100)
    numbers = scored(list(enumerate(golds)), list(enumerate(saids)))
    theirs = Evaluator(golds, saids, tags=list(LABELS), loader="list").evaluate()
    strict = theirs["overall"]["strict"]
    assert numbers["precision"] == pytest.approx(strict.precision)
    assert numbers["recall"] == pytest.approx(strict.recall)
    assert numbers["f1"] == pytest.approx(strict.f1)
    for label in LABELS:
        assert numbers["per_label"][label]["right"] == theirs["entities"][label]["strict"].correct


def test_broken_output_pays_in_seqeval_strict_and_never_here():
    golds, saids = random_pairs(3, n_examples=400)
    rng = random.Random(0)
    broken = []
    for tags in saids:
        # spoil wrong spans only, as a model that games the metric would
        spoiled = list(tags)
        if tags not in golds and rng.random() < 0.9:
            spoiled = [tag.replace("B-", "I-") for tag in tags]
        broken.append(spoiled)
    strict = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    assert precision_score(golds, broken, **strict) > precision_score(golds, saids, **strict)

    examples = [Example("", spans=spans(tags), id=str(i)) for i, tags in enumerate(golds)]
    legal = [[Candidate("", spans(tags))] for tags in saids]
    gamed = [
        [Candidate("", None if illegal_tags(tags, "IOB2") else spans(tags))] for tags in broken
    ]
    before, after = measure(examples, legal, k=1), measure(examples, gamed, k=1)
    assert after.summary(n_resamples=0)["recall"] < before.summary(n_resamples=0)["recall"]
    assert after.tallies["malformed"] > 0 == before.tallies["malformed"]
    # example by example, breaking a prediction never finds more, nor misses less
    assert (after.total_counts[:, 0] <= before.total_counts[:, 0]).all()
    assert (after.total_counts[:, 2] >= before.total_counts[:, 2]).all()
    f1 = MicroF(1)
    assert f1.over(np.sum(after.total_counts, 0)) < f1.over(np.sum(before.total_counts, 0))
