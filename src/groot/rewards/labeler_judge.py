"""The reward of texts that a trained labeler finds something in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from groot.engine.marks import mark_of_folder, mark_of_json
from groot.errors import ConfigError, RewardError
from groot.rewards.compose import Rewards
from groot.rewards.free_text import texts_of, wrong_argument
from groot.types import Candidate, Example

REMEMBERED = 100_000  # texts whose labels are kept


class Judge(Protocol):
    """Something that labels texts; `groot.Labeler` is one."""

    def __call__(
        self, texts: str | Sequence[str], /, *, top_k: int = 1
    ) -> Sequence[Sequence[Candidate]]:
        """Candidates of each text, best first."""


OpenLabeler = Callable[[str], Judge]


class LabelerJudge:
    """What a labeler reads in a text, against how much is wanted.

    A labeler of spans: different labels that it finds, as a share of those wanted, at most 1.
    Wanted is a number (2 where nothing else is said), or the labels in a column of the example:
    then the share of these that is found.
    A labeler of classes: probability of the class that it finds. Where a column is named, 0 unless
    that is the class, or one of the classes, in the column.
    Malformed texts are 0.0. A value is missing where the example lacks the column.

    All texts of a call are labelled together, and none twice.

    Args:
        folder: of the labeler, or of its run.
        least: labels wanted.
        column: the example's column that says which labels are wanted; None for any.
    """

    def __init__(self, folder: str, *, least: int = 2, column: str | None = None) -> None:
        self.folder = folder
        self.least = least
        self.column = column
        self._judge: Judge | None = None
        self._known: dict[str, Candidate | None] = {}

    def open(self, open_labeler: OpenLabeler | None) -> None:
        """Load the labeler.

        Raises:
            ConfigError: if nothing is given that could.
            ModelError: if there is no labeler in the folder.
        """
        if open_labeler is None:
            raise ConfigError(
                f"reward 'labeler_judge:{self.folder}' needs a labeler. From Python, say who opens"
                " it: parse_rewards([...], open_labeler=groot.load)."
            )
        self._judge = open_labeler(self.folder)

    @property
    def mark(self) -> str:
        """SHA-256 over the settings and the labeler's files; where they lie does not count."""
        folder = Path(self.folder)
        if not (folder / "config.json").is_file():
            folder = folder / "model"
        return mark_of_json(["labeler_judge", self.least, self.column, mark_of_folder(folder)])

    def __call__(self, example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
        return self.score_all([example], [candidates])[0]

    def score_all(
        self, examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]]
    ) -> Rewards:
        """Rewards of the candidates of each example; one call of the labeler for all."""
        texts = [
            texts_of("labeler_judge", example, ranked)
            for example, ranked in zip(examples, candidates, strict=True)
        ]
        self._label({text for written in texts for text in written if text is not None})
        return [
            [0.0 if text is None else self._value(example, self._known[text]) for text in written]
            for example, written in zip(examples, texts, strict=True)
        ]

    def _label(self, texts: set[str]) -> None:
        if self._judge is None:
            raise RewardError(f"the labeler of 'labeler_judge:{self.folder}' was not opened")
        if len(self._known) > REMEMBERED:
            self._known.clear()
        new = sorted(texts - self._known.keys())
        if new:
            for text, ranked in zip(new, self._judge(new, top_k=1), strict=True):
                self._known[text] = ranked[0] if ranked else None

    def _value(self, example: Example, labelled: Candidate | None) -> float | None:
        wanted: set[str] | None = None
        if self.column is not None:
            asked = example.columns.get(self.column)
            if asked is None:
                return None
            wanted = {asked} if isinstance(asked, str) else set(map(str, asked))
        if labelled is None or labelled.is_malformed:
            return 0.0
        if labelled.classes:
            is_asked = wanted is None or bool(wanted.intersection(labelled.classes))
            return min(1.0, math.exp(labelled.log_p or 0.0)) if is_asked else 0.0
        labels = {span.label for span in labelled.spans}
        if wanted is not None:
            return len(wanted & labels) / len(wanted) if wanted else 1.0
        return min(1.0, len(labels) / self.least)


def make_labeler_judge(argument: str) -> LabelerJudge:
    """The reward that "labeler_judge:ARGUMENT" names: a folder, then a number or a column.

    >>> judge = make_labeler_judge("runs/slots:3")
    >>> judge.folder, judge.least
    ('runs/slots', 3)
    >>> make_labeler_judge("runs/intents:intent").column
    'intent'

    Raises:
        ConfigError: if there is no folder in it.
    """
    folder, _, last = argument.rpartition(":")
    if not folder:
        folder, last = last, ""
    if not folder:
        wanted = "want the folder of a labeler, labeler_judge:runs/slots or ...:runs/slots:3."
        raise wrong_argument("labeler_judge", argument, wanted)
    if last.isdecimal():
        if int(last) < 1:
            raise wrong_argument("labeler_judge", argument, "want at least 1 label.")
        return LabelerJudge(folder, least=int(last))
    return LabelerJudge(folder, column=last or None)
