"""The settings of readers: what they share. Each format adds its own in its own file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from groot.errors import ConfigError
from groot.targets.schemes import SCHEMES
from groot.types import Task

OffsetUnit = Literal["codepoint", "utf16"]
Ends = Literal["exclusive", "inclusive"]
Overlap = Literal["drop-text", "outermost", "innermost", "longest"]
_TYPE_NAMES = {str: "a text", int: "a whole number", bool: "true or false"}


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """What every reader takes.

    Args:
        task: which gold to take; None takes all there is.
        id_prefix: ids are "prefix:line" where a row has none; default the stem of the path.
        prefer_scheme: the tag scheme to take where several fit equally well.
    """

    task: Task | None = None
    id_prefix: str | None = None
    prefer_scheme: str = "IOB2"

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            _check_type(name, getattr(self, name), hint)
        check_choice("task", self.task, (None, *get_args(Task)))


@dataclass(frozen=True, kw_only=True)
class TagSettings(ReadSettings):
    """What readers of tags take.

    Args:
        scheme: of the tags; None detects it.
        join_runs: whether neighbouring words with one plain label, such as "person", are one
            span; else each is a span of its own.
    """

    scheme: str | None = None
    join_runs: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scheme is not None:
            SCHEMES[self.scheme]  # an unknown name is an error even where nothing has tags


@dataclass(frozen=True, kw_only=True)
class SpanSettings(ReadSettings):
    """What readers of character offsets take.

    Args:
        offset_unit: "codepoint", or "utf16" for offsets made by JavaScript, Java or C#.
        ends: "exclusive", or "inclusive" where the end is the last character itself.
        overlap: what to do with a text whose spans overlap or have several parts: "drop-text"
            makes it a problem; "outermost", "innermost" and "longest" keep those of its spans
            that do not overlap, and note how many were left out.
    """

    offset_unit: OffsetUnit = "codepoint"
    ends: Ends = "exclusive"
    overlap: Overlap = "drop-text"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("offset_unit", self.offset_unit, get_args(OffsetUnit))
        check_choice("ends", self.ends, get_args(Ends))
        check_choice("overlap", self.overlap, get_args(Overlap))


@dataclass(frozen=True, kw_only=True)
class RowSettings(TagSettings, SpanSettings):
    """What readers of rows with named fields take.

    Args:
        text_field: the field of the text; None: the first of TEXT_FIELDS.
        tags_field: the field of tags, one for each token; None: the first of TAG_FIELDS.
        label_field: a field to read as if it were named "label".
        class_separator: what stands between several classes in one string.
        label_names: the names of classes or tags that are given as numbers from 0, or as lists
            of 0 and 1, one for each class.
        token_offsets: whether the offsets of spans count tokens, not characters.
    """

    text_field: str | None = None
    tags_field: str | None = None
    label_field: str | None = None
    class_separator: str | None = None
    label_names: Sequence[str] | None = None
    token_offsets: bool = False


def _check_type(name: str, value: object, hint: Any) -> None:
    """Check that a setting is of one of the types of its annotation, which are plain ones."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if any(get_origin(kind) is Literal for kind in kinds):
        return  # of a few values, which are checked one by one
    if value is None and NoneType in kinds:
        return
    if any(get_origin(kind) is not None for kind in kinds):  # Sequence[str]
        is_list = isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
        if not is_list:
            raise ConfigError(f"{name}: want a list of names, such as [first, second].")
    elif type(value) not in kinds and not (Path in kinds and isinstance(value, Path)):
        names = " or ".join(_TYPE_NAMES[kind] for kind in kinds if kind in _TYPE_NAMES)
        raise ConfigError(f"{name} is {type(value).__name__} ({value!s:.40}): want {names}.")


def check_choice(name: str, value: object, known: Sequence[object]) -> None:
    """Check a setting that has a few values.

    Raises:
        ConfigError: for a value that is not known.
    """
    if value not in known:
        *first, last = [str(item) for item in known if item is not None]
        quoted = ", ".join(map(repr, first))
        wanted = (
            f"one of {', '.join([*first, last])}" if len(first) > 1 else f"{quoted} or {last!r}"
        )
        raise ConfigError(f"{name}={value!r}: want {wanted}.")


@dataclass(frozen=True, kw_only=True)
class WriteSettings:
    """What every writer takes.

    Args:
        scheme: of tags, where the format has them.
        offset_unit: what offsets count, where the format leaves the choice.
    """

    scheme: str = "IOB2"
    offset_unit: OffsetUnit = "codepoint"

    def __post_init__(self) -> None:
        SCHEMES[self.scheme]
        check_choice("offset_unit", self.offset_unit, get_args(OffsetUnit))
