"""The candidate store: cases on disk, each file stamped with the weights that wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from groot.data.candidates import CandidateRow, read_candidates, read_stamp, write_candidates
from groot.errors import DataError
from groot.evaluation.records import read_records, write_records
from groot.types import Example

EXPECTED = "expected"  # among a candidate's rewards: what the model itself expects
WEIGHTS = "weights"  # the stamp's name


@dataclass(frozen=True, slots=True)
class Case:
    """An example with rewarded candidates: what is contrasted.

    Args:
        example: with its gold; its id says which instance it varies.
        rows: its candidates with reward, source, parent and note.
    """

    example: Example
    rows: tuple[CandidateRow, ...]


def texts_file(path: Path) -> Path:
    """The file beside a candidates file that holds the texts they are candidates of."""
    return path.with_suffix(".texts.jsonl")


def write_cases(path: Path, cases: Sequence[Case], *, weights: str = "") -> None:
    """Write candidates as Parquet, and their texts with gold beside them.

    Args:
        weights: the mark of the weights that wrote them.
    """
    write_records(texts_file(path), [case.example for case in cases], [[] for _ in cases])
    rows = (row for case in cases for row in case.rows)
    write_candidates(path, rows, stamp={WEIGHTS: weights} if weights else {})


def read_cases(path: Path, examples: Sequence[Example] = (), *, weights: str = "") -> list[Case]:
    """Read candidates that `write_cases` wrote, or a file from outside.

    Args:
        path: the Parquet file.
        examples: those that a file from outside speaks of, by id or text.
        weights: the mark that the file must be stamped with; "" takes any.

    Raises:
        DataError: if the file was written by other weights.
    """
    if weights and read_stamp(path).get(WEIGHTS) != weights:
        raise DataError(
            f"{path}: these candidates were written by other weights than those of this run."
            " Delete the file and its stage is done again, or start a new run."
        )
    if texts_file(path).is_file():
        examples = [*read_records(texts_file(path))[0], *examples]
    by_id = {example.id: example for example in examples}
    rows = read_candidates(path, by_id.values())
    return [Case(by_id[name], tuple(of_text)) for name, of_text in rows.items() if name in by_id]


def describe(cases: Sequence[Case]) -> dict[str, float]:
    """Numbers of a round's candidates, with TRL's names where it has them."""
    searched = [[row.reward for row in case.rows if row.log_p is not None] for case in cases]
    values = [[value for value in row if value is not None] for row in searched]
    values = [row for row in values if row]
    if not values:
        return {}
    firsts = [row[0] for row in values]
    same = [float(max(row) - min(row) < 1e-12) for row in values]
    return {
        "reward": sum(map(sum, values)) / sum(map(len, values)),
        "reward_rank_1": sum(firsts) / len(firsts),
        "reward_oracle": sum(map(max, values)) / len(values),
        "frac_reward_zero_std": sum(same) / len(same),
        "candidates": float(sum(len(case.rows) for case in cases)),
    }
