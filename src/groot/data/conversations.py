"""Prompts and answers in the forms that people have: instructions, questions, conversations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from groot.data.result import RowError

Messages = Sequence[Mapping[str, str]]
JoinMessages = Callable[[Messages], str]
_TEXTS = {"text", "prompt", "sentence", "tokens", "words", "completion", "reference"}
# names of the two speakers in files of conversations
_ROLE_NAMES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}


def join_messages(messages: Messages) -> str:
    """A conversation as plain text: for outputs, and for tokenizers without a chat template.

    One message alone is its content. Several are written as "role: content", a line each.

    >>> join_messages([{"role": "user", "content": "Hello"}])
    'Hello'
    >>> join_messages([{"role": "system", "content": "Be brief."},
    ...                {"role": "user", "content": "Hello"}])
    'system: Be brief.\\nuser: Hello'
    """
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n".join(f"{message['role']}: {message['content']}" for message in messages)


def as_messages(value: Any, name: str) -> list[dict[str, str]] | None:
    """A list of messages with their roles and contents; None where the value is no conversation.

    Raises:
        RowError: for a conversation with a message that has no text, such as a tool call.
    """
    if not isinstance(value, (list, tuple)) or not value:
        return None
    messages = []
    for number, message in enumerate(value, start=1):
        if not isinstance(message, Mapping):
            return None
        role = message.get("role", message.get("from"))
        content = message.get("content", message.get("value"))
        if not isinstance(role, str):
            return None
        if not isinstance(content, str):
            has = "a tool call" if message.get("tool_calls") else f"{content!r:.40}"
            raise RowError(f"message {number} of {name!r} holds {has}, where a text is wanted")
        messages.append({"role": _ROLE_NAMES.get(role, role), "content": content})
    return messages


def plain_prompts(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of instructions, questions or messages with the fields "prompt" and "completion".

    Rows of other kinds come back as they are.

    Raises:
        RowError: for a conversation that cannot be split into a prompt and an answer.

    >>> plain_prompts({"instruction": "Add.", "input": "1 2", "output": "3"})
    {'prompt': 'Add.\\n\\n1 2', 'completion': '3'}
    >>> plain_prompts({"messages": [{"role": "user", "content": "Hi"},
    ...                             {"role": "assistant", "content": "Hello"}]})
    {'prompt': 'Hi', 'completion': 'Hello'}
    """
    fields = dict(row)
    for name in ("messages", "conversations"):
        messages = as_messages(fields.get(name), name)
        if messages and "text" not in fields and "prompt" not in fields:
            del fields[name]
            if messages[-1]["role"] == "assistant":
                answer = messages.pop()["content"]
                return {"prompt": _joined(messages, name), "completion": answer, **fields}
            return {"prompt": _joined(messages, name), **fields}
    if isinstance(fields.get("instruction"), str) and isinstance(fields.get("output"), str):
        more = fields.pop("input", "") or ""
        prompt = "\n\n".join(part for part in (fields.pop("instruction"), more) if part)
        return {"prompt": prompt, "completion": fields.pop("output"), **fields}
    reply = fields.get("answer")
    is_question = isinstance(fields.get("question"), str) and isinstance(reply, str)
    if is_question and not _TEXTS & set(fields):
        # the answer stays where it is as well: rewards read it by its name
        return {"prompt": fields.pop("question"), "completion": reply, **fields}
    for field in ("prompt", "completion"):
        messages = as_messages(fields.get(field), field)
        if messages:
            fields[field] = _joined(messages, field)
    return fields


def _joined(messages: Messages, name: str) -> str:
    if not messages:
        raise RowError(f"{name!r} holds an answer, but no prompt before it")
    return join_messages(messages)
