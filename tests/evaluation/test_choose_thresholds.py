import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.errors import ConfigError, DataError, ShapeError
from groot.evaluation.choose_thresholds import choose_threshold, choose_thresholds
from groot.evaluation.intervals import lower_bound
from groot.evaluation.thresholds import Target

P90, P95 = Target("precision", 0.9), Target("precision", 0.95)
R80 = Target("recall", 0.8)


def chosen(p, right, n_gold, target):
    return choose_threshold(p, right, range(len(p)), n_gold, target)


def test_precision_by_hand():
    # 0.05 ** (1/29) = 0.902: 29 right ones, and nothing else, just show 0.9
    row = chosen([0.8] * 29, [True] * 29, 40, P90)
    assert (row.threshold, row.n_kept, row.reason) == (0.0, 29, "")
    assert row.bound == pytest.approx(0.05 ** (1 / 29))
    assert (row.precision, row.recall, row.kept) == (1.0, 29 / 40, 1.0)
    row = chosen([0.8] * 28, [True] * 28, 40, P90)
    assert (row.threshold, row.n_kept, row.precision) == (None, 0, None)
    assert row.reason == "28 predicted; at least 29, all right, would show it"


def test_precision_that_is_not_shown():
    row = chosen([0.8] * 100, [True] * 90 + [False] * 10, 100, P90)
    assert row.threshold is None
    assert row.best == 0.0
    assert row.bound < 0.9
    assert row.reason.startswith("at best 0.8")
    assert "90 of the 100 most probable are right" in row.reason


def test_wrong_ones_at_the_end_are_cut_off():
    p = [*np.linspace(0.99, 0.6, 400), *np.linspace(0.4, 0.1, 100)]
    right = [True] * 400 + [False] * 100
    row = chosen(p, right, 400, P95)
    assert 400 <= row.n_kept < 425
    assert row.recall == 1.0
    assert row.bound >= 0.95
    assert row.intervals["precision"].low < row.precision < row.intervals["precision"].high


def test_recall_by_hand():
    # 0.05 ** (1/20) = 0.861 for 20 of 20; of 40 gold ones 30 are needed for 0.6: the most
    # probable 30 and no more
    p = np.linspace(0.9, 0.5, 40)
    row = chosen(p, [True] * 40, 40, Target("recall", 0.6))
    need = next(r for r in range(41) if lower_bound(r, 40, 0.05) >= 0.6)
    assert row.n_kept == need
    assert p[need] < row.threshold < p[need - 1]
    assert row.recall == need / 40
    row = chosen(p, [True] * 40, 80, Target("recall", 0.6))
    assert row.threshold is None
    assert "40 of 80 are found" in row.reason


def test_f1_by_hand():
    # keep 1: 2/(1+3); keep 2: 4/(2+3); keep 3: 4/(3+3); keep 4: 6/(4+3)
    row = chosen([0.9, 0.8, 0.7, 0.6], [True, True, False, True], 3, Target("f1", None))
    assert (row.n_kept, row.f1, row.bound) == (4, 6 / 7, None)
    row = chosen([0.9, 0.8, 0.7, 0.6], [True, True, False, False], 3, Target("f1", None))
    assert (row.n_kept, row.f1) == (2, 4 / 5)
    assert row.threshold == pytest.approx(0.75)
    assert row.f1_held_out <= row.f1


def test_held_out_f1_is_of_thresholds_that_did_not_see_the_text():
    """Probabilities that say nothing: what looks best on some texts is less good on others."""
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(40):
        found = chosen(rng.random(20), rng.random(20) < 0.5, 12, Target("f1", None))
        gaps.append(found.f1 - found.f1_held_out)
    assert np.mean(gaps) > 0.03


def test_held_out_f1_by_hand():
    """Five texts are five folds; the others have four fifths of the gold, as far as is known."""
    rng = np.random.default_rng(3)
    for n_gold in (2, 3, 5) * 20:
        p, right = rng.random(5), rng.random(5) < 0.6
        n_kept = n_right = 0
        for out in range(5):
            others = sorted((i for i in range(5) if i != out), key=lambda i: -p[i])
            f1 = [
                2 * right[others[:n]].sum() / (n + round(n_gold * 0.8)) for n in range(1, 5)
            ]  # of keeping the n most probable
            n = max(range(1, 5), key=lambda n: (f1[n - 1], n))
            is_kept = n == 4 or p[out] >= (p[others[n - 1]] + p[others[n]]) / 2
            n_kept, n_right = n_kept + is_kept, n_right + (is_kept and right[out])
        found = chosen(p, right, n_gold, Target("f1", None))
        assert found.f1_held_out == pytest.approx(2 * n_right / (n_kept + n_gold))


def test_held_out_f1_keeps_a_text_together():
    """Each text says one thing ten times: a threshold that saw some of them would know the rest."""
    rng = np.random.default_rng(0)
    together, torn = [], []
    for _ in range(30):
        p, right = np.repeat(rng.random(10), 10), np.repeat(rng.random(10) < 0.5, 10)
        for texts, values in ((np.repeat(np.arange(10), 10), together), (np.arange(100), torn)):
            found = choose_threshold(p, right, texts, 60, Target("f1", None))
            values.append(found.f1_held_out)
    assert np.mean(together) < np.mean(torn) - 0.03


@given(
    pairs=st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.7, 0.7 + 1e-9, 1.0]), st.booleans())),
    more=st.integers(0, 5),
    target=st.sampled_from([Target("precision", 0.5), Target("recall", 0.3), Target("f1", None)]),
)
def test_the_numbers_are_those_of_what_the_threshold_keeps(pairs, more, target):
    p, right = np.array([p for p, _ in pairs]), np.array([r for _, r in pairs], dtype=bool)
    n_gold = int(right.sum()) + more
    row = chosen(p, right, n_gold, target)
    if row.threshold is None:
        assert row.reason
        assert row.n_kept == 0
        return
    kept = p >= row.threshold
    assert (row.n_kept, row.n_right) == (kept.sum(), right[kept].sum())
    assert 0 <= row.threshold <= 1
    if target.value is not None:
        assert row.bound >= target.value
    order = np.random.default_rng(0).permutation(len(p))
    again = chosen(p[order], right[order], n_gold, target)
    assert (again.threshold, again.n_kept) == (row.threshold, row.n_kept)


MOST_BROKEN = 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5  # of 600 promises of 95 %, and the accident


@pytest.mark.parametrize("n", [300, 2000])
def test_the_promise_of_precision_holds_in_the_worst_case(n):
    """Precision is just below the target at every threshold: any threshold breaks the promise.

    To go on behind the first failure, or to test every size at the whole error, breaks it twice as
    often as promised.
    """
    rng = np.random.default_rng(n)
    broken = 0
    for _ in range(600):
        p, right = rng.random(n), rng.random(n) < 0.8999
        broken += chosen(p, right, n, P90).threshold is not None
    assert broken / 600 <= MOST_BROKEN


def test_the_promise_of_recall_holds_in_the_worst_case():
    """Spans are found just less often than asked, whatever their probability."""
    rng = np.random.default_rng(4)
    broken = 0
    for _ in range(600):
        n_said = rng.binomial(300, 0.7999)
        broken += chosen(rng.random(n_said), [True] * n_said, 300, R80).threshold is not None
    assert 0.02 <= broken / 600 <= MOST_BROKEN


@pytest.mark.parametrize("confidence", [0.5, 0.99])
def test_the_confidence_asked_for_is_the_one_given(confidence):
    rng = np.random.default_rng(9)
    broken = 0
    for _ in range(400):
        p, right = rng.random(500), rng.random(500) < 0.8999
        broken += chosen(p, right, 500, P90._replace(confidence=confidence)).threshold is not None
    error = 1 - confidence
    assert 0.2 * error <= broken / 400 <= error + 3 * (error * confidence / 400) ** 0.5


def test_a_promise_that_can_be_kept_is_made():
    """What is right falls with the probability: thresholds are found, keep much, and hold."""
    rng = np.random.default_rng(1)
    broken, n_kept = 0, []
    for _ in range(200):
        p = rng.beta(3, 1, 1500)
        found = chosen(p, rng.random(1500) < 0.35 + 0.65 * p, 1500, P90)
        n_kept.append(found.n_kept)
        # the mean above t of a probability of density 3 p^2
        mean_above = 0.75 * (1 - found.threshold**4) / (1 - found.threshold**3)
        broken += 0.35 + 0.65 * mean_above < 0.9
    assert min(n_kept) > 100
    assert np.mean(n_kept) > 500
    assert broken / 200 <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


LABELS = ["a"] * 60 + ["b"] * 10


def of_labels(**settings):
    p, right = [0.9] * 70, [True] * 60 + [False] * 10
    return choose_thresholds(
        p, right, LABELS, range(70), {"a": 60, "c": 5}, P90, per_label=True, **settings
    )


def test_labels():
    found = of_labels()
    assert list(found.labels) == ["a", "b", "c"]
    assert found.labels["a"].threshold == 0.0
    assert found.labels["b"].threshold is None
    assert found.labels["c"].reason.startswith("0 predicted")
    assert found.all.threshold is None  # all as probable, and 10 wrong
    assert found.is_reachable
    assert (found.combined.n_kept, found.combined.n_right, found.combined.n_gold) == (60, 60, 65)
    assert found.keeps("a", 0.5)
    assert not found.keeps("b", 1.0)
    assert not found.keeps("never seen", 1.0)
    assert not found.keeps("a", None)
    lenient = of_labels(unreachable="keep")
    assert lenient.keeps("b", 0.1)
    assert lenient.keeps("never seen", None)
    assert lenient.combined.n_kept == 70


def test_one_for_all():
    p = [0.9] * 60 + [0.2] * 10
    right = [True] * 60 + [False] * 10
    found = choose_thresholds(p, right, LABELS, range(70), {"a": 60}, P90)
    assert (found.labels, found.combined) == ({}, None)
    assert found.keeps("any label", 0.9)
    assert not found.keeps("a", 0.5)


def test_mistakes():
    with pytest.raises(ShapeError):
        choose_thresholds([0.5], [True], [], [0], {"a": 1}, P90)
    with pytest.raises(DataError, match="no gold"):
        choose_thresholds([0.5], [True], ["a"], [0], {}, P90)
    with pytest.raises(DataError, match="nothing is predicted"):
        choose_thresholds([], [], [], [], {"a": 1}, P90)
    with pytest.raises(ConfigError, match="confidence"):
        choose_thresholds([0.5], [True], ["a"], [0], {"a": 1}, P90._replace(confidence=1.0))
