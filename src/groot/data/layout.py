"""What the fields of a file's rows mean: decided once, from all its rows, never row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from groot.data.settings import RowSettings
from groot.errors import DataError

GoldKind = Literal["spans", "classes", "tags"]

TEXT_FIELDS = ("text", "prompt", "sentence")
TOKEN_FIELDS = ("tokens", "words", "tokenized_text")
TAG_FIELDS = ("tags", "ner_tags", "ner", "labels", "label")
SPAN_FIELDS = ("spans", "entities", "ents", "label", "labels")
CLASS_FIELDS = ("classes", "class", "label", "labels")
REFERENCE_FIELDS = ("completion", "reference")
# fields whose values alone tell what they hold
AMBIGUOUS_FIELDS = ("label", "labels")

# share of the rows that may differ from the others before the file is said to hold two kinds
MAX_OTHER_SHARE = 0.05
_SHOWN = {"spans": "spans", "classes": "classes", "tags": "tags", "text": "reference texts"}
_TASK_OF = {"spans": "spans", "tags": "spans", "classes": "classes", "text": "text"}


@dataclass(frozen=True, slots=True)
class Layout:
    """What the fields mean.

    Args:
        kinds: of gold in each of AMBIGUOUS_FIELDS; a field that is not there is decided by the
            row, which is for rows that come one by one.
        is_one_hot: those of these fields that hold lists of 0 and 1, one for each class.
        filters_answers: rows whose answer is not "accept" are left out, as Prodigy writes them.
    """

    kinds: Mapping[str, GoldKind] = field(default_factory=dict)
    is_one_hot: frozenset[str] = frozenset()
    filters_answers: bool = False


def find_layout(
    path: object, rows: Iterable[tuple[str, Mapping[str, Any]]], settings: RowSettings
) -> Layout:
    """The layout of rows, each behind its "path:line".

    Raises:
        DataError: where the rows hold gold of two kinds, or of a kind that cannot be told, with
            the setting that decides.
    """
    kinds_of = {name: Counter[str]() for name in AMBIGUOUS_FIELDS}
    first: dict[tuple[str, str], str] = {}
    golds: Counter[frozenset[str]] = Counter()
    one_hot = {name: _OneHot() for name in AMBIGUOUS_FIELDS}
    answers: Counter[str] = Counter()
    is_prodigy = False
    for source, row in rows:
        gold = _plain_kinds(row)
        for name in AMBIGUOUS_FIELDS:
            if (kind := _kind_of(row, name)) is not None:
                kinds_of[name][kind] += 1
                first.setdefault((name, kind), source)
                one_hot[name].add(row[name], kind)
                gold.add(_TASK_OF.get(kind, kind))
        golds[frozenset(gold - {"empty"})] += 1
        if row.get("answer") is not None:
            answers[str(row["answer"])] += 1
        is_prodigy = is_prodigy or "_input_hash" in row
    for name in AMBIGUOUS_FIELDS:
        if one_hot[name].is_sure and settings.label_names is None and settings.task != "text":
            raise DataError(
                f"{path}: {name!r} holds lists of 0 and 1, one for each class, but not the names of"
                f" the {one_hot[name].length} classes.\n  Set label_names=[first, second, ...]."
            )
    has_spans = any("spans" in kinds for kinds in golds)
    kinds: dict[str, GoldKind] = {
        name: "spans"
        if has_spans and set(counts) == {"empty"}
        else _decide(path, name, counts, first, settings)
        for name, counts in kinds_of.items()
        if counts
    }
    if settings.task is None:
        _check_one_kind(path, golds)
    return Layout(
        kinds,
        frozenset(name for name in AMBIGUOUS_FIELDS if one_hot[name].is_sure),
        is_prodigy or set(answers) <= {"accept", "reject", "ignore"},
    )


def _plain_kinds(row: Mapping[str, Any]) -> set[str]:
    """The kinds of gold that a row has in fields whose name tells."""
    kinds = set()
    if any(row.get(name) is not None for name in ("spans", "entities", "ents", "ner")):
        kinds.add("spans")
    if any(isinstance(row.get(name), (list, tuple)) for name in ("tags", "ner_tags")):
        kinds.add("spans")
    if any(row.get(name) is not None for name in ("classes", "class")):
        kinds.add("classes")
    if any(row.get(name) is not None for name in REFERENCE_FIELDS):
        kinds.add("text")
    return kinds


def _kind_of(row: Mapping[str, Any], name: str) -> str | None:
    """The kind of gold that a field holds in this row; "empty" for a list without an item."""
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, Mapping):
        return "spans"
    if not isinstance(value, (list, tuple)):
        return "classes"
    if not value:
        return "empty"
    if all(isinstance(item, (list, tuple, Mapping)) for item in value):
        return "spans"
    if any(isinstance(row.get(tokens), (list, tuple)) for tokens in TOKEN_FIELDS):
        return "tags"
    return "classes"


class _OneHot:
    """Whether all values of a field are lists of 0 and 1 of one length."""

    def __init__(self) -> None:
        self.n, self.length, self.fits = 0, 0, True

    def add(self, value: Any, kind: str) -> None:
        if not self.fits:
            return
        self.n += 1
        self.length = self.length or (len(value) if isinstance(value, (list, tuple)) else 0)
        self.fits = (
            kind == "classes"
            and isinstance(value, (list, tuple))
            and len(value) == self.length
            and all(isinstance(item, (int, float)) and item in (0, 1) for item in value)
        )

    @property
    def is_sure(self) -> bool:
        return self.fits and self.n > 0 and self.length > 1


def _decide(
    path: object,
    name: str,
    counts: Counter[str],
    first: Mapping[tuple[str, str], str],
    settings: RowSettings,
) -> GoldKind:
    """The kind of gold in a field, by the task or by nearly all of its values."""
    counted = {kind: n for kind, n in counts.items() if kind != "empty"}
    if settings.task == "classes":
        return "classes"
    if settings.task == "spans":
        return "tags" if counted.get("tags", 0) > counted.get("spans", 0) else "spans"
    if not counted:
        if settings.task == "text":
            return "classes"
        raise DataError(
            f"{path}: {name!r} is an empty list in each row, so it cannot be told what it holds.\n"
            "  Set task=spans or task=classes."
        )
    (kind, n), *others = sorted(counted.items(), key=lambda item: -item[1])
    n_others = sum(count for _, count in others)
    if n_others > MAX_OTHER_SHARE * (n + n_others) and settings.task is None:
        kinds_text = ", ".join(
            f"{_SHOWN[other]} in {count:,} (first at {first[name, other]})"
            for other, count in counted.items()
        )
        tasks = " or ".join(dict.fromkeys(f"task={_TASK_OF[other]}" for other in counted))
        raise DataError(
            f"{path}: {name!r} holds gold of several kinds: {kinds_text}.\n"
            f"  Set {tasks}; rows of the other kind are then reported."
        )
    return kind  # type: ignore[return-value]


def _check_one_kind(path: object, golds: Counter[frozenset[str]]) -> None:
    """Nearly all rows with gold must share one kind of it."""
    n_gold = sum(n for kinds, n in golds.items() if kinds)
    if not n_gold:
        return
    counts: Counter[str] = Counter()
    for kinds, n in golds.items():
        for kind in kinds:
            counts[kind] += n
    if max(counts.values()) < (1 - MAX_OTHER_SHARE) * n_gold:
        kinds_text = ", ".join(f"{_SHOWN[kind]} in {n:,}" for kind, n in counts.most_common())
        tasks = ", ".join(f"task={kind}" for kind, _ in counts.most_common())
        raise DataError(
            f"{path}: its rows hold gold of several kinds: {kinds_text}.\n  Set one of {tasks}."
        )


def unlike_the_others(name: str, kind: str, value: Any) -> str:
    """What to say of a row whose field holds another kind of gold than the other rows."""
    wanted: Sequence[str] = {"spans": ["spans"], "classes": ["classes"]}.get(kind, ["tags"])
    return f"{name!r} is {value!r:.60}, where the other rows have {wanted[0]}"
