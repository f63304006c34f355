"""Rules and the search that keeps them, against every legal output of short texts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groot.errors import ConfigError
from groot.search.automaton import Automaton
from groot.search.chain import PADDING, Chains, path_log_p
from groot.search.chain_paths import best_paths
from groot.search.constraints import compile_rules, read_rules
from groot.search.rules import Before, Count, Excludes, Implies, Longest, Rule
from groot.targets.schemes import WordSpan, may_follow, spans_of_tags

TAGS = ("O", "B-x", "I-x", "B-y", "I-y", "B-z", "I-z")
N_WORDS = 4
PATHS = [
    path
    for path in itertools.product(range(len(TAGS)), repeat=N_WORDS)
    if np.array(may_follow(TAGS))[(len(TAGS), *path[:-1]), path].all()
]


def keeps(rule: Rule, spans: Sequence[WordSpan]) -> bool:
    """A rule in the words of its docstring, on the spans of a whole output."""
    labels = [label for _, _, label in spans]
    if isinstance(rule, Count):
        n = labels.count(rule.label)
        return rule.least <= n and (rule.most is None or n <= rule.most)
    if isinstance(rule, Implies):
        return rule.label not in labels or rule.other in labels
    if isinstance(rule, Excludes):
        return rule.label not in labels or rule.other not in labels
    if isinstance(rule, Before):
        starts = {label: [start for start, _, of in spans if of == label] for label in "xyz"}
        pairs = itertools.product(starts[rule.label], starts[rule.other])
        return all(first < second for first, second in pairs)
    assert isinstance(rule, Longest)
    return all(end - start <= rule.words for start, end, label in spans if label == rule.label)


pairs = st.permutations("xyz").map(lambda labels: labels[:2])
rules = st.lists(
    st.one_of(
        st.builds(
            Count,
            st.sampled_from("xyz"),
            least=st.integers(0, 2),
            most=st.one_of(st.none(), st.integers(0, 3)),
        ),
        pairs.map(lambda pair: Implies(*pair)),
        pairs.map(lambda pair: Excludes(*pair)),
        pairs.map(lambda pair: Before(*pair)),
        st.builds(Longest, st.sampled_from("xyz"), words=st.integers(1, 3)),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=40)
@given(rules, st.integers(1, 6), st.integers(0, 2**32), st.sampled_from([0.3, 4.0]))
@example([Count("x", most=0)], 2, 0, 4.0)  # one state, which forbids a label
@example([Count("x", most=0), Count("y", most=0), Count("z", most=0)], 3, 1, 4.0)
def test_the_best_paths_under_rules_are_the_best_of_all_legal_outputs(
    some: list[Rule], k: int, seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    follows = np.where(may_follow(TAGS), rng.normal(0, spread, (8, 7)), -np.inf)
    chains = Chains(rng.normal(0, spread, (1, N_WORDS, 7)), follows, np.array([N_WORDS]))
    outputs = [spans_of_tags([TAGS[label] for label in path], "IOB2") for path in PATHS]
    is_legal = [all(keeps(rule, spans) for rule in some) for spans in outputs]
    automaton = compile_rules(some, TAGS)
    assert automaton.accepts(np.array(PATHS)).tolist() == is_legal
    log_p = path_log_p(chains, np.array([PATHS]))[0]
    expected = np.sort(log_p[is_legal])[::-1][:k]
    found = best_paths(chains, k, automaton)
    np.testing.assert_allclose(found.log_p[0, : len(expected)], expected, atol=1e-9)
    assert (found.log_p[0, len(expected) :] == -np.inf).all()
    assert automaton.accepts(found.labels[0, : len(expected)]).all()
    scored = path_log_p(chains, found.labels[:, : len(expected)])
    np.testing.assert_allclose(scored[0], expected, atol=1e-9)


def test_texts_of_several_lengths_are_searched_together_as_alone() -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([6, 1, 3, 5])
    follows = np.where(may_follow(TAGS), rng.normal(0, 1, (8, 7)), -np.inf)
    chains = Chains(rng.normal(0, 2, (4, 6, 7)), follows, lengths)
    automaton = compile_rules([Count("x", least=1, most=2), Before("x", "y")], TAGS)
    together = best_paths(chains, 3, automaton)
    for text, length in enumerate(lengths):
        alone = best_paths(chains.take(np.array([text])), 3, automaton)
        assert np.array_equal(together.labels[text, :, :length], alone.labels[0])
        assert (together.labels[text, :, length:] == PADDING).all()
        assert np.array_equal(together.log_p[text], alone.log_p[0])


def test_a_text_without_any_legal_output_has_none() -> None:
    chains = Chains(np.zeros((1, 1, 7)), np.where(may_follow(TAGS), 0, -np.inf), np.array([1]))
    found = best_paths(chains, 1, compile_rules([Count("x", least=2)], TAGS))
    assert found.log_p.tolist() == [[-np.inf]]
    assert (found.labels == PADDING).all()


def test_padding_ends_a_row() -> None:
    automaton = Automaton(np.array([[0, 1], [-1, 1]]), np.array([False, True]))
    rows = np.array([[0, 1, -1], [1, 0, -1], [0, -1, -1]])
    assert automaton.accepts(rows).tolist() == [True, False, False]


def test_rules_that_cannot_be_compiled_are_refused_with_a_reason() -> None:
    with pytest.raises(ConfigError, match="no label 'w'"):
        compile_rules([Count("w", least=1)], TAGS)
    with pytest.raises(ConfigError, match="more than 20 states"):
        compile_rules([Count(label, most=9) for label in "xyz"], TAGS, max_states=20)


def test_rules_are_read_from_rows() -> None:
    rows = [
        {"count": "x", "least": 1, "most": 2},
        {"count": "y", "most": 0},
        {"longest": "z", "words": 3},
        {"implies": ["x", "y"]},
        {"excludes": ["x", "z"]},
        {"before": ["y", "z"]},
    ]
    assert read_rules(rows) == [
        Count("x", least=1, most=2),
        Count("y", most=0),
        Longest("z", words=3),
        Implies("x", "y"),
        Excludes("x", "z"),
        Before("y", "z"),
    ]


def test_all_rows_that_are_no_rule_are_named_together() -> None:
    rows = [
        {"counts": "x"},
        {"count": "x"},
        {"count": "x", "most": -1},
        {"count": "x", "most": True},
        {"longest": "x", "most": 1},
        {"implies": ["x"]},
        {"implies": ["x", "y"], "most": 1},
        {"before": "xy"},
        {"before": ["x", "y"], "implies": ["x", "y"]},
    ]
    with pytest.raises(ConfigError) as error:
        read_rules([{"before": ["x", "y"]}, *rows])
    lines = str(error.value).splitlines()
    assert [line.split(",")[0] for line in lines] == [f"rule {n}" for n in range(2, 11)]
    assert "one of count, longest, implies, excludes, before" in lines[0]
    assert "whole numbers for least or most" in lines[1]
