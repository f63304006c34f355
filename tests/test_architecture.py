"""The table of rooms in docs/architecture.md, held on the syntax tree: imports go down only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "groot"

# Rooms by layer, lowest first. Inside a layer, no room imports its neighbour.
LAYERS = (
    ("types", "errors"),
    ("registry", "config"),
    ("outputs",),
    ("targets", "objectives", "evaluation", "correction", "engine"),
    ("data", "rewards", "models"),
    ("reward_models", "report"),
    ("guides",),
    ("search",),
    ("writer",),
    ("rollouts", "studies"),
    ("recipes", "work"),
    ("cli",),
    ("__main__",),
)
LAYER_OF = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}
# Plain Python: these must stay importable in a moment, and without torch.
WITHOUT_TORCH = {
    *("types", "errors", "registry", "config", "outputs", "targets", "evaluation"),
    *("correction", "data", "report"),
}
FILES = sorted(SOURCE.rglob("*.py"))
FILES.remove(SOURCE / "__init__.py")  # the front door names rooms, and imports them on first use


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(tree: ast.AST, *, package: str) -> Iterator[tuple[int, str]]:
    """(line, absolute module) of each import, those inside functions and strings of tables too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = ".".join([*above, node.module or ""]).strip(".") if node.level else node.module
            for alias in node.names:  # `from groot import data` names a room as well
                yield node.lineno, f"{module}.{alias.name}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            module, colon, attribute = node.value.partition(":")  # a lazy line of a Registry
            if colon and attribute.isidentifier() and module.startswith("groot."):
                yield node.lineno, module


def broken_rules(path: Path, text: str) -> list[str]:
    """What a file does that its room may not."""
    room = room_of(path)
    layer = LAYER_OF.get(room)
    if layer is None:
        return [f"{path}: room {room!r} stands in no layer of the table"]
    package = ".".join(("groot", *path.relative_to(SOURCE).parent.parts))
    found = []
    for line, module in imports(ast.parse(text), package=package):
        place = f"{path.relative_to(SOURCE.parent)}:{line}"
        parts = module.split(".")
        if parts[0] in {"torch", "transformers"} and room in WITHOUT_TORCH:
            found.append(f"{place}: {room} imports {parts[0]}")
        if parts[0] == "transformers" and room != "models":
            found.append(f"{place}: {room} imports transformers, which models/ alone touches")
        if parts[0] != "groot" or len(parts) < 2 or parts[1] == room or parts[1] == "__version__":
            continue
        other = LAYER_OF.get(parts[1])
        if other is None:
            found.append(f"{place}: imports groot.{parts[1]}, which stands in no layer")
        elif other > layer:
            found.append(f"{place}: {room} (layer {layer}) imports up: {parts[1]} (layer {other})")
        elif other == layer:
            found.append(f"{place}: {room} imports its neighbour {parts[1]} (layer {layer})")
    if room != "cli":
        found += [
            f"{path.relative_to(SOURCE.parent)}:{node.lineno}: prints; the library logs"
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_and_nothing_below_the_command_line_prints(path: Path) -> None:
    assert broken_rules(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("rewards/new.py", "from groot.search import load", "imports up: search"),
        ("rewards/new.py", "def f():\n    import groot.recipes.run", "imports up: recipes"),
        ("rewards/new.py", "from groot.data import read_examples", "its neighbour data"),
        ("rewards/new.py", "from groot import models", "its neighbour models"),
        ("rewards/new.py", "from ..search.beams import beam_search", "imports up: search"),
        ("evaluation/new.py", "from .. import engine", "its neighbour engine"),
        ("rewards/__init__.py", 'T = {"m": "groot.search.found:score"}', "imports up: search"),
        ("rewards/new.py", "import transformers", "models/ alone touches"),
        ("targets/new.py", "import torch", "targets imports torch"),
        ("types.py", "from groot import errors", "its neighbour errors"),
        ("utils.py", "x = 1", "in no layer"),
        ("models/new.py", "import groot.helpers", "in no layer"),
        ("models/new.py", "print('loaded')", "prints"),
    ],
)
def test_the_rules_bite(file: str, text: str, complaint: str) -> None:
    assert any(complaint in line for line in broken_rules(SOURCE / file, text))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("rewards/new.py", "from groot.types import Example\nfrom .pool import Pool"),
        ("rewards/__init__.py", 'T = {"cost": "groot.rewards.cost:score"}'),
        ("cli/new.py", "import groot.recipes.run\nprint('done')"),
        ("models/new.py", "import torch, transformers"),
    ],
)
def test_what_is_allowed_passes(file: str, text: str) -> None:
    assert broken_rules(SOURCE / file, text) == []


def test_the_page_on_architecture_has_the_same_table() -> None:
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
    told = [(int(layer), re.findall(r"(?:^|· )`(\w+)(?:/|\.py)`", row)) for layer, row in rows]
    assert told == [(layer, list(rooms)) for layer, rooms in enumerate(LAYERS)]
    (sentence,) = re.findall(r"^(`types`[^.]*)\s+work\s+without torch", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", sentence)) == WITHOUT_TORCH
