"""spaCy's JSON: Doc.to_json, training tuples, and the nested form of version 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.json_rows import read_json_file
from groot.data.result import Problem, ReadResult, RowError
from groot.data.settings import RowSettings, WriteSettings
from groot.data.written import write_json_array
from groot.errors import DataError
from groot.types import Example

# from which score on a category of a text is one of its classes
_IS_CLASS = 0.5


def read_spacy(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per text.

        ["play nina", {"entities": [[5, 9, "artist"]]}]
        {"text": "play nina", "ents": [{"start": 5, "end": 9, "label": "artist"}]}
        {"id": 0, "paragraphs": [{"raw": "play nina", "sentences": [{"tokens":
         [{"orth": "play", "ner": "O"}, {"orth": "nina", "ner": "U-artist"}]}]}]}

    Categories ("cats") are classes where their score is at least 0.5. A binary .spacy file is
    converted with spaCy itself: `DocBin().from_disk(path).get_docs(vocab)` and `doc.to_json()`.

    Args:
        path: the file.
        given: those of RowSettings.

    Raises:
        DataError: for a missing or empty file, or if no text can be used.
    """
    if Path(path).suffix == ".spacy" and Path(path).exists():
        raise DataError(
            f"{path}: a binary file of spaCy, which only spaCy reads.\n"
            "  Write its texts as JSON lines: json.dumps(doc.to_json()) for each doc of\n"
            "  DocBin().from_disk(path).get_docs(spacy.blank('en').vocab)"
        )
    return read_json_file(path, RowSettings(**given), format="spacy", adapt=_doc)


def _doc(row: Any, note: Callable[[str], None]) -> Mapping[str, Any]:
    """A text with the fields that read_row knows."""
    if isinstance(row, Sequence) and not isinstance(row, str):
        if len(row) != 2 or not isinstance(row[0], str) or not isinstance(row[1], Mapping):
            raise RowError(f'the row is {row!r:.60}, where ["text", {{...}}] is wanted', "json")
        fields = {"text": row[0], **row[1]}
    elif isinstance(row, Mapping):
        fields = dict(row)
    else:
        raise RowError(f"the row is {row!r:.60}, where an object with fields is wanted", "json")
    if isinstance(fields.get("cats"), Mapping):
        cats = fields.pop("cats")
        if cats:
            fields["classes"] = [name for name, score in cats.items() if score >= _IS_CLASS]
    if "paragraphs" in fields:
        return _nested(fields)
    # the tokens of Doc.to_json have no texts; those of the text are found as always
    if isinstance(fields.get("text"), str):
        fields.pop("tokens", None)
    return fields


def _nested(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The words and tags of all paragraphs of a document."""
    try:
        tokens = [
            (token["orth"], token.get("ner", "-"))
            for paragraph in fields["paragraphs"]
            for sentence in paragraph["sentences"]
            for token in sentence["tokens"]
        ]
    except (KeyError, TypeError) as error:
        raise RowError(f"a paragraph without sentences of tokens: {error!r}", "json") from error
    words = [word for word, _ in tokens]
    if not all(isinstance(word, str) for word in words):
        raise RowError("a token has no text", "json")
    kept = [(word, tag) for word, tag in tokens if word.strip()]
    if any(tag in ("-", None) for _, tag in kept):
        raise RowError("a token has no tag ('-' is unknown to spaCy)", "tag")
    return {
        "id": fields.get("id"),
        "tokens": [word for word, _ in kept],
        "tags": [tag for _, tag in kept],
    }


def _looks_like(head: Head) -> float:
    if head.suffix == ".spacy":
        return 0.99
    tuples = [
        value
        for value in head.values
        if isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], Mapping)
    ]
    share = len(tuples) / len(head.values) if head.values else 0.0
    return 0.99 * max(share, head.share_of_rows("text", "ents"), head.share_of_rows("paragraphs"))


def _row(example: Example, settings: WriteSettings) -> list[Any]:
    fields: dict[str, Any] = {}
    if example.spans is not None:
        fields["entities"] = [[span.start, span.end, span.label] for span in example.spans]
    if example.classes is not None:
        fields["cats"] = dict.fromkeys(example.classes, 1.0)
    if not fields:
        raise RowError("the example has neither spans nor classes")
    return [example.text, fields]


def write_spacy(examples: Sequence[Example], path: Path, settings: WriteSettings) -> list[Problem]:
    """Write training tuples, [text, {"entities": [[start, end, label], ...]}]."""
    return write_json_array(examples, path, settings, _row)


FORMAT = FileFormat(read_spacy, RowSettings, _looks_like, write_spacy)
