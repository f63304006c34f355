"""The mark of a user's function: its code, and every file of the user's own that it imports.

Files count by what they hold, under the name by which they are imported, so that a folder may be
moved. What is installed, the standard library and groot itself do not count: versions are another
matter. Imports are read from the source text, those inside functions too; none is executed.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import groot
from groot.engine.marks import mark_of_files, mark_of_json

GROOT = Path(groot.__file__).parent
INSTALLED = {"site-packages", "dist-packages"}
INSTALLED_FOLDERS = {
    Path(folder).resolve()
    for folder in (
        *(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        site.getusersitepackages(),
    )
}


def mark_of_file_function(path: Path, name: str, search: Sequence[str]) -> str:
    """The mark of a function that stands in a file.

    Args:
        path: of the file.
        name: of the function.
        search: folders that its imports are looked for in; the file's own comes before them.
    """
    files = imported_files([(path.name, path)], [str(path.parent), *search])
    return mark_of_json(["file", name, mark_of_files(files)])


def mark_of_module_function(module: str, name: str, search: Sequence[str]) -> str:
    """The mark of a function that an importable module has."""
    files = imported_files(list(_files_of(module, search)), search)
    return mark_of_json(["module", module, name, mark_of_files(files)])


def mark_of_object(function: Callable[..., Any], search: Sequence[str]) -> str:
    """The mark of a function that came as an object.

    Of a main script or a notebook count the source text of the function and of the functions and
    classes beside it that it uses; the rest of the script is not the reward. Plain values that it
    reads or was made with count, and the files of the user's own modules that it names.
    """
    code = _Code()
    code.follow(function)
    starts = [file for module in sorted(code.modules) for file in _files_of(module, search)]
    files = imported_files([*code.files.items(), *starts], search)
    return mark_of_json(["object", code.texts, code.values, mark_of_files(files)])


@dataclass
class _Code:
    """What a function object is made of, found by following the names in its code."""

    texts: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    files: dict[str, Path] = field(default_factory=dict)  # of modules that no import finds

    def follow(self, part: Any, name: str = "") -> None:
        """Add a function, class, module or value, and what it uses."""
        if isinstance(part, ModuleType):
            self.modules.add(part.__name__)
        elif isinstance(part, partial):
            for number, value in enumerate((part.func, *part.args)):
                self.follow(value, f"{name}[{number}]")
            for key, value in part.keywords.items():
                self.follow(value, f"{name}.{key}")
        elif inspect.isfunction(part) or inspect.isclass(part):
            self._follow_code(part)
        elif callable(part) and type(part).__module__ != "builtins":
            self.follow(type(part))
            for key, value in getattr(part, "__dict__", {}).items():
                self.follow(value, f"{name}.{key}")
        else:
            with suppress(TypeError, ValueError):  # what is not plain cannot be told apart
                self.values[name] = json.loads(json.dumps(part))

    def _follow_code(self, part: Any) -> None:
        key = f"{part.__module__}.{part.__qualname__}"
        if key in self.texts:
            return
        is_main = part.__module__ == "__main__"
        self.texts[key] = _text_of(part) if is_main and inspect.isfunction(part) else ""
        if not is_main:
            self.modules.add(part.__module__)
            file = getattr(sys.modules.get(part.__module__), "__file__", None)
            if file is not None and not _is_installed(Path(file)):
                self.files[part.__module__] = Path(file)
        if inspect.isfunction(part):
            self.follow(part.__defaults__, f"{key} defaults")
            for name, value in inspect.getclosurevars(part).nonlocals.items():
                self.follow(value, f"{key} {name}")
            for name in sorted(_names_in(part.__code__)) if is_main else ():
                if name in part.__globals__:
                    self.follow(part.__globals__[name], name)
        elif is_main:
            for name, value in vars(part).items():
                if inspect.isfunction(value) or not name.startswith("__"):
                    self.follow(value, f"{key} {name}")


def _text_of(function: FunctionType) -> str:
    """The source text of a function; what it was compiled to where it was typed in by hand."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = function.__code__
        plain = [value for value in code.co_consts if not isinstance(value, CodeType)]
        return f"{code.co_code.hex()} {code.co_names} {plain}"


def _names_in(code: CodeType) -> set[str]:
    """The global names that a code object reads, inner functions included."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))


def imported_files(starts: Sequence[tuple[str, Path]], search: Sequence[str]) -> dict[str, Path]:
    """Files of the user's own and all that they import, directly or through others, by name.

    Args:
        starts: the first files, each with the name of its module.
        search: folders in which modules are looked for, as `sys.path` has them.
    """
    files: dict[str, Path] = {}
    waiting = list(starts)
    while waiting:
        name, path = waiting.pop()
        if name in files or _is_installed(path):
            continue
        files[name] = path
        if path.suffix == ".py":
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            for imported in _imports_of(path, package):
                waiting += _files_of(imported, search)
    return files


def _imports_of(path: Path, package: str) -> Iterator[str]:
    """The names that a file may import: `from a import b` may mean a module a.b."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # the file itself counts, and loading it says what is wrong
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            for alias in node.names:
                yield ".".join(filter(None, (*above, node.module, alias.name)))
        elif isinstance(node, ast.Call) and _is_import_call(node.func):
            yield from (
                value.value
                for value in node.args[:1]
                if isinstance(value, ast.Constant) and isinstance(value.value, str)
            )


def _is_import_call(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__")


def _files_of(module: str, search: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """The files of a module and of the packages that it lies in, by name, without importing it."""
    parts = module.split(".")
    folders: Sequence[str] | None = search
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        spec = _find(name, folders) if folders is not None else None
        if spec is None:
            return
        if spec.origin is not None and Path(spec.origin).is_file():
            path = Path(spec.origin)
            if _is_installed(path):
                return
            yield name, path
        locations = spec.submodule_search_locations
        folders = None if locations is None else list(locations)


def _find(name: str, folders: Sequence[str]) -> ModuleSpec | None:
    with suppress(ImportError, ValueError, AttributeError):
        spec = PathFinder.find_spec(name, folders)
        if spec is None and "." not in name:
            spec = importlib.util.find_spec(name)  # installed in a way of its own, such as -e
        return spec
    return None


def _is_installed(path: Path) -> bool:
    """Whether a file is no part of the user's own code."""
    path = path.resolve()
    return not INSTALLED.isdisjoint(path.parts) or not {*INSTALLED_FOLDERS, GROOT}.isdisjoint(
        path.parents
    )
