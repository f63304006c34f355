"""Preferences: of two outputs of a prompt, which one is better. From files, or from candidates.

A row of JSON lines, of a JSON array or of a dataset has the columns that TRL has, or one of the
forms of `groot.data.preference_forms`:

    {"prompt": "Name a singer.", "chosen": "Nina Simone", "rejected": "Paris"}
    {"prompt": [{"role": "user", "content": "..."}], "chosen": [{"role": "assistant", ...}], ...}
    {"chosen": [..., {"role": "assistant", ...}], "rejected": [..., ...]}     (the prompt is shared)

and may have score_chosen and score_rejected (also chosen_reward and rejected_reward).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from groot.data.candidates import CandidateRow
from groot.data.conversations import JoinMessages, join_messages
from groot.data.hub import load_split
from groot.data.json_values import read_values
from groot.data.lines import check_text
from groot.data.preference_forms import plain_pairs
from groot.data.result import Problem, RowError, nothing_to_use
from groot.errors import ConfigError, DataError
from groot.types import Example, Gold

_REWARD_FIELDS = {
    "chosen": ("score_chosen", "chosen_reward"),
    "rejected": ("score_rejected", "rejected_reward"),
}


@dataclass(frozen=True, slots=True)
class Preference:
    """Two outputs for one prompt, of which the first is better.

    Args:
        prompt: the input, as text.
        chosen: the better output, as text.
        rejected: the worse one.
        chosen_reward, rejected_reward: how good they are; None where only the order is known.
        source: "path:line", or the id of the example and the places of its two candidates.
        messages: the prompt as a conversation, where it was given as one.
        example: whose candidates they are, where they were made from candidates.
        chosen_output, rejected_output: what the two say as labels, for candidates of a labelling.
    """

    prompt: str
    chosen: str
    rejected: str
    chosen_reward: float | None = None
    rejected_reward: float | None = None
    source: str = ""
    messages: tuple[Mapping[str, str], ...] | None = field(default=None, compare=False)
    example: Example | None = field(default=None, compare=False)
    chosen_output: Gold | None = None
    rejected_output: Gold | None = None


@dataclass(slots=True)
class PreferenceSet:
    """What was read: `n_rows == len(pairs) + len(problems)`, and where from."""

    pairs: list[Preference] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    where: str = ""


def read_preferences(
    where: str | Path,
    *,
    split: str = "train",
    on_bad_rows: Literal["stop", "skip"] = "stop",
    join_prompt: JoinMessages = join_messages,
    join_output: JoinMessages = join_messages,
) -> PreferenceSet:
    """Read preferences from JSON lines, a folder written by `save_to_disk`, or the Hub.

    Args:
        where: a file, a folder, or a name on the Hub.
        split: of a dataset; "dev" also finds "validation".
        on_bad_rows: "stop" raises where a row cannot be used, "skip" lists it in problems.
        join_prompt: conversation -> text, for prompts that are lists of messages.
        join_output: the same for outputs that are lists of messages.

    Raises:
        DataError: for a place that cannot be read, with path:line of the rows that cannot be used,
            or if none can.
    """
    rows: Iterable[tuple[str, Any]]
    if Path(where).is_file() or Path(where).suffix in (".jsonl", ".json"):
        rows = ((f"{where}:{number}", row) for number, row, _ in read_values(where))
    else:
        dataset, name = load_split(where, split)
        rows = ((f"{where}:{name}:{number}", row) for number, row in enumerate(dataset, start=1))
    found = preferences_of_rows(rows, str(where), join_prompt=join_prompt, join_output=join_output)
    if found.problems and on_bad_rows == "stop":
        shown = "\n  ".join(str(problem) for problem in found.problems[:10])
        more = f"\n  and {len(found.problems) - 10} more" if len(found.problems) > 10 else ""
        raise DataError(
            f"{len(found.problems)} rows cannot be used as preferences:\n  {shown}{more}\n"
            "  Mend them, or leave them out and have them counted with --on-bad-rows skip."
        )
    return found


def preferences_of_rows(
    rows: Iterable[tuple[str, Any]],
    where: str,
    *,
    join_prompt: JoinMessages = join_messages,
    join_output: JoinMessages = join_messages,
) -> PreferenceSet:
    """Sort rows, each behind its "path:line", into preferences and problems.

    Raises:
        DataError: if no row can be used.

    >>> row = {"prompt": "Name a singer.", "chosen": "Nina Simone", "rejected": "Paris"}
    >>> preferences_of_rows([("mine:1", row)], "mine").pairs[0].rejected
    'Paris'
    """
    found = PreferenceSet(where=where)
    for source, row in plain_pairs(rows):
        if isinstance(row, Problem):
            found.problems.append(row)
            continue
        try:
            found.pairs.append(_read(row, source, join_prompt, join_output))
        except RowError as error:
            found.problems.append(error.problem(source, repr(row)))
    if not found.pairs:
        raise nothing_to_use(where, found.problems)
    return found


def _read(
    row: Any, source: str, join_prompt: JoinMessages, join_output: JoinMessages
) -> Preference:
    if not isinstance(row, Mapping):
        raise RowError(f"the row is {row!r:.60}, where an object with fields is wanted", "json")
    missing = [name for name in ("chosen", "rejected") if row.get(name) is None]
    if missing:
        there = ", ".join(map(repr, list(row)[:6])) or "no column at all"
        raise RowError(f"no column {' and no column '.join(map(repr, missing))}; it has {there}")
    prompt, chosen, rejected = row.get("prompt"), row["chosen"], row["rejected"]
    if prompt is None:
        prompt, chosen, rejected = _shared_start(row, chosen, rejected)
    if isinstance(chosen, str) and isinstance(rejected, (list, tuple)):
        raise RowError("'chosen' is a text, but 'rejected' is a list of messages; want two alike")
    if isinstance(rejected, str) and isinstance(chosen, (list, tuple)):
        raise RowError("'chosen' is a list of messages, but 'rejected' is a text; want two alike")
    texts = {
        "prompt": _text(prompt, "prompt", join_prompt),
        "chosen": _text(chosen, "chosen", join_output),
        "rejected": _text(rejected, "rejected", join_output),
    }
    for name in ("chosen", "rejected"):
        if not texts[name].strip():
            raise RowError(f"{name!r} is empty, and nothing can be learnt from an empty output")
    if texts["chosen"] == texts["rejected"]:
        raise RowError("'chosen' and 'rejected' are the same text, so neither is better")
    rewards = {name: _reward(row, names) for name, names in _REWARD_FIELDS.items()}
    better, worse = rewards["chosen"], rewards["rejected"]
    if better is not None and worse is not None and better < worse:
        raise RowError(f"'chosen' has a lower reward than 'rejected': {better} < {worse}")
    return Preference(
        texts["prompt"],
        texts["chosen"],
        texts["rejected"],
        chosen_reward=better,
        rejected_reward=worse,
        source=source,
        messages=None if isinstance(prompt, str) else tuple(prompt),
    )


def _shared_start(row: Mapping[str, Any], chosen: Any, rejected: Any) -> tuple[Any, Any, Any]:
    """Prompt and outputs of two conversations that begin alike."""
    if not isinstance(chosen, (list, tuple)) or not isinstance(rejected, (list, tuple)):
        there = ", ".join(map(repr, list(row)[:6]))
        raise RowError(f"no column 'prompt', and the outputs are no conversations; it has {there}")
    shared = 0
    limit = min(len(chosen), len(rejected)) - 1  # each output keeps a message at least
    while shared < limit and chosen[shared] == rejected[shared]:
        shared += 1
    if shared == 0:
        raise RowError("no column 'prompt', and the two conversations do not begin alike")
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _text(value: Any, name: str, join: JoinMessages) -> str:
    if isinstance(value, str):
        return check_text(value, f"{name!r}")
    if not isinstance(value, (list, tuple)) or not value:
        raise RowError(f"{name!r} is {value!r:.60}, where a text or a list of messages is wanted")
    for number, message in enumerate(value, start=1):
        if not isinstance(message, Mapping) or not all(
            isinstance(message.get(part), str) for part in ("role", "content")
        ):
            wanted = 'where {"role": ..., "content": ...} with texts is wanted'
            raise RowError(f"message {number} of {name!r} is {message!r:.60}, {wanted}")
    return check_text(join(value), f"{name!r}")


def _reward(row: Mapping[str, Any], names: Sequence[str]) -> float | None:
    for name in names:
        value = row.get(name)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise RowError(f"{name!r} is {value!r:.40}, where a number is wanted")
            if not math.isfinite(value):
                raise RowError(f"{name!r} is {value}, where a finite number is wanted")
            return float(value)
    return None


def preferences_of_candidates(
    candidates: Mapping[str, Sequence[CandidateRow]],
    examples: Iterable[Example],
    *,
    margin: float = 0.0,
    max_pairs: int = 8,
    seed: int = 1,
    on_missing_reward: Literal["stop", "skip"] = "stop",
) -> PreferenceSet:
    """Pairs of candidates of one example whose rewards differ, the better one chosen.

    Candidates with the same target count once, malformed ones not at all. Which pairs are drawn,
    where there are more than `max_pairs`, follows from the seed and the example's id alone.

    Args:
        candidates: by example id, as `read_candidates` gives them.
        examples: whose candidates they are.
        margin: the reward of chosen and rejected differs by more than this, >= 0.
        max_pairs: of one example at most, > 0.
        seed: another seed, other pairs.
        on_missing_reward: "stop" raises where a candidate has no reward, "skip" leaves it out and
            lists it in problems.

    Raises:
        ConfigError: for a margin or a cap that cannot be.
        DataError: naming the first candidates without a reward, or with an infinite one; or if no
            pair can be made.

    >>> from groot.types import Example
    >>> rows = [CandidateRow("1", text, text, reward=len(text)) for text in ("it", "may")]
    >>> one = Example("say a month", ("say", "a", "month"), (0, 4, 6), id="1")
    >>> preferences_of_candidates({"1": rows}, [one]).pairs[0].chosen
    'may'
    """
    if not margin >= 0 or max_pairs < 1:
        raise ConfigError(f"margin={margin} must be >= 0, and max_pairs={max_pairs} must be >= 1.")
    found = PreferenceSet(where="candidates")
    by_id = {example.id: example for example in examples}
    unknown = sorted(set(candidates) - set(by_id))
    if unknown:
        raise DataError(
            f"{len(unknown)} examples of the candidates are not in the data, such as"
            f" {unknown[0]!r}.\n  Give the data that the candidates were made from."
        )
    for example_id, rows in candidates.items():
        usable = _usable(rows, example_id, found.problems)
        pairs = [
            (better, worse)
            for better, row in usable.items()
            for worse, other in usable.items()
            if _value(row) > _value(other) + margin
        ]
        if len(pairs) > max_pairs:
            drawn = random.Random(f"{seed}:{example_id}").sample(range(len(pairs)), max_pairs)
            pairs = [pairs[place] for place in sorted(drawn)]
        example = by_id[example_id]
        found.pairs += [
            _pair(example, usable[better], usable[worse], f"{example_id}:{better}>{worse}")
            for better, worse in pairs
        ]
    if found.problems and on_missing_reward == "stop":
        raise DataError(
            f"{len(found.problems)} candidates have no usable reward:\n  "
            + "\n  ".join(map(str, found.problems[:5]))
            + "\n  Score them first, or leave them out with on_missing_reward='skip'."
        )
    if not found.pairs:
        raise DataError(
            f"no pairs: the candidates of no example differ in reward by more than {margin}.\n"
            "  Give more candidates, or a smaller margin."
        )
    return found


def _usable(
    rows: Sequence[CandidateRow], example_id: str, problems: list[Problem]
) -> dict[int, CandidateRow]:
    """Candidates with a reward, by their place; of equal targets the first."""
    usable: dict[int, CandidateRow] = {}
    seen: set[Any] = set()
    for place, row in enumerate(rows):
        if row.output is None:
            continue
        if row.reward is None or not math.isfinite(row.reward):
            reason = f"its reward is {'missing' if row.reward is None else row.reward}"
            problems.append(Problem(f"candidate {place} of example {example_id!r}", reason))
            continue
        target = row.target or row.output
        if target not in seen and row.output != "":
            seen.add(target)
            usable[place] = row
    return usable


def _value(row: CandidateRow) -> float:
    assert row.reward is not None
    return row.reward


def _pair(example: Example, better: CandidateRow, worse: CandidateRow, source: str) -> Preference:
    return Preference(
        prompt=example.text,
        chosen=better.candidate.text,
        rejected=worse.candidate.text,
        chosen_reward=better.reward,
        rejected_reward=worse.reward,
        source=source,
        example=example,
        chosen_output=None if isinstance(better.output, str) else better.output,
        rejected_output=None if isinstance(worse.output, str) else worse.output,
    )


def cut_held_out(
    pairs: Sequence[Preference], *, share: float = 0.1, seed: int = 1
) -> tuple[list[Preference], list[Preference]]:
    """Training and held-out pairs; all pairs of a prompt fall on one side.

    Args:
        share: of the prompts that is held out, in (0, 1); at least one prompt.

    Raises:
        DataError: if there is only one prompt.
    """
    prompts = list(dict.fromkeys(pair.prompt for pair in pairs))
    if len(prompts) < 2:
        raise DataError(
            "all pairs have one prompt, so none can be held out. Give held-out pairs yourself."
        )
    count = min(max(1, round(share * len(prompts))), len(prompts) - 1)
    held_out = set(random.Random(f"{seed}:held out").sample(prompts, count))
    return (
        [pair for pair in pairs if pair.prompt not in held_out],
        [pair for pair in pairs if pair.prompt in held_out],
    )
