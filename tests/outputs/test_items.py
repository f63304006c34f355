from groot.outputs.items import counts_by_label, gold_of, is_exact, task_of
from groot.types import Candidate, Example, Span

SPAN = Span(0, 4, "artist")


def test_the_task_is_what_the_candidates_say():
    both = Example("nina", spans=(SPAN,), classes=("play",), reference="x")
    assert task_of([both], [[Candidate("", ("play",))]]) == "classes"
    assert task_of([both], [[Candidate("", None), Candidate("", (SPAN,))]]) == "spans"
    assert task_of([both], [[Candidate("x", "x")]]) == "text"


def test_without_a_word_from_the_candidates_the_gold_tells():
    assert task_of([Example("a", classes=("play",))], [[Candidate("", ())]]) == "classes"
    assert task_of([Example("a"), Example("a", reference="b")], []) == "text"
    assert task_of([], []) == "spans"


def test_gold_of_the_task():
    both = Example("nina", spans=(SPAN,), classes=("play",))
    assert gold_of(both, "classes") == ("play",)
    assert gold_of(both, "text") is None


def test_exactness():
    assert is_exact((), ())
    assert not is_exact((), None)
    assert not is_exact((SPAN,), (SPAN, SPAN))
    assert is_exact("a b", "a b")
    assert not is_exact("a b", "a  b")


def test_a_text_has_no_counts():
    assert counts_by_label("gold", "said") == {}
    assert counts_by_label(None, (SPAN,)) == {}
