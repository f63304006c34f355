"""The ledger of a model: which texts it learnt from, was chosen on, was calibrated on, ...

`ledger.json` stands beside the model. It holds no text, only hashes, so that a number that is
computed on texts which the model has seen can say so.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from groot.engine.files import write_text
from groot.errors import ModelError

LEDGER_FILE = "ledger.json"
_FORMAT = 1
_HASH_BYTES = 16

Use = Literal["learnt_from", "chosen_on", "calibrated_on", "thresholds_chosen_on", "tested_on"]

# What was done with the texts of each use, as the end of a sentence.
USES: dict[Use, str] = {
    "learnt_from": "the model learnt from",
    "chosen_on": "the model was chosen on",
    "calibrated_on": "its probabilities were calibrated on",
    "thresholds_chosen_on": "its thresholds were chosen on",
    "tested_on": "the model was tested on before",
}


def text_hash(text: str) -> str:
    """32 hexadecimal digits of a text; capitals, white space and Unicode forms do not count.

    >>> text_hash("Play  Nina\\n") == text_hash("play nina")
    True
    """
    normal = unicodedata.normalize("NFKC", " ".join(text.split())).casefold()
    content = normal.encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[: 2 * _HASH_BYTES]


@dataclass(frozen=True)
class Ledger:
    """What a model has seen of which texts.

    Args:
        hashes: of the texts of each use, as `text_hash` gives them.
        is_complete: False where the model has a history that nobody wrote down.

    >>> ledger = Ledger().with_texts("learnt_from", ["play nina", "stop"])
    >>> ledger.seen(["Stop", "go on"])
    {'learnt_from': 1}
    >>> ledger.sentences(["Stop", "go on"])
    ['1 of 2 texts stands among those that the model learnt from.']
    """

    hashes: Mapping[Use, frozenset[str]] = field(default_factory=dict)
    is_complete: bool = True

    def with_texts(self, use: Use, texts: Iterable[str]) -> Ledger:
        """This ledger, with more texts of a use."""
        more = self.hashes.get(use, frozenset()).union(map(text_hash, texts))
        return Ledger({**self.hashes, use: more}, self.is_complete)

    def merged(self, other: Ledger) -> Ledger:
        """The ledger of what was made of both, complete where both are."""
        hashes = {
            use: self.hashes.get(use, frozenset()) | other.hashes.get(use, frozenset())
            for use in USES
            if use in self.hashes or use in other.hashes
        }
        return Ledger(hashes, self.is_complete and other.is_complete)

    def seen(self, texts: Iterable[str]) -> dict[Use, int]:
        """How many of the texts stand in it, by use; uses without any are left out."""
        hashes = [text_hash(text) for text in texts]
        counts = {
            use: sum(each in self.hashes.get(use, frozenset()) for each in hashes) for use in USES
        }
        return {use: count for use, count in counts.items() if count}

    def sentences(self, texts: Iterable[str]) -> list[str]:
        """What to say beside a number that is computed on these texts; [] where nothing is."""
        asked = list(texts)
        lines = [seen_sentence(use, count, len(asked)) for use, count in self.seen(asked).items()]
        if not self.is_complete:
            lines.append("Which other texts the model has seen is unknown.")
        return lines


UNKNOWN = Ledger(is_complete=False)


def seen_sentence(use: Use, count: int, total: int) -> str:
    """One use as a sentence.

    >>> seen_sentence("learnt_from", 52, 500)
    '52 of 500 texts stand among those that the model learnt from.'
    """
    stand = "stands" if count == 1 else "stand"
    texts = "text" if total == 1 else "texts"
    return f"{count:,} of {total:,} {texts} {stand} among those that {USES[use]}."


def read_ledger(folder: Path) -> Ledger:
    """The ledger beside a model; that of a model without one is unknown.

    Raises:
        ModelError: the file is there and is no ledger.
    """
    path = folder / LEDGER_FILE
    if not path.is_file():
        return UNKNOWN
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != _FORMAT:
            raise ValueError(f"format {stored['format']!r} instead of {_FORMAT}")
        hashes = {use: _checked(stored["texts"][use]) for use in USES if use in stored["texts"]}
        return Ledger(hashes, stored["is_complete"] is True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path}: no ledger that can be read ({error}). Restore it, or delete it: the texts "
            "that the model has seen are unknown then."
        ) from error


def _checked(hashes: object) -> frozenset[str]:
    if not isinstance(hashes, list):
        raise TypeError("a list of hashes is wanted")
    if not all(isinstance(item, str) and len(item) == 2 * _HASH_BYTES for item in hashes):
        raise ValueError(f"hashes of {2 * _HASH_BYTES} digits are wanted")
    return frozenset(hashes)


def write_ledger(folder: Path, ledger: Ledger) -> None:
    """Write the ledger beside a model, in one go."""
    stored = {
        "format": _FORMAT,
        "is_complete": ledger.is_complete,
        "texts": {use: sorted(ledger.hashes[use]) for use in USES if use in ledger.hashes},
    }
    write_text(folder / LEDGER_FILE, json.dumps(stored, separators=(",", ":")) + "\n")
