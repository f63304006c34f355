"""Writing a labeler for another runtime, and counting on texts whether it says the same."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groot.config import load_config
from groot.data import read_examples
from groot.data.benchmarks import Split
from groot.errors import ConfigError, DataError
from groot.models.ctranslate2_export import CTranslate2Model, convert_to_ctranslate2
from groot.models.model_folder import SETTINGS_FILE, model_folder
from groot.search.label_search import label_search
from groot.studies.evaluate_folder import CONFIG_FILE
from groot.types import Example
from groot.writer.folders import load_token_labeler
from groot.writer.labeler import Labeler

BATCH = 64


@dataclass(frozen=True, slots=True)
class Counts:
    """How targets of another runtime compare with groot's most probable ones.

    Args:
        equal: the same target.
        other: legal, but another one.
        illegal: it breaks the label grammar.
    """

    equal: int
    other: int
    illegal: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """How greedy targets of another runtime compare with groot's most probable ones.

    Args:
        where: the texts' place.
        texts: compared; a long text counts once per window.
        proven: groot's target is proven to be the most probable legal one.
        free: the runtime left to itself.
        held: the runtime held to the label grammar; None where it cannot be.
    """

    where: str
    texts: int
    proven: int
    free: Counts
    held: Counts | None


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Args:
        out: the folder.
        format: of the model in it.
        quantization: how its weights are stored.
        compute_type: the arithmetic that this machine runs it with.
        megabytes: of its weights. source_megabytes: of the model's own.
        agreement: None where no texts were there to compare on.
    """

    out: str
    format: str
    quantization: str
    compute_type: str
    megabytes: float
    source_megabytes: float
    agreement: Agreement | None

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


def export_folder(
    folder: Path,
    out: Path,
    *,
    quantization: str = "float32",
    data: str | None = None,
    split: Split = "test",
    format: str | None = None,
    n_texts: int = 200,
) -> Exported:
    """Convert the labeler of a folder for CTranslate2 and compare both on texts.

    Args:
        folder: of a run or a model.
        out: a new folder.
        quantization: see `convert_to_ctranslate2`.
        data: what to compare on; None takes the test or dev data of the run, if they are there.
        split: of a benchmark or a folder of splits.
        format: of the data's file.
        n_texts: to compare on; 0 does not compare.

    Raises:
        ModelError: if there is no labeler, or it cannot be converted.
        OutputError: if out exists.
        DataError: if data cannot be read.
    """
    labeler = load_token_labeler(folder)
    examples: list[Example] = []
    where = ""
    if n_texts:
        found = _examples(folder, data, split, format)
        if found is not None:
            where, examples = found
    convert_to_ctranslate2(labeler.model, out, codec=labeler.codec, quantization=quantization)
    shutil.copyfile(model_folder(folder) / SETTINGS_FILE, out / SETTINGS_FILE)
    converted = CTranslate2Model(out, labeler.codec)
    weights = {id(weight): weight for weight in labeler.model.parameters()}.values()
    return Exported(
        out=str(out),
        format="ctranslate2",
        quantization=quantization,
        compute_type=converted.compute_type,
        megabytes=round((out / "model.bin").stat().st_size / 1e6, 3),
        source_megabytes=round(sum(w.numel() * w.element_size() for w in weights) / 1e6, 3),
        agreement=compare(labeler, converted, examples[:n_texts], where=where)
        if examples
        else None,
    )


def _examples(
    folder: Path, data: str | None, split: Split, format: str | None
) -> tuple[str, list[Example]] | None:
    """The texts to compare on and their place; None where the run's own are not there."""
    if data is not None:
        found = read_examples(data, split=split, format=format)
        if not found.examples:
            raise DataError(f"{data}: no readable texts to compare on. Name other --data.")
        return data, found.examples
    if not (folder / CONFIG_FILE).is_file():
        return None
    settings = load_config(folder / CONFIG_FILE).data
    where = str(settings.test or settings.dev or settings.train)
    try:
        found = read_examples(where, split="test", task=settings.task, format=settings.format)
    except (DataError, ConfigError):  # they have moved, and nobody asked for them by name
        return None
    return (where, found.examples) if found.examples else None


def compare(
    labeler: Labeler, converted: CTranslate2Model, examples: Sequence[Example], *, where: str = ""
) -> Agreement:
    """Count how often greedy decoding by CTranslate2 writes groot's most probable target."""
    codec = labeler.codec
    pieces = [window.example for example in examples for window in labeler.windows(example)]
    pieces = [piece for piece in pieces if labeler.form.slots(piece)]
    pieces.sort(key=lambda piece: labeler.form.slots(piece))
    inputs = [codec.input_ids(piece) for piece in pieces]
    slots = [labeler.form.slots(piece) for piece in pieces]
    found = label_search(labeler.model, codec, inputs, slots, k=1)
    ours = [
        codec.encode_path(piece, one.paths[0]).tokens
        for piece, one in zip(pieces, found, strict=True)
    ]
    free: list[Sequence[int]] = []
    held: list[Sequence[int]] = []
    for first in range(0, len(pieces), BATCH):
        part = slice(first, first + BATCH)
        longest = 2 * max(map(len, ours[part])) + 8
        free += [one[0] for one in converted.search(inputs[part], max_new_tokens=longest)]
        if converted.keeps_grammar:
            held += [one[0][0] for one in converted.search_legal(inputs[part], slots[part])]

    def counts(theirs: Sequence[Sequence[int]]) -> Counts:
        equal = [tuple(one) == other for one, other in zip(theirs, ours, strict=True)]
        legal = [is_legal(labeler, n, one) for n, one in zip(slots, theirs, strict=True)]
        return Counts(sum(equal), sum(legal) - sum(equal), len(legal) - sum(legal))

    return Agreement(
        where=where,
        texts=len(pieces),
        proven=sum(one.exact for one in found),
        free=counts(free),
        held=counts(held) if converted.keeps_grammar else None,
    )


def is_legal(labeler: Labeler, n_slots: int, tokens: Sequence[int]) -> bool:
    """Whether tokens are a whole target of n_slots slots under the labeler's grammar."""
    grammar, glue = labeler.codec.grammar, labeler.codec.glue_ids(n_slots)
    state, slot = 0, 0
    forced = list(glue[0])
    for token in tokens:
        if forced:
            if token != forced.pop(0):
                return False
        elif slot == n_slots or token not in grammar.tokens[state]:
            return False
        else:
            at = grammar.tokens[state].index(token)
            closes, state = grammar.closes[state][at], grammar.next_states[state][at]
            if closes:
                slot += 1
                forced = list(glue[slot])
    return slot == n_slots and not forced
