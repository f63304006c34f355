"""The forms in which people have preferences, as rows of a prompt, a chosen and a rejected output.

{"prompt": "Name one.", "chosen": [{"role": "user", "content": "Name one."}, ...], ...}
{"chosen": "\\n\\nHuman: Name one.\\n\\nAssistant: Nina", "rejected": "..."}
{"history": "Name one.", "human_ref_A": "Nina", "human_ref_B": "no", "labels": 1}
{"instruction": "Name one.", "completions": [{"response": "Nina", "overall_score": 8}, ...]}
{"prompt": "Name one.", "completion": "Nina", "label": true}      with one of label false
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from groot.data.conversations import as_messages, join_messages
from groot.data.result import RowError

# "path:line", and the row or the problem with it
Row = tuple[str, Any]
_TURN = re.compile(r"\n\n(Human|Assistant):[ ]?")
_ROLES = {"Human": "user", "Assistant": "assistant"}
# share of the rows whose outputs must repeat the prompt before it is taken off them
_NEARLY_ALL = 0.95


def plain_pairs(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows with the fields prompt, chosen and rejected; others come as they are.

    Two rows of one prompt, one of them good and one bad, become one row behind both their places.
    """
    rows = list(rows)
    repeats = _repeat_the_prompt([row for _, row in rows])
    single: list[tuple[str, Mapping[str, Any]]] = []
    for source, row in rows:
        if not isinstance(row, Mapping):
            yield source, row
        elif isinstance(row.get("label"), bool) and "completion" in row:
            single.append((source, row))
        else:
            try:
                yield source, _plain(row, repeats)
            except RowError as error:
                yield source, error.problem(source, repr(row))
    yield from _paired(single)


def _plain(row: Mapping[str, Any], repeats: bool) -> Mapping[str, Any]:
    if "human_ref_A" in row and "human_ref_B" in row:
        return _of_shp(row)
    if isinstance(row.get("completions"), list):
        return _of_completions(row)
    prompt, chosen, rejected = (row.get(name) for name in ("prompt", "chosen", "rejected"))
    if isinstance(chosen, str) and isinstance(rejected, str):
        turns = [_turns(text) for text in (chosen, rejected)]
        if prompt is None and all(turns):
            return {**row, "chosen": turns[0], "rejected": turns[1]}
        if repeats and isinstance(prompt, str):
            cut = len(prompt)
            return {**row, "chosen": chosen[cut:].strip(), "rejected": rejected[cut:].strip()}
        return row
    return _without_prompt(row) if prompt is not None else row


def _repeat_the_prompt(rows: Sequence[Any]) -> bool:
    """Whether nearly all texts that are chosen or rejected begin with their prompt."""
    texts = [
        (row["prompt"], row["chosen"], row["rejected"])
        for row in rows
        if isinstance(row, Mapping)
        and all(isinstance(row.get(name), str) for name in ("prompt", "chosen", "rejected"))
    ]
    n = sum(
        all(text.startswith(prompt) and len(text) > len(prompt) for text in outputs)
        for prompt, *outputs in texts
        if prompt
    )
    return n > 0 and n >= _NEARLY_ALL * len(texts)


def _turns(text: str) -> list[dict[str, str]]:
    """The messages of a transcript of Human and Assistant; [] where the text is none."""
    parts = _TURN.split(text)
    if parts[0].strip() or len(parts) < 3:
        return []
    return [
        {"role": _ROLES[name], "content": content.strip()}
        for name, content in zip(parts[1::2], parts[2::2], strict=True)
    ]


def _without_prompt(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Conversations that begin with the prompt again, without it."""
    prompt = row["prompt"]
    prompt_messages = [prompt] if isinstance(prompt, str) else as_messages(prompt, "prompt")
    outputs = {name: as_messages(row.get(name), name) for name in ("chosen", "rejected")}
    if not prompt_messages or not all(outputs.values()):
        return row
    cut = {}
    for name, messages in outputs.items():
        assert messages is not None
        start = messages[: len(prompt_messages)]
        if isinstance(prompt, str):
            # a system message may stand before the prompt
            places = [i for i, message in enumerate(messages[:2]) if message["content"] == prompt]
            start = messages[: places[0] + 1] if places else []
        is_prompt = (
            join_messages(start[-1:]) == prompt
            if isinstance(prompt, str) and start
            else (start == prompt_messages)
        )
        if not is_prompt or len(messages) <= len(start):
            return row
        cut[name] = (start, messages[len(start) :])
    starts = [start for start, _ in cut.values()]
    if starts[0] != starts[1]:
        return row
    return {**row, "prompt": starts[0], **{name: rest for name, (_, rest) in cut.items()}}


def _of_shp(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Two answers of which labels = 1 says that A is better, and 0 that B is."""
    label = row.get("labels")
    if label not in (0, 1) or isinstance(label, bool):
        raise RowError(f"'labels' is {label!r:.40}, where 1 (A is better) or 0 is wanted")
    better, worse = ("A", "B") if label == 1 else ("B", "A")
    pair = {
        "prompt": row.get("history"),
        "chosen": row[f"human_ref_{better}"],
        "rejected": row[f"human_ref_{worse}"],
    }
    scores = {
        "score_chosen": row.get(f"score_{better}"),
        "score_rejected": row.get(f"score_{worse}"),
    }
    return {**pair, **{name: score for name, score in scores.items() if score is not None}}


def _of_completions(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The best and the worst of several scored answers."""
    answers = [
        (
            answer.get("overall_score", answer.get("score")),
            answer.get("response", answer.get("text")),
        )
        for answer in row["completions"]
        if isinstance(answer, Mapping)
    ]
    scored = [(score, text) for score, text in answers if isinstance(score, (int, float))]
    if len(scored) < 2:
        raise RowError("fewer than two of the 'completions' have a score")
    best, worst = max(scored, key=lambda pair: pair[0]), min(scored, key=lambda pair: pair[0])
    if best[0] == worst[0]:
        raise RowError(f"all 'completions' have the score {best[0]}, so none is better")
    return {
        "prompt": row.get("prompt", row.get("instruction")),
        "chosen": best[1],
        "rejected": worst[1],
        "score_chosen": best[0],
        "score_rejected": worst[0],
    }


def _paired(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[Row]:
    """Rows with one output each, good or bad, as pairs of one prompt, in the order they come."""
    by_prompt: dict[str, dict[bool, list[tuple[str, Mapping[str, Any]]]]] = {}
    for source, row in rows:
        groups = by_prompt.setdefault(repr(row.get("prompt")), {True: [], False: []})
        groups[row["label"]].append((source, row))
    for groups in by_prompt.values():
        n_pairs = min(map(len, groups.values()))
        for (good_source, good), (bad_source, bad) in zip(
            groups[True][:n_pairs], groups[False][:n_pairs], strict=True
        ):
            pair = {"chosen": good["completion"], "rejected": bad["completion"]}
            line = bad_source.rpartition(":")[2]
            yield f"{good_source} and {line}", {"prompt": good.get("prompt"), **pair}
        for label, group in groups.items():
            for source, row in group[n_pairs:]:
                other = "bad" if label else "good"
                reason = f"no {other} output of this prompt is left to pair it with"
                yield source, RowError(reason).problem(source, repr(row))
