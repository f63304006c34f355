"""`--reader label_column=intent`: settings of a file format's reader, on any command that reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
import yaml

from groot.errors import ConfigError

ReaderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reader",
        metavar="NAME=VALUE",
        help="a setting of the format's reader, such as scheme=IOB1 or label_column=intent",
    ),
]


def parse_reader(settings: Sequence[str] | None, *, option: str = "--reader") -> dict[str, Any]:
    r"""Names and values, the values read as YAML.

    Raises:
        ConfigError: naming every setting that is none.

    >>> parse_reader(["tag_column=0", "scheme=IOB1"])
    {'tag_column': 0, 'scheme': 'IOB1'}
    >>> parse_reader(["class_separator=|", r"separator=\t", "label_names=[bad, good]"])
    {'class_separator': '|', 'separator': '\t', 'label_names': ['bad', 'good']}
    """
    pairs = [setting.partition("=") for setting in settings or ()]
    wrong = ["".join(pair) for pair in pairs if not (pair[0] and pair[1])]
    if wrong:
        raise ConfigError(f"{option} {' '.join(wrong)}: write name=value, such as scheme=IOB1")
    try:
        return {name: _value(value) for name, _, value in pairs}
    except yaml.YAMLError as error:
        raise ConfigError(f"{option}: a value is not valid YAML: {error}") from error


def _value(text: str) -> Any:
    """A value read as YAML; a mark such as | or # by itself, and \\t for a tab, are texts."""
    if text == "\\t":
        return "\t"
    is_mark = len(text) == 1 and not text.isalnum()
    return text if is_mark else yaml.safe_load(text)
