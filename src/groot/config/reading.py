"""Settings from a YAML file and the command line, checked together; and back to YAML.

A later source wins over an earlier one: defaults, the YAML file, `section.name=value` settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from groot.config.older import renew
from groot.config.sections import Config, Section
from groot.errors import ConfigError, nearest

# Names that users of other trainers type, and what they are called here.
SPOKEN = {"training": "fit", "lr": "learning_rate"}


def load_config(
    path: Path | None = None,
    settings: Sequence[str] = (),
    *,
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """The checked settings of a YAML file, overridden by flags, then by settings.

    Args:
        path: a YAML file of sections; None starts from the defaults.
        settings: `section.name=value` in order; the value is read as YAML: lists and null work.
        flags: values by dotted name, as the command line's own options give them.

    Raises:
        ConfigError: naming every mistake at once, each with its file and line where it has one.

    >>> load_config(settings=["training.lr=3e-4", "reward.specs=[f0.5, exact]"]).fit.learning_rate
    0.0003
    >>> load_config(settings=["fit.pases=3"])
    Traceback (most recent call last):
    groot.errors.ConfigError: 1 mistake in the settings:
      --set fit.pases: no such setting. Did you mean 'passes'?
    """
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    mistakes: list[str] = []
    if path is not None:
        mistakes += _read_yaml(path, values, places)
    for name, value in (flags or {}).items():
        _put(name.split("."), value, values)
        places[name] = "command line "
    for setting in settings:
        mistakes += _apply_setting(setting, values, places)
    return _checked(values, places, mistakes)


def config_from(values: Mapping[str, Any]) -> Config:
    """The checked settings of a nested mapping.

    Raises:
        ConfigError: naming every mistake at once.

    >>> config_from({"optimise": {"rounds": 3}}).optimise.rounds
    3
    """
    return _checked(dict(values), {}, [])


def list_settings() -> Iterator[tuple[str, Any, str]]:
    """Yield (dotted name, default, description) of every setting, in order.

    >>> next(list_settings())[:2]
    ('seed', 1)
    """
    defaults = Config()
    for name, info in Config.model_fields.items():
        value = getattr(defaults, name)
        if not isinstance(value, Section):
            yield name, value, info.description or ""
            continue
        for inner, inner_info in type(value).model_fields.items():
            yield f"{name}.{inner}", getattr(value, inner), inner_info.description or ""


def describe(name: str) -> str:
    """The description of a setting, with its default.

    >>> describe("seed")
    'order of data, sampling and dropout follow from it (default 1)'
    """
    for known, default, description in list_settings():
        if known == name:
            return description if default is None else f"{description} (default {_plain(default)})"
    raise ConfigError(f"setting {name!r} does not exist.")


def to_yaml(config: Config, *, explained: bool = False) -> str:
    """The settings as YAML text that `load_config` reads back to an equal Config.

    Args:
        config: what to write.
        explained: put each setting's description above it.

    >>> print(to_yaml(Config(), explained=True)[:60])
    # order of data, sampling and dropout follow from it
    seed: 1
    """
    lines: list[str] = []
    for name, info in Config.model_fields.items():
        value = getattr(config, name)
        if not isinstance(value, Section):
            lines += _yaml_lines(name, value, info.description if explained else None, "")
            continue
        lines += ["", f"# {info.description}", f"{name}:"] if explained else [f"{name}:"]
        for inner, inner_info in type(value).model_fields.items():
            description = inner_info.description if explained else None
            lines += _yaml_lines(inner, getattr(value, inner), description, "  ")
    return "\n".join(lines) + "\n"


def _yaml_lines(name: str, value: Any, description: str | None, indent: str) -> list[str]:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    comment = [f"{indent}# {description}"] if description else []
    return [*comment, f"{indent}{name}: {text.splitlines()[0]}"]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def _read_yaml(path: Path, values: dict[str, Any], places: dict[str, str]) -> list[str]:
    """Fill values and the line of each name from a YAML file; return the mistakes found."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Give the path of a YAML file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(
            f"{place}: not valid YAML: {getattr(error, 'problem', None) or error}"
        ) from error
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path}:1: the file must hold sections, such as\n  fit:\n    passes: 20")
    mistakes: list[str] = []
    _walk(root, str(path), (), values, places, mistakes)
    return mistakes


def _walk(
    node: yaml.MappingNode,
    file: str,
    above: tuple[str, ...],
    values: dict[str, Any],
    places: dict[str, str],
    mistakes: list[str],
) -> None:
    constructor = yaml.constructor.SafeConstructor()
    for key_node, value_node in node.value:
        key = SPOKEN.get(str(key_node.value), str(key_node.value))
        name = ".".join((*above, key))
        place = f"{file}:{key_node.start_mark.line + 1}: "
        if key in values:
            mistakes.append(f"{place}{name}: given twice")
        places[name] = place
        if isinstance(value_node, yaml.MappingNode) and not above:
            values[key] = {}
            _walk(value_node, file, (key,), values[key], places, mistakes)
            continue
        try:
            values[key] = constructor.construct_document(value_node)
        except yaml.YAMLError as error:  # a tag such as !!python/object, which is never built
            mistakes.append(f"{place}{name}: {getattr(error, 'problem', None) or error}")


def _apply_setting(setting: str, values: dict[str, Any], places: dict[str, str]) -> list[str]:
    name, equals, text = setting.partition("=")
    parts = [SPOKEN.get(part, part) for part in name.strip().split(".")]
    place = "--set "
    if not equals or not all(parts):
        return [f"{place}{setting}: write section.name=value, such as fit.passes=20"]
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return [f"{place}{setting}: the value is not valid YAML: {getattr(error, 'problem', '')}"]
    _put(parts, value, values)
    places[".".join(parts)] = place
    return []


def _put(parts: Sequence[str], value: Any, values: dict[str, Any]) -> None:
    for part in parts[:-1]:
        if not isinstance(values.get(part), dict):
            values[part] = {}
        values = values[part]
    values[parts[-1]] = value


def _checked(values: dict[str, Any], places: dict[str, str], mistakes: list[str]) -> Config:
    for name, info in Config.model_fields.items():
        if isinstance(info.default, Section) and values.get(name, 0) is None:
            values[name] = {}  # a section with nothing in it is null in YAML
    renew(values)
    mistakes = list(mistakes)
    config = None
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        mistakes += _explain(error, places)
    if mistakes or config is None:
        count = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''} in the settings:"
        raise ConfigError("\n".join([count, *(f"  {mistake}" for mistake in mistakes)]))
    return config


def _explain(error: ValidationError, places: dict[str, str]) -> list[str]:
    """One line per mistake that pydantic found, in the words of this project."""
    lines: list[str] = []
    for item in error.errors():
        path = [str(part) for part in item["loc"]]
        name = ".".join(path)
        known = [place for depth in (3, 2, 1) if (place := places.get(".".join(path[:depth])))]
        place = known[0] if known else ""
        if item["type"] == "extra_forbidden":
            lines.append(f"{place}{name}: no such setting.{_nearest_setting(path)}")
        elif not path:  # settings that do not fit each other, one per line
            lines += str(item["ctx"]["error"]).splitlines()
        else:
            reason = item["msg"].removeprefix("Value error, ")
            reason = reason[0].lower() + reason[1:]
            lines.append(f"{place}{name}: {item['input']!r} will not do: {reason}")
    return lines


def _nearest_setting(path: list[str]) -> str:
    names = [name for name, _, _ in list_settings()]
    if len(path) == 1:
        sections = list(Config.model_fields)
        inside = [name for name in names if name.endswith(f".{path[0]}")]
        return nearest(path[0], sections) or (f" Did you mean {inside[0]!r}?" if inside else "")
    in_section = [name.partition(".")[2] for name in names if name.startswith(f"{path[0]}.")]
    in_section += [short for short, name in SPOKEN.items() if name in in_section]
    elsewhere = [name for name in names if name.endswith(f".{path[-1]}")]
    return nearest(path[-1], in_section) or (
        f" Did you mean {elsewhere[0]!r}?" if elsewhere else ""
    )
