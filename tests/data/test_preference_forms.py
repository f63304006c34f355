"""Preferences in the forms that people have: prompt, chosen and rejected, or told why not."""

import json

import pytest

from fixtures.preference_rows import assistant, user, write
from groot.data.preferences import read_preferences
from groot.errors import DataError

WANTED = ("Name a city.", "Oslo is one.", "no.")
SCORES = {"score_chosen": 8.0, "score_rejected": 4.0}
FORMS = {
    "plain": {"prompt": WANTED[0], "chosen": WANTED[1], "rejected": WANTED[2]},
    "UltraFeedback, the prompt twice": {
        "prompt": WANTED[0],
        "chosen": [user(WANTED[0]), assistant(WANTED[1])],
        "rejected": [user(WANTED[0]), assistant(WANTED[2])],
        **SCORES,
    },
    "a shared start": {
        "chosen": [user(WANTED[0]), assistant(WANTED[1])],
        "rejected": [user(WANTED[0]), assistant(WANTED[2])],
    },
    "a conversation as prompt, repeated": {
        "prompt": [user(WANTED[0])],
        "chosen": [user(WANTED[0]), assistant(WANTED[1])],
        "rejected": [user(WANTED[0]), assistant(WANTED[2])],
    },
    "a conversation as prompt": {
        "prompt": [user(WANTED[0])],
        "chosen": [assistant(WANTED[1])],
        "rejected": [assistant(WANTED[2])],
    },
    "hh-rlhf": {
        "chosen": f"\n\nHuman: {WANTED[0]}\n\nAssistant: {WANTED[1]}",
        "rejected": f"\n\nHuman: {WANTED[0]}\n\nAssistant: {WANTED[2]}",
    },
    "SHP, A is better": {
        "history": WANTED[0],
        "human_ref_A": WANTED[1],
        "human_ref_B": WANTED[2],
        "labels": 1,
    },
    "SHP, B is better": {
        "history": WANTED[0],
        "human_ref_A": WANTED[2],
        "human_ref_B": WANTED[1],
        "labels": 0,
    },
    "UltraFeedback, scored": {
        "instruction": WANTED[0],
        "completions": [
            {"response": WANTED[2], "overall_score": 2.0},
            {"response": "Perhaps Lima.", "overall_score": 5.0},
            {"response": WANTED[1], "overall_score": 9.0},
        ],
    },
    "texts that repeat the prompt": {
        "prompt": WANTED[0],
        "chosen": f"{WANTED[0]} {WANTED[1]}",
        "rejected": f"{WANTED[0]} {WANTED[2]}",
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_one_meaning_in_every_form(tmp_path, form):
    (pair,) = read_preferences(write(tmp_path / "a.jsonl", FORMS[form])).pairs
    assert (pair.prompt, pair.chosen, pair.rejected) == WANTED
    array = tmp_path / "a.json"
    array.write_text(json.dumps([FORMS[form]], indent=1))
    (pair,) = read_preferences(array).pairs
    assert (pair.prompt, pair.chosen, pair.rejected) == WANTED


def test_scores_come_along(tmp_path):
    rows = [FORMS["UltraFeedback, the prompt twice"], FORMS["UltraFeedback, scored"]]
    first, second = read_preferences(write(tmp_path / "a.jsonl", *rows)).pairs
    assert (first.chosen_reward, first.rejected_reward) == (8.0, 4.0)
    assert (second.chosen_reward, second.rejected_reward) == (9.0, 2.0)


def test_a_prompt_in_one_text_alone_is_an_answer(tmp_path):
    rows = [FORMS["plain"]] * 3 + [FORMS["texts that repeat the prompt"]]
    pairs = read_preferences(write(tmp_path / "a.jsonl", *rows)).pairs
    assert pairs[3].chosen == f"{WANTED[0]} {WANTED[1]}"


def test_turns_before_the_last_are_the_prompt(tmp_path):
    start = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: A city?\n\nAssistant:"
    row = {"chosen": f"{start} Oslo", "rejected": f"{start} no"}
    (pair,) = read_preferences(write(tmp_path / "a.jsonl", row)).pairs
    assert pair.prompt == "user: Hi\nassistant: Hello\nuser: A city?"
    assert (pair.chosen, pair.rejected) == ("Oslo", "no")


def test_good_and_bad_outputs_of_a_prompt_are_paired_and_the_rest_is_reported(tmp_path):
    rows = [
        {"prompt": "a", "completion": "good 1", "label": True},
        {"prompt": "a", "completion": "bad 1", "label": False},
        {"prompt": "a", "completion": "good 2", "label": True},
        {"prompt": "b", "completion": "bad 2", "label": False},
    ]
    path = write(tmp_path / "a.jsonl", *rows)
    found = read_preferences(path, on_bad_rows="skip")
    (pair,) = found.pairs
    assert (pair.prompt, pair.chosen, pair.rejected) == ("a", "good 1", "bad 1")
    assert pair.source == f"{path}:1 and 2"
    assert [problem.source for problem in found.problems] == [f"{path}:3", f"{path}:4"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "a"}, "no column 'chosen'"),
        ({"prompt": "q", "chosen": "same", "rejected": "same"}, "are the same text"),
        ({"chosen": "It is Oslo", "rejected": "It is Lima"}, "no column 'prompt'"),
        ({"history": "q", "human_ref_A": "a", "human_ref_B": "b", "labels": 3}, "'labels' is 3"),
        (
            {
                "prompt": [user("weather")],
                "chosen": [{"role": "assistant", "content": None, "tool_calls": [{"name": "w"}]}],
                "rejected": [assistant("no")],
            },
            "message 1 of 'chosen'",
        ),
        (
            {"prompt": "q", "completions": [{"response": "a", "overall_score": 1}] * 2},
            "none is better",
        ),
    ],
)
def test_what_is_no_preference_is_told_with_its_line(tmp_path, row, reason):
    path = write(tmp_path / "a.jsonl", FORMS["plain"], row)
    with pytest.raises(DataError, match=rf"a\.jsonl:2: .*{reason}"):
        read_preferences(path)
