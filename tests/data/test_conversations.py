import json

import pytest

from groot.data import read_examples
from groot.data.conversations import as_messages, plain_prompts
from groot.data.result import RowError
from groot.errors import DataError

USER, ASSISTANT = {"role": "user", "content": "say a"}, {"role": "assistant", "content": "aaa"}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "say a", "completion": "aaa"},
        {"instruction": "say a", "input": "", "output": "aaa"},
        {"question": "say a", "answer": "aaa"},
        {"messages": [USER, ASSISTANT]},
        {"conversations": [{"from": "human", "value": "say a"}, {"from": "gpt", "value": "aaa"}]},
        {"prompt": [USER], "completion": [ASSISTANT]},
    ],
    ids=["plain", "alpaca", "question", "messages", "sharegpt", "conversation"],
)
def test_one_meaning_in_every_form(tmp_path, row):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (example,) = read_examples(path).examples
    assert (example.text, example.reference) == ("say a", "aaa")
    if "answer" in row:
        assert example.columns["answer"] == "aaa"


def test_turns_before_the_last_answer_are_the_prompt():
    row = plain_prompts({"messages": [USER, ASSISTANT, {"role": "user", "content": "and b"}]})
    assert row == {"prompt": "user: say a\nassistant: aaa\nuser: and b"}


def test_a_prompt_alone_is_a_text_without_gold(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "say a"}\n')
    (example,) = read_examples(path).examples
    assert (example.text, example.gold) == ("say a", None)


@pytest.mark.parametrize(
    "message", [{"role": "assistant", "content": None, "tool_calls": [{}]}, {"role": "assistant"}]
)
def test_messages_without_a_text_are_told(message):
    with pytest.raises(RowError, match="message 2 of 'messages' holds"):
        as_messages([USER, message], "messages")


def test_fields_of_no_known_form_are_told(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"context": "x", "question": "say a", "answers": {"text": ["a"]}}\n')
    with pytest.raises(DataError, match=r"no text: none of the fields.*'context', 'question'"):
        read_examples(path)
