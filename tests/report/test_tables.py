from pathlib import Path

from groot.evaluation.measure import measure
from groot.report.inputs import Run, Stage
from groot.report.tables import Change, changes, confusion_of, error_kinds, headline, per_label
from groot.types import Candidate, Example, Span


def stage(key, *outputs, rewards=None):
    gold = (Span(0, 4, "a"), Span(5, 9, "b"))
    examples = [Example("nina blue", spans=gold, id=str(i)) for i in range(len(outputs))]
    candidates = [[Candidate("", output, log_p=-0.5, reward=0.5)] for output in outputs]
    measured = measure(examples, candidates, k=1)
    return Stage(key, measured.summary(n_resamples=0), examples, candidates, measured)


def run(*stages, **results):
    return Run(Path("run"), {"k": 1, **results}, {one.key: one for one in stages}, [])


A, B = Span(0, 4, "a"), Span(5, 9, "b")
BEFORE = stage("fit", (A,), None, (A, Span(5, 9, "a")))
AFTER = stage("optimised", (A, B), (A,), (A, B))


def test_the_best_of_a_row_is_marked_and_lower_counts_where_it_should():
    rows = {row.name: row.cells for row in headline(run(BEFORE, AFTER))}
    assert [cell.is_best for cell in rows["F1"]] == [False, True]
    assert [cell.value for cell in rows["Malformed"]] == [1, 0]
    assert [cell.is_best for cell in rows["Malformed"]] == [False, True]
    assert not any(cell.is_best for cell in rows["Reward at rank 1"])  # equal: none is better
    assert "Macro F1" in rows
    assert "Kendall’s tau" not in rows  # undefined everywhere


def test_changes_say_rose_only_when_significant():
    tested = {"difference": 0.1, "low": 0.0, "high": 0.2, "p_value": 0.2}
    found = changes(run(BEFORE, AFTER, paired={"f1": tested, "metric": None}))
    assert [(one.name, one.verdict) for one in found] == [("F1", "no clear change")]
    assert found[0].before == BEFORE.numbers["f1"]
    assert Change("x", 0, 1, -0.1, None, 0.01).verdict == "fell"
    assert Change("x", 0, 1, 0.1, None, 0.05).verdict == "no clear change"  # p < 0.05 is asked
    assert Change("x", 0, 1, 0.1, None, None).verdict == "no clear change"
    assert changes(run(BEFORE)) == []
    (untested,) = changes(
        run(BEFORE, AFTER, split="dev", paired={"f1": {**tested, "p_value": 0.001}})
    )
    assert (untested.verdict, untested.p, untested.ends) == ("not tested", None, None)
    assert untested.difference == 0.1


def test_labels_and_errors():
    rows = per_label(run(BEFORE, AFTER))
    assert [(row.label, row.gold) for row in rows] == [("a", 3), ("b", 3)]
    assert rows[1].change == AFTER.numbers["per_label"]["b"]["f1"] - 0
    more_of_b = stage("fit", (A,), (A, B, Span(10, 14, "c")))
    numbers = dict(more_of_b.numbers["per_label"])
    numbers["b"] = {**numbers["b"], "gold": 7}
    rows = per_label(run(Stage("fit", {**more_of_b.numbers, "per_label": numbers})))
    assert [row.label for row in rows] == ["b", "a", "c"]  # the most frequent first
    kinds = dict(error_kinds(run(BEFORE, AFTER)))
    assert kinds["right"] == [2, 5]
    assert kinds["missing"] == [3, 1]
    assert kinds["wrong label"] == [1, 0]


def test_confusion_counts_what_met_what():
    assert confusion_of(BEFORE) == {
        ("a", "a"): 2, ("a", "none"): 1, ("b", "none"): 2, ("b", "a"): 1,
    }  # fmt: skip
    assert confusion_of(None) == {}
