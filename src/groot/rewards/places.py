"""Where a user's function is: in a module, in a file, or pickled where it came as an object."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from operator import attrgetter
from pathlib import Path
from typing import Any

from groot.errors import ConfigError
from groot.registry import nearest
from groot.rewards.calling import ImpossibleError
from groot.rewards.user_code import mark_of_file_function, mark_of_module_function, mark_of_object


@dataclass(frozen=True)
class Place:
    """Where a function is.

    Args:
        spec: as the user wrote it, for messages.
        module: name of an importable module; "" where it is not in one.
        file: path of a Python file; "" where it is not in one.
        name: of the function in its module or file; may have dots.
        pickled: the function itself, where it came as an object.
        mark: of its code and of the user's own files that it imports.
    """

    spec: str
    module: str = ""
    file: str = ""
    name: str = ""
    pickled: bytes = b""
    mark: str = ""


def place_of(function: str | Callable[..., Any]) -> Place:
    """Where a function is, so that a worker process finds it.

    >>> place_of("my_package.rewards:brevity").module
    'my_package.rewards'

    Raises:
        ConfigError: if the spec is not of the form, or names a file that is not there.
    """
    search = [os.getcwd(), *sys.path]  # as a worker process has it
    if not isinstance(function, str):
        return _place_of_object(function, search)
    where, _, name = function.rpartition(":")
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(
            f"reward {function!r} names no function behind the colon. "
            "Write package.module:function or path/file.py:function."
        )
    if where.endswith(".py") or "/" in where:
        if not Path(where).is_file():
            raise ConfigError(f"reward {function!r}: there is no file {where}.")
        file = Path(where).resolve()
        return Place(
            function, file=str(file), name=name, mark=mark_of_file_function(file, name, search)
        )
    if not where or not all(part.isidentifier() for part in where.split(".")):
        raise ConfigError(
            f"reward {function!r}: {where!r} is neither a module nor a .py file. "
            "Write package.module:function or path/file.py:function."
        )
    return Place(
        function, module=where, name=name, mark=mark_of_module_function(where, name, search)
    )


def _place_of_object(function: Callable[..., Any], search: Sequence[str]) -> Place:
    """A function that came as an object: pickled, with its code where no import would find it."""
    import cloudpickle  # type: ignore[import-untyped]

    name = getattr(function, "__name__", type(function).__name__)
    if not callable(function):
        raise ConfigError(f"reward {function!r} is a {type(function).__name__}, not a function.")
    module = inspect.getmodule(function)
    by_value = (
        module is not None
        and module.__name__ != "__main__"
        and PathFinder.find_spec(module.__name__.partition(".")[0]) is None
    )
    try:
        if module is not None and by_value:
            cloudpickle.register_pickle_by_value(module)
        try:
            pickled = cloudpickle.dumps(function)
        finally:
            if module is not None and by_value:
                cloudpickle.unregister_pickle_by_value(module)
    except Exception as error:
        raise ConfigError(
            f"reward {name!r} cannot be sent to a worker process: {error}. "
            "Put it in a file of its own and give it as path/file.py:function."
        ) from error
    return Place(name, name=name, pickled=pickled, mark=mark_of_object(function, search))


def find_function(place: Place) -> Callable[..., Any]:
    """Import a function from its place.

    Raises:
        ImpossibleError: if its module is there but not the function.
        BaseException: whatever the user's module raises on import.
    """
    if place.pickled:
        function: Callable[..., Any] = pickle.loads(place.pickled)
        return function
    module = _import_file(Path(place.file)) if place.file else importlib.import_module(place.module)
    try:
        named: Callable[..., Any] = attrgetter(place.name)(module)
    except AttributeError as error:
        known = [name for name, value in vars(module).items() if inspect.isfunction(value)]
        raise ImpossibleError(
            f"{place.file or place.module} has no function {place.name!r}."
            f"{nearest(place.name, known)} It has: {', '.join(known) or 'none'}."
        ) from error
    return named


def _import_file(path: Path) -> Any:
    """Run a Python file as a module of its own; its neighbours can be imported from it."""
    sys.path.insert(0, str(path.parent.resolve()))
    name = f"groot_reward_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImpossibleError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
