import functools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.rewards.calling import ImpossibleError, InfiniteError, call, check_rewards, form_of
from groot.types import Candidate, Example, Span

EXAMPLE = Example(
    "play nina",
    spans=(Span(5, 9, "artist", "nina"),),
    id="a:1",
    columns={"answer": "nina", "source": "theirs"},
)
CANDIDATES = [
    Candidate("<s0> O", (), log_p=-1.0),
    Candidate("junk", None),
    Candidate("<s0> artist", (Span(0, 4, "artist", "play"),)),
]


class Brevity:
    def __call__(self, completions, **columns):
        return [-len(text) for text in completions]


def test_parameter_names_tell_the_form():
    assert form_of(lambda example, candidates: []) == "native"
    assert form_of(lambda candidates, example, scale=1: []) == "native"
    assert form_of(lambda prompts, completions, **columns: []) == "trl"
    assert form_of(lambda completions: []) == "trl"
    assert form_of(Brevity()) == "trl"
    with pytest.raises(ImpossibleError, match=r"\(x, y\) tell neither form"):
        form_of(lambda x, y: [])
    with pytest.raises(ImpossibleError, match="it is a int, not a function"):
        form_of(3)


def test_native_gets_the_example_and_its_candidates():
    seen = []
    call(
        lambda example, candidates: seen.append((example, candidates)) or [0] * 3,
        EXAMPLE,
        CANDIDATES,
    )
    assert seen == [(EXAMPLE, CANDIDATES)]


def test_trl_gets_one_entry_for_each_candidate_and_every_column():
    seen = {}

    def reward(prompts, completions, **columns):
        seen.update(columns, prompts=prompts, completions=completions)
        columns["log_metric"]("length", 3.0)
        return [0.0] * len(completions)

    assert call(reward, EXAMPLE, CANDIDATES, "gold target") == [0.0] * 3
    assert seen["prompts"] == ["play nina"] * 3
    assert seen["completions"] == ["<s0> O", "junk", "<s0> artist"]
    assert seen["answer"] == ["nina"] * 3
    assert seen["completion"] == ["gold target"] * 3
    assert seen["spans"][0] == [{"start": 5, "end": 9, "label": "artist", "text": "nina"}]
    assert seen["outputs"][:2] == [[], None]
    assert seen["outputs"][2][0]["label"] == "artist"
    assert seen["log_p"] == [-1.0, None, None]
    assert seen["source"] == ["theirs"] * 3  # the user's column wins over ours
    assert seen["id"] == ["a:1"] * 3


def test_trl_without_kwargs_gets_only_what_it_names():
    def reward(completions, answer, missing_but_has_a_default=7):
        return [float(missing_but_has_a_default == 7 and a == "nina") for a in answer]

    assert call(reward, EXAMPLE, CANDIDATES) == [1.0] * 3


def test_trl_that_asks_for_a_column_that_is_not_there():
    def reward(completions, solution, *, unit):
        return []

    with pytest.raises(
        ImpossibleError, match=r"asks for solution, unit.*There are: answer, .*text"
    ):
        call(reward, EXAMPLE, CANDIDATES)


def test_objects_partials_and_coroutines():
    async def later(completions, **columns):
        return [1.0] * len(completions)

    def scaled(example, candidates, scale):
        return [scale] * len(candidates)

    assert call(Brevity(), EXAMPLE, CANDIDATES) == [-6.0, -4.0, -11.0]
    assert call(later, EXAMPLE, CANDIDATES) == [1.0] * 3
    assert call(functools.partial(scaled, scale=2), EXAMPLE, CANDIDATES) == [2.0] * 3


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0), (True, 1.0), (False, 0.0), (0.25, 0.25), (Fraction(1, 4), 0.25), (None, None),
        (np.float32(0.5), 0.5), (np.float64(0.5), 0.5), (np.int64(3), 3.0), (np.bool_(True), 1.0),
        (np.array(0.5), 0.5),
    ],
)  # fmt: skip
def test_numbers_that_are_taken(value, number):
    [taken] = check_rewards([value], 1)
    assert taken == number
    assert type(taken) in (float, type(None))


@pytest.mark.parametrize("nan", [math.nan, np.float32("nan")])
def test_nan_is_kept_apart_from_none(nan):
    first, second = check_rewards([nan, None], 2)
    assert math.isnan(first)
    assert second is None


@pytest.mark.parametrize("value", [math.inf, -math.inf, np.float32("inf"), 10**400])
def test_infinite_is_told_with_its_index(value):
    with pytest.raises(InfiniteError, match="at index 1"):
        check_rewards([0.0, value], 2)


@pytest.mark.parametrize(
    "value", ["1.0", 1j, np.complex64(1), [1.0], {}, np.array([1.0, 2.0]), b"1"]
)
def test_what_is_no_number_is_told_with_its_index(value):
    with pytest.raises(ImpossibleError, match="at index 1, where a number or None"):
        check_rewards([0.0, value], 2)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_wrong_length_tells_both(n):
    with pytest.raises(ImpossibleError, match=f"returned {n} rewards for 2 candidates"):
        check_rewards([0.0] * n, 2)


@pytest.mark.parametrize(
    "result",
    [(0.0 for _ in range(2)), {0: 1.0, 1: 2.0}, None, 1.0, "ab", {1.0, 2.0}, np.ones((2, 2))],
)
def test_wrong_container(result):
    with pytest.raises(ImpossibleError, match="not a list of 2 numbers"):
        check_rewards(result, 2)


def test_vectors_and_torch_scalars():
    torch = pytest.importorskip("torch")
    assert check_rewards(np.array([0.5, 1.0]), 2) == [0.5, 1.0]
    assert check_rewards(torch.tensor([0.5, 1.0]), 2) == [0.5, 1.0]
    assert check_rewards([torch.tensor(0.5), torch.tensor(True)], 2) == [0.5, 1.0]


@given(st.lists(st.none() | st.floats(allow_infinity=False, allow_nan=False), max_size=5))
def test_good_rewards_are_unchanged(rewards):
    assert check_rewards(rewards, len(rewards)) == rewards


@pytest.mark.parametrize("name", ["id", "source", "text", "spans", "reference", "completion"])
def test_a_column_of_the_data_wins_over_what_groot_calls_so(name):
    def reward(completions, **columns):
        return [float(columns[name] == ["theirs"])]

    example = Example("x", reference="y", id="7", source="z", columns={name: "theirs"})
    assert call(reward, example, [Candidate("a", "a")], "ours") == [1.0]
