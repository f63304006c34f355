"""Cost tables as YAML files: a price for each kind of error, by label."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from groot.errors import ConfigError
from groot.registry import nearest
from groot.rewards.cost_table import ERROR_KINDS, CostTable


def read_cost_table(path: Path) -> CostTable:
    """Read a cost table from YAML: a cost for each kind of error, or one for all, by label.

        default: {missing: 1, spurious: 1, wrong_label: 1, wrong_boundary: 0.5}
        artist: {missing: 5}
        song: 2

    Raises:
        ConfigError: with every mistake of the file, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this cost table cannot be read: {error}.") from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        yaml.safe_load(text)  # refuses tags that name Python objects
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{path}{line}: not YAML: {problem}.") from error
    if not isinstance(root, yaml.MappingNode) or not root.value:
        raise ConfigError(
            f"{path}:1: a cost table maps labels to costs, for example\n"
            "  default: {missing: 1, spurious: 1, wrong_label: 1, wrong_boundary: 0.5}\n"
            "  artist: {missing: 5}"
        )
    mistakes: list[str] = []
    costs: dict[str, dict[str, float]] = {}
    for key, node in root.value:
        where = f"{path}:{key.start_mark.line + 1}"
        label = str(key.value)  # as written: a label `no` is not False
        if not isinstance(key, yaml.ScalarNode):
            mistakes.append(f"{where}: a label is a plain word, not a list or a table.")
        elif label in costs:
            mistakes.append(f"{where}: label {label!r} has costs twice.")
        else:
            costs[label] = _read_row(path, label, node, mistakes)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return CostTable(costs, name=path.stem)


def _read_row(path: Path, label: str, node: Any, mistakes: list[str]) -> dict[str, float]:
    """Costs of one label; what is wrong with them is added to mistakes."""
    if isinstance(node, yaml.ScalarNode):
        value = _read_cost(path, f"the cost of {label!r}", node, mistakes)
        return dict.fromkeys(ERROR_KINDS, value)
    if not isinstance(node, yaml.MappingNode):
        mistakes.append(
            f"{path}:{node.start_mark.line + 1}: label {label!r} wants one cost, or a cost for "
            f"each of {', '.join(ERROR_KINDS)}."
        )
        return {}
    row: dict[str, float] = {}
    for key, value in node.value:
        kind = str(key.value)
        where = f"{path}:{key.start_mark.line + 1}"
        if kind not in ERROR_KINDS:
            mistakes.append(
                f"{where}: {kind!r} of {label!r} is no kind of error."
                f"{nearest(kind, [*ERROR_KINDS])} Known: {', '.join(ERROR_KINDS)}."
            )
        elif kind in row:
            mistakes.append(f"{where}: {kind!r} of {label!r} is given twice.")
        else:
            row[kind] = _read_cost(path, f"{kind!r} of {label!r}", value, mistakes)
    return row


def _read_cost(path: Path, what: str, node: Any, mistakes: list[str]) -> float:
    try:
        value = float(node.value) if isinstance(node, yaml.ScalarNode) else math.nan
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        seen = node.value if isinstance(node, yaml.ScalarNode) else "a list or a table"
        mistakes.append(
            f"{path}:{node.start_mark.line + 1}: {what} is {seen!r}; a cost is a number >= 0."
        )
        return 0.0
    return value
