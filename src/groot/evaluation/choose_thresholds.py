"""The choice of thresholds: the fewest spans lost of which what is promised can be shown.

A threshold is chosen and promised on the same data. That is honest for precision and recall because
they are chosen by a test, not by the best number: thresholds are tried in an order that does not
depend on what is right, each by its exact binomial lower bound, and the trying stops at the first
failure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groot.errors import DataError, ShapeError
from groot.evaluation.intervals import binomial_interval, check_confidence, lower_bound
from groot.evaluation.thresholds import Outcome, Target, Thresholds, Unreachable


def choose_thresholds(
    probabilities: ArrayLike,
    is_right: ArrayLike,
    labels: Sequence[str],
    texts: ArrayLike,
    n_gold: Mapping[str, int],
    target: Target,
    *,
    per_label: bool = False,
    unreachable: Unreachable = "drop",
) -> Thresholds:
    """Choose a threshold for all predicted spans, and for those of each label.

    Args:
        probabilities: [N] of each predicted span, the model's own. Calibrated ones are only as good
            where the calibration comes from other texts.
        is_right: [N] whether it is gold.
        labels: [N] its label.
        texts: [N] which text it is of.
        n_gold: label -> gold spans.
        target: what is asked for.
        per_label: a threshold for each label of the gold and of the predictions.
        unreachable: what becomes of spans whose label has no threshold.

    Raises:
        DataError: if nothing is predicted, or nothing is gold.
        ShapeError: if the lists differ in length.
        ConfigError: if confidence is no share between 0 and 1.
    """
    p, right = np.asarray(probabilities, dtype=float), np.asarray(is_right, dtype=bool)
    text, name = np.asarray(texts), np.asarray(labels, dtype=object)
    if not len(p) == len(right) == len(name) == len(text):
        raise ShapeError(
            f"{len(p)} probabilities, {len(right)} of is_right, {len(name)} labels, "
            f"{len(text)} texts."
        )
    check_confidence(target.confidence)
    if not sum(n_gold.values()):
        raise DataError("the data has no gold to compare with.\n  Give data that is labelled.")
    if not len(p):
        raise DataError(
            "nothing is predicted for any text, so that there is nothing to choose a threshold"
            " from.\n  Train longer, or give more data."
        )

    def outcome_of(is_in: NDArray[np.bool_], gold: int) -> Outcome:
        return choose_threshold(p[is_in], right[is_in], text[is_in], gold, target)

    n_all_gold = sum(n_gold.values())
    names = sorted({*n_gold, *labels}) if per_label else []
    chosen = Thresholds(
        target=str(target),
        confidence=target.confidence,
        all=outcome_of(np.ones(len(p), dtype=bool), n_all_gold),
        labels={label: outcome_of(name == label, n_gold.get(label, 0)) for label in names},
        unreachable=unreachable,
    )
    if not per_label:
        return chosen
    kept = np.array([chosen.keeps(*pair) for pair in zip(name, p, strict=True)], dtype=bool)
    return replace(chosen, combined=_measured(kept, right, n_all_gold, threshold=None))


def choose_threshold(
    probabilities: ArrayLike,
    is_right: ArrayLike,
    texts: ArrayLike,
    n_gold: int,
    target: Target,
) -> Outcome:
    """Choose one threshold for N predicted spans.

    precision: the spans are ordered by probability. For a few sizes n, each 4 times the one before,
    the n most probable spans are tested: is precision at least the target, by the lower bound of
    Clopper and Pearson at (1 - confidence) / number of sizes? From each size that passes, less
    probable spans are added one by one until the test fails. The most spans that were reached are
    kept. The chance that their precision on new data is below the target is at most
    1 - confidence, for spans that are right or wrong independently of each other.

    recall: the same test at 1 - confidence of all predicted spans; the least probable are taken
    away one by one until it fails.

    f1: the threshold with the highest F1. `f1_held_out` is measured by 5 folds of texts.

    Args:
        probabilities, is_right, texts: [N], as in `choose_thresholds`.
        n_gold: gold spans, also those that are not predicted.

    Source: Angelopoulos, Bates, Candès, Jordan and Lei, Learn then Test, 2021: fixed sequence
    testing with several starts.

    >>> chosen = choose_threshold([0.9] * 60 + [0.2] * 9, [True] * 60 + [False] * 9, range(69), 70,
    ...                           Target("precision", 0.9))
    >>> round(chosen.threshold, 2), chosen.n_kept, round(chosen.bound, 2)
    (0.55, 60, 0.94)
    """
    p, right = np.asarray(probabilities, dtype=float), np.asarray(is_right, dtype=bool)
    order = np.argsort(-p, kind="stable")
    steps = _Steps.of(p[order], right[order])
    at, bound, reason = {"precision": _by_precision, "recall": _by_recall, "f1": _by_f1}[
        target.measure
    ](steps, n_gold, target.value or 0.0, 1 - target.confidence)
    threshold = None if at is None else steps.thresholds[at]
    reached = threshold is not None and not reason
    kept = p >= threshold if reached and threshold is not None else np.zeros(len(p), dtype=bool)
    measured = _measured(kept, right, n_gold, threshold=threshold if reached else None)
    held_out = _held_out_f1(p, right, np.asarray(texts), n_gold) if target.measure == "f1" else None
    return replace(
        measured,
        bound=bound,
        best=None if reached else threshold,
        reason=reason,
        f1_held_out=held_out,
    )


class _Steps(NamedTuple):
    """The sets of spans that thresholds can keep, smallest first: one for each distinct value.

    Args:
        thresholds: half way to the next lower probability, so that rounding moves nothing;
            the last is 0.
        n: spans kept.
        right: of them right.
    """

    thresholds: list[float]
    n: NDArray[np.int64]
    right: NDArray[np.int64]

    @classmethod
    def of(cls, p: NDArray[np.float64], right: NDArray[np.bool_]) -> _Steps:
        """From probabilities in falling order."""
        is_last = np.append(p[1:] < p[:-1], True) if len(p) else np.zeros(0, dtype=bool)
        ends = np.flatnonzero(is_last)
        below = np.append(p[ends[:-1] + 1], -p[ends[-1:]])
        middle = (p[ends] + below) / 2
        return cls(middle.tolist(), ends + 1, np.cumsum(right, dtype=np.int64)[ends])


# the step, the bound there, and why the target is not reached ("" where it is)
_Chosen = tuple[int | None, float | None, str]


def _by_precision(steps: _Steps, n_gold: int, target: float, error: float) -> _Chosen:
    n_least = _least(target, error)
    n_all = int(steps.n[-1]) if len(steps.n) else 0
    if n_all < n_least:
        reason = f"{n_all} predicted; at least {n_least}, all right, would show it"
        return None, None, reason
    sizes = _sizes(n_all, target, error)
    starts = sorted({int(np.searchsorted(steps.n, size)) for size in sizes})
    bounds = lower_bound(steps.right, steps.n, error / len(sizes))
    reached = -1
    for start in starts:
        fails = np.flatnonzero(bounds[start:] < target)
        end = start + (int(fails[0]) if len(fails) else len(bounds) - start) - 1
        reached = max(reached, end if end >= start else -1)
    if reached >= 0:
        return reached, float(bounds[reached]), ""
    best = max(starts, key=lambda start: float(bounds[start]))
    share = f"{steps.right[best]} of the {steps.n[best]} most probable are right"
    reason = f"at best {bounds[best]:.3f} can be shown, where {share}"
    return best, float(bounds[best]), reason


def _least(target: float, error: float) -> int:
    """How many spans, all of them right, show the target."""
    return math.ceil(math.log(error) / math.log(target))


def _sizes(n_all: int, target: float, error: float) -> set[int]:
    """How many of the most probable spans are tested first: few sizes, as each costs some error."""
    sizes = {n_all}
    for count in range(2, n_all + 1):
        least = _least(target, error / count)
        sizes = {min(least * 4**i, n_all) for i in range(count)}
        if n_all in sizes:
            break
    return sizes


def _by_recall(steps: _Steps, n_gold: int, target: float, error: float) -> _Chosen:
    if not n_gold or not len(steps.n):
        return None, None, "no gold" if not n_gold else "nothing predicted"
    bounds = lower_bound(np.minimum(steps.right, n_gold), n_gold, error)
    last = len(bounds) - 1
    if bounds[last] < target:
        share = f"{steps.right[last]} of {n_gold} are found"
        reason = f"at best {bounds[last]:.3f} can be shown, where {share}"
        return last, float(bounds[last]), reason
    at = int(np.flatnonzero(bounds >= target)[0])  # rises with each step: the first is the last
    return at, float(bounds[at]), ""


def _by_f1(steps: _Steps, n_gold: int, target: float, error: float) -> _Chosen:
    if not len(steps.n):
        return None, None, "nothing predicted"
    return _best_f1(steps, n_gold), None, ""


def _best_f1(steps: _Steps, n_gold: int) -> int:
    f1 = 2 * steps.right / np.maximum(steps.n + n_gold, 1)
    return int(len(f1) - 1 - np.argmax(f1[::-1]))  # of equal ones the one that keeps most


def _held_out_f1(
    p: NDArray[np.float64], right: NDArray[np.bool_], texts: NDArray[Any], n_gold: int
) -> float | None:
    """F1 where each fold of texts is cut at the threshold that is best for the others.

    The gold of a fold is not known here; the other folds count theirs as their share of texts.
    """
    unique, text = np.unique(texts, return_inverse=True)
    n_folds = min(5, len(unique))
    if n_folds < 2 or not n_gold:
        return None
    fold_of = np.random.default_rng(0).permutation(len(unique))[text] % n_folds
    n_kept = n_right = 0
    for fold in range(n_folds):
        is_out = fold_of == fold
        order = np.argsort(-p[~is_out], kind="stable")
        steps = _Steps.of(p[~is_out][order], right[~is_out][order])
        if len(steps.n):
            gold = round(n_gold * (1 - 1 / n_folds))
            kept = is_out & (p >= steps.thresholds[_best_f1(steps, gold)])
            n_kept, n_right = n_kept + int(kept.sum()), n_right + int(right[kept].sum())
    return 2 * n_right / (n_kept + n_gold)


def _measured(
    kept: NDArray[np.bool_], right: NDArray[np.bool_], n_gold: int, *, threshold: float | None
) -> Outcome:
    n_kept, n_right = int(kept.sum()), int((kept & right).sum())
    n_found = min(n_right, n_gold)

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    return Outcome(
        threshold=threshold,
        bound=None,
        best=None,
        reason="",
        n_gold=n_gold,
        n_predicted=len(kept),
        n_kept=n_kept,
        n_right=n_right,
        precision=share(n_right, n_kept),
        recall=share(n_found, n_gold),
        f1=share(2 * n_right, n_kept + n_gold),
        kept=share(n_kept, len(kept)),
        intervals={
            "precision": binomial_interval(n_right, n_kept),
            "recall": binomial_interval(n_found, n_gold),
            "kept": binomial_interval(n_kept, len(kept)),
        },
    )
