"""A reward's mark: every byte of the user's own code counts, wherever the folder lies."""

import shutil
import sys
from functools import partial
from importlib.util import spec_from_file_location

import pytest

from groot.rewards import parse_rewards
from groot.rewards.places import place_of
from groot.rewards.user_code import imported_files, mark_of_object

FILES = {
    "reward.py": "from near import near\nimport kit.deep\n"
    "def score(example, candidates):\n"
    "    from late import late\n"
    "    return [near + kit.deep.deep + late] * len(candidates)\n",
    "near.py": "import numpy, json\nfrom chain import *\nnear = 1\n",
    "chain.py": "import importlib\nimportlib.import_module('by_name')\nimport near  # a circle\n",
    "by_name.py": "pass\n",
    "late.py": "late = 1\n",
    "kit/__init__.py": "from . import beside\n",
    "kit/beside.py": "from .inner.low import low\n",
    "kit/inner/__init__.py": "pass\n",
    "kit/inner/low.py": "from ..deep import deep\nlow = deep\n",
    "kit/deep.py": "deep = 1\n",
    "not_imported.py": "import reward\n",
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "rewards"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def mark(folder, spec="{}/reward.py:score"):
    return place_of(spec.format(folder)).mark


@pytest.mark.parametrize("name", [name for name in FILES if name != "not_imported.py"])
def test_one_byte_of_any_imported_file_counts(folder, name):
    path = folder / name
    files = imported_files([("reward.py", folder / "reward.py")], [str(folder)])
    assert path in files.values()
    before = mark(folder)
    path.write_text(FILES[name] + "#")
    after = mark(folder)
    assert after != before
    path.write_text(FILES[name])
    assert mark(folder) == before


def test_what_does_not_matter_does_not_count(folder, tmp_path):
    before = mark(folder)
    (folder / "not_imported.py").write_text("other = 1\n")
    (folder / "near.py").touch()
    (folder / "data.json").write_text("{}")
    assert mark(folder) == before
    moved = tmp_path / "elsewhere" / "moved"
    shutil.copytree(folder, moved, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(folder)
    assert mark(moved) == before


def test_a_module_counts_with_its_packages(folder, monkeypatch):
    (folder / "kit" / "scores.py").write_text(
        "from .deep import deep\n"
        "def score(example, candidates):\n    return [deep] * len(candidates)\n"
    )
    monkeypatch.chdir(folder)
    before = mark(folder, "kit.scores:score")
    for name in ("kit/deep.py", "kit/__init__.py", "kit/scores.py"):
        text = (folder / name).read_text()
        (folder / name).write_text(text + "#")
        assert mark(folder, "kit.scores:score") != before, name
        (folder / name).write_text(text)
    assert mark(folder, "kit.scores:score") == before


def test_function_and_weight_count(folder):
    (folder / "reward.py").write_text(FILES["reward.py"] + "other = score\n")
    marks = []
    for spec in ("score", "other", "score=0.5", "score"):
        with parse_rewards([f"{folder}/reward.py:{spec}"]) as reward:
            marks.append(reward.mark)
    assert len(set(marks[:3])) == 3
    assert marks[3] == marks[0]


def test_neither_what_is_installed_nor_groot_is_the_users_own(folder):
    (folder / "near.py").write_text("import numpy, json, groot.types, pytest\nnear = 1\n")
    files = imported_files([("near", folder / "near.py")], [str(folder)])
    assert list(files) == ["near"]


class Editable:
    """Finds one module where no folder of the search does, as packages installed with -e do."""

    def __init__(self, path):
        self.path = path

    def find_spec(self, name, path=None, target=None):
        return spec_from_file_location(name, self.path) if name == self.path.stem else None


def test_a_module_that_its_own_finder_finds_counts(folder, tmp_path, monkeypatch):
    apart = tmp_path / "apart" / "apart_from_all.py"
    apart.parent.mkdir()
    apart.write_text("value = 1\n")
    (folder / "reward.py").write_text("import apart_from_all\n" + FILES["reward.py"])
    monkeypatch.setattr("sys.meta_path", [*sys.meta_path, Editable(apart)])
    before = mark(folder)
    apart.write_text("value = 2\n")
    assert mark(folder) != before


MAIN = """
import near

SCALE = {scale}
UNUSED = {unused}

class Helper:
    def value(self):
        return {helper}

def helped():
    return Helper().value() + near.near

def score(example, candidates, most=1):
    return [SCALE * helped()] * len(candidates)

def other():
    return {other}
"""


def main_function(folder, name="score", **changes):
    """A function of a script that was started as the main program."""
    values = {"scale": 1, "unused": 1, "helper": 1, "other": 1, **changes}
    path = folder / f"script-{'-'.join(f'{key}{value}' for key, value in values.items())}.py"
    path.write_text(MAIN.format(**values))
    names = {"__name__": "__main__"}
    exec(compile(path.read_text(), str(path), "exec"), names)  # what running a script does
    return names[name]


@pytest.fixture
def importable(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_of_a_main_script_what_the_function_uses_counts(importable):
    search = [str(importable)]
    marks = {
        key: mark_of_object(main_function(importable, **changes), search)
        for key, changes in {
            "as it was": {},
            "value": {"scale": 2},
            "helper": {"helper": 2},
            "unused": {"unused": 2},
            "other": {"other": 2},
        }.items()
    }
    assert marks["as it was"] == marks["unused"] == marks["other"]
    assert len(set(marks.values())) == 3
    (importable / "near.py").write_text(FILES["near.py"] + "#")
    assert mark_of_object(main_function(importable), search) not in marks.values()


def test_values_that_a_function_was_made_with_count(importable):
    def make(wanted):
        return lambda completions, **_: [float(text == wanted) for text in completions]

    search = [str(importable)]
    marks = [mark_of_object(make(wanted), search) for wanted in ("a", "b", "a")]
    assert marks[0] == marks[2] != marks[1]
    function = main_function(importable)
    marks = [mark_of_object(partial(function, most=most), search) for most in (1, 2, 1)]
    assert marks[0] == marks[2] != marks[1]


class Above:
    def __init__(self, least):
        self.least = least

    def __call__(self, example, candidates):
        return [float(len(candidate.text) > self.least) for candidate in candidates]


def test_settings_of_an_object_that_is_called_count():
    marks = [mark_of_object(Above(least), []) for least in (1, 2, 1)]
    assert marks[0] == marks[2] != marks[1]
