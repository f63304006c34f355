"""Preferences from files and from candidates: what is read, and what is refused with its place."""

import math

import pytest

from fixtures.preference_rows import assistant, user, write
from groot.data.candidates import CandidateRow
from groot.data.preferences import (
    cut_held_out,
    preferences_of_candidates,
    preferences_of_rows,
    read_preferences,
)
from groot.errors import ConfigError, DataError
from groot.types import Example, Span

GOOD = {"prompt": "Name a singer.", "chosen": "Nina Simone", "rejected": "Paris"}


def test_plain_rows_with_and_without_rewards(tmp_path):
    scored = {**GOOD, "score_chosen": 8, "score_rejected": 2.5, "other": "ignored"}
    found = read_preferences(write(tmp_path / "pairs.jsonl", GOOD, scored))
    first, second = found.pairs
    assert (first.prompt, first.chosen, first.rejected) == tuple(GOOD.values())
    assert (first.chosen_reward, first.rejected_reward) == (None, None)
    assert (second.chosen_reward, second.rejected_reward) == (8.0, 2.5)
    assert second.source == f"{tmp_path / 'pairs.jsonl'}:2"


def test_conversations_with_a_prompt_or_a_shared_start():
    explicit = {
        "prompt": [{"role": "system", "content": "Be brief."}, user("Hello")],
        "chosen": [assistant("Hi")],
        "rejected": [assistant("Good day")],
    }
    shared = {
        "chosen": [user("Hello"), assistant("Hi")],
        "rejected": [user("Hello"), assistant("Good day")],
    }
    first, second = preferences_of_rows([("m:1", explicit), ("m:2", shared)], "m").pairs
    assert first.prompt == "system: Be brief.\nuser: Hello"
    assert second.prompt == "Hello"
    assert [(pair.chosen, pair.rejected) for pair in (first, second)] == [("Hi", "Good day")] * 2
    joined = preferences_of_rows(
        [("m:1", explicit)], "m", join_prompt=lambda messages: f"<{len(messages)}>"
    )
    assert joined.pairs[0].prompt == "<2>"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chosen": None}, "no column 'chosen'; it has 'prompt', 'chosen', 'rejected'"),
        ({"chosen": None, "rejected": None}, "no column 'chosen' and no column 'rejected'"),
        ({"prompt": None}, "no column 'prompt', and the outputs are no conversations"),
        ({"rejected": "Nina Simone"}, "are the same text"),
        ({"rejected": "  "}, "'rejected' is empty"),
        ({"chosen": 7}, "'chosen' is 7, where a text"),
        ({"chosen": []}, "'chosen' is a list of messages, but 'rejected' is a text"),
        ({"rejected": [assistant("c")]}, "'chosen' is a text, but 'rejected' is a list"),
        ({"chosen": [], "rejected": []}, "'chosen' is .., where a text"),
        ({"chosen": ""}, "'chosen' is empty"),
        ({"prompt": None, "rejected": [user("b")]}, "no column 'prompt'"),
        (
            {"chosen": [{"role": "assistant"}], "rejected": [assistant("c")]},
            "message 1 of 'chosen'",
        ),
        ({"score_chosen": math.nan}, "'score_chosen' is nan"),
        ({"score_chosen": "high"}, "'score_chosen' is 'high'"),
        ({"score_chosen": 1, "score_rejected": 2}, "lower reward"),
        ({"prompt": None, "chosen": [user("a"), assistant("b")], "rejected": [user("b")]}, "alike"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path, change, reason):
    path = write(tmp_path / "pairs.jsonl", GOOD, {**GOOD, **change})
    with pytest.raises(DataError, match=reason) as caught:
        read_preferences(path)
    assert f"{path}:2: " in str(caught.value)
    kept = read_preferences(path, on_bad_rows="skip")
    assert (len(kept.pairs), len(kept.problems)) == (1, 1)


def test_files_that_hold_nothing_usable(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_preferences(tmp_path / "missing.jsonl")
    (tmp_path / "bad.jsonl").write_text("[1]\nnot json\n")
    with pytest.raises(DataError, match="none of its 2 rows") as caught:
        read_preferences(tmp_path / "bad.jsonl", on_bad_rows="skip")
    assert "bad.jsonl:1" in str(caught.value)


@pytest.mark.filterwarnings("ignore")  # of the datasets library itself
def test_a_folder_of_the_datasets_library(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([GOOD, {**GOOD, "rejected": "Rome"}])
    datasets.DatasetDict({"train": rows, "validation": rows.select([1])}).save_to_disk(tmp_path)
    assert [pair.rejected for pair in read_preferences(tmp_path).pairs] == ["Paris", "Rome"]
    (one,) = read_preferences(tmp_path, split="dev").pairs
    assert one.source == f"{tmp_path}:validation:1"


EXAMPLE = Example("play nina in may", ("play", "nina", "in", "may"), (0, 5, 10, 13), id="a")


def texts(*rewards):
    return [
        CandidateRow("a", f"text {place}", f"text {place}", reward=reward)
        for place, reward in enumerate(rewards)
    ]


def places(found):
    return [(pair.chosen[-1], pair.rejected[-1]) for pair in found.pairs]


def test_pairs_of_candidates_differ_by_more_than_the_margin():
    rows = texts(0.0, 0.5, 1.0, 0.5)
    found = preferences_of_candidates({"a": rows}, [EXAMPLE])
    assert places(found) == [("1", "0"), ("2", "0"), ("2", "1"), ("2", "3"), ("3", "0")]
    assert found.pairs[0].source == "a:1>0"
    assert (found.pairs[1].chosen_reward, found.pairs[1].rejected_reward) == (1.0, 0.0)
    wide = preferences_of_candidates({"a": rows}, [EXAMPLE], margin=0.5)
    assert places(wide) == [("2", "0")]


def test_a_cap_draws_the_same_pairs_again_and_others_with_another_seed():
    rows = texts(*range(8))
    drawn = [
        places(preferences_of_candidates({"a": rows}, [EXAMPLE], max_pairs=4, seed=seed))
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 4


def test_labels_keep_what_they_say_and_malformed_or_equal_candidates_make_no_pairs():
    span = Span(5, 9, "artist", "nina")
    rows = [
        CandidateRow("a", "<1> artist", (span,), reward=1.0),
        CandidateRow("a", "", (), reward=0.0),
        CandidateRow("a", "<1> artist", (span,), reward=1.0),
        CandidateRow("a", "rubbish", None, reward=0.0),
    ]
    (pair,) = preferences_of_candidates({"a": rows}, [EXAMPLE]).pairs
    assert (pair.chosen_output, pair.rejected_output) == ((span,), ())
    assert pair.example is EXAMPLE


@pytest.mark.parametrize("reward", [None, math.nan, math.inf])
def test_candidates_without_a_reward_are_named(reward):
    rows = texts(0.0, 1.0, reward)
    with pytest.raises(DataError, match=r"candidate 2 of example 'a'"):
        preferences_of_candidates({"a": rows}, [EXAMPLE])
    kept = preferences_of_candidates({"a": rows}, [EXAMPLE], on_missing_reward="skip")
    assert places(kept) == [("1", "0")]
    assert len(kept.problems) == 1


def test_candidates_that_give_no_pairs_are_an_error():
    with pytest.raises(DataError, match="no pairs"):
        preferences_of_candidates({"a": texts(1.0, 1.0)}, [EXAMPLE])
    with pytest.raises(DataError, match="not in the data"):
        preferences_of_candidates({"b": texts(1.0, 0.0)}, [EXAMPLE])
    with pytest.raises(ConfigError, match="max_pairs=0"):
        preferences_of_candidates({"a": texts(1.0, 0.0)}, [EXAMPLE], max_pairs=0)


def test_held_out_pairs_share_no_prompt_with_the_others():
    rows = [
        (f"m:{number}", {**GOOD, "prompt": f"prompt {number // 2}", "chosen": f"it {number}"})
        for number in range(40)
    ]
    pairs = preferences_of_rows(rows, "m").pairs
    kept, held_out = cut_held_out(pairs, share=0.1)
    assert (len(kept), len(held_out)) == (36, 4)
    assert not {pair.prompt for pair in kept} & {pair.prompt for pair in held_out}
    assert cut_held_out(pairs, share=0.1) == (kept, held_out)
    with pytest.raises(DataError, match="one prompt"):
        cut_held_out(pairs[:2])
