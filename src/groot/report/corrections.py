"""What correction made of the model's candidates, read from the run's candidate files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from groot.data.candidates import CandidateRow, read_candidates
from groot.errors import DataError
from groot.evaluation.records import read_records
from groot.types import Example, Gold


@dataclass(frozen=True)
class Corrected:
    """A candidate of the model with what correction made of it, best reward first."""

    example_id: str
    candidate: CandidateRow
    corrections: Sequence[CandidateRow]
    gold: Gold | None
    text: str

    @property
    def gain(self) -> float:
        """Reward of the best correction minus reward of the candidate; 0 where one is missing."""
        rewards = [
            correction.reward for correction in self.corrections if correction.reward is not None
        ]
        if self.candidate.reward is None or not rewards:
            return 0.0
        return max(rewards) - self.candidate.reward


def read_corrections(
    folder: Path, examples: Sequence[Example], notices: list[str]
) -> dict[str, list[Corrected]]:
    """The corrected candidates of the last round, by example id, largest gain first.

    Args:
        folder: of the candidate files. Beside `round-3.parquet`, `round-3.texts.jsonl` holds the
            texts; without it only candidates of the given examples are shown in their text.
        examples: whose candidates the file may hold.
        notices: gets a line where a file cannot be read.
    """
    rounds = sorted(
        folder.glob("round-*.parquet"),
        key=lambda path: int("".join(filter(str.isdigit, path.stem)) or 0),
    )
    if not rounds:
        return {}
    texts = rounds[-1].with_suffix(".texts.jsonl")
    try:
        known = [*examples, *(read_records(texts)[0] if texts.is_file() else [])]
        rows = read_candidates(rounds[-1], known)
    except DataError as error:
        # The report may be sent to others: no paths of this machine.
        notices.append(f"The corrections are left out: {error}".replace(f"{folder}/", ""))
        return {}
    example_of = {example.id: example for example in known}
    by_example = {
        name: _corrected(name, of_example, example_of.get(name))
        for name, of_example in rows.items()
    }
    return {name: corrected for name, corrected in by_example.items() if corrected}


def _corrected(name: str, rows: Sequence[CandidateRow], example: Example | None) -> list[Corrected]:
    """Corrections of corrections count for the candidate that their chain began with."""
    made: dict[int, list[CandidateRow]] = defaultdict(list)
    for place, row in enumerate(rows):
        root = _root(place, rows)
        if root != place:
            made[root].append(row)
    gold = next((row.output for row in rows if row.source == "gold"), None)
    candidates = [
        Corrected(
            name,
            rows[root],
            sorted(corrections, key=_by_reward),
            gold if example is None or example.gold is None else example.gold,
            "" if example is None else example.text,
        )
        for root, corrections in made.items()
    ]
    return sorted(candidates, key=lambda candidate: -candidate.gain)


def _by_reward(row: CandidateRow) -> tuple[bool, float]:
    """Sorts the best first, missing rewards last."""
    return row.reward is None, -(row.reward or 0.0)


def _root(place: int, rows: Sequence[CandidateRow]) -> int:
    """Where the chain of corrections that a row ends began."""
    seen = {place}
    while (parent := rows[place].parent) is not None and 0 <= parent < len(rows):
        if parent in seen:  # a file from outside may point in circles
            break
        seen.add(parent)
        place = parent
    return place
