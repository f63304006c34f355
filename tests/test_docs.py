"""What README and docs name exists: make targets, commands, flags, settings, files, rewards."""

import ast
import importlib
import re
from pathlib import Path

import pytest
import typer

from groot.cli import app
from groot.config import list_settings, load_config
from groot.rewards import parse_rewards
from groot.types import Candidate, Example, Span

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = [*PAGES, *sorted((ROOT / "src" / "groot" / "cli").glob("*.py")), ROOT / "Makefile"]
COMMANDS = typer.main.get_command(app).commands
EVERYWHERE = {"--help", "-h"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def options(command: str) -> set[str]:
    parameters = COMMANDS[command].params
    return {word for one in parameters for word in (*one.opts, *one.secondary_opts)} | EVERYWHERE


def calls(text: str) -> list[tuple[str, list[str]]]:
    """(command, words behind it) of each `groot command ...` in a text."""
    found = []
    for match in re.finditer(r"(?:^|[\s`/])groot ([a-z]+(?:-[a-z]+)*)\b([^`\n|;>]*)", text):
        found.append((match[1], match[2].split()))
    return found


def test_the_patterns_see_something():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {command for command, _ in calls(text)} >= {"train", "doctor", "predict"}
    assert "--dry-run" in options("train")


@pytest.mark.parametrize("page", SOURCES, ids=lambda path: path.name)
def test_commands_and_flags_exist(page):
    for command, words in calls(page.read_text(encoding="utf-8")):
        if not words:  # prose such as "groot gives": only a command is followed by arguments
            continue
        flags = [found[0] for word in words if (found := re.match(r"--?[a-z][a-z-]*", word))]
        if command not in COMMANDS:
            assert not flags, f"{page.name}: groot {command} does not exist"
            continue
        for flag in flags:
            assert flag in options(command), f"{page.name}: groot {command} has no {flag}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_flags_in_prose_exist(page):
    known = set().union(*map(options, COMMANDS)) | {"--version"}
    text = page.read_text(encoding="utf-8")
    for flag in re.findall(r"`(--[a-z][a-z-]+)", text):
        assert flag in known, f"{page.name}: no command has {flag}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for target in re.findall(r"(?:^|`|&& )make ([a-z]+)", page.read_text(encoding="utf-8")):
        assert target in targets, f"{page.name}: make {target} does not exist"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), f"{page.name}: {link} leads out of the repository"
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in slugs, f"{page.name}: {link}"


@pytest.mark.parametrize("page", SOURCES, ids=lambda path: path.name)
def test_settings_exist(page):
    given = re.findall(r"--set ([\w.]+=[^\s`]+)", page.read_text(encoding="utf-8"))
    settings = [setting for setting in given if not setting.isupper()]
    assert load_config(settings=settings)  # an unknown setting raises


def test_sections_named_in_the_docs_exist():
    sections = {name.partition(".")[0] for name, _, _ in list_settings()}
    assert {"data", "model", "fit", "optimise", "reward", "search", "evaluation"} <= sections


def test_every_command_is_documented_with_an_example():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for command, parsed in COMMANDS.items():
        assert f"## groot {command}" in text
        assert f"groot {command} " in (parsed.help or ""), f"groot {command} --help has no example"
        assert "--json" in options(command)
        for parameter in parsed.params:
            if parameter.param_type_name == "option" and not parameter.is_eager:
                assert parameter.help, f"groot {command} {parameter.opts} is not explained"


def test_the_rewards_that_the_docs_name_exist():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    sentence = text[text.index("`--reward` takes") : text.index("a cost table")]
    names = re.findall(r"`([a-z][\w.]*)`", sentence)
    assert len(names) >= 6
    parse_rewards(names).close()


def imported_names(code: str) -> list[tuple[str, str]]:
    """(module, name) of what a block of Python takes from groot."""
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    return [
        (node.module, alias.name)
        for node in imports
        if node.module is not None and node.module.startswith("groot")
        for alias in node.names
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_the_docs_import_exists(page):
    text = page.read_text(encoding="utf-8")
    names = set(re.findall(r"`(groot(?:\.\w+)+)\.(\w+)(?:\(\))?`", text)) - {("groot", "json")}
    for language, code in FENCE.findall(text):
        names |= set(imported_names(code)) if language == "python" else set()
    for module, name in names:
        assert hasattr(importlib.import_module(module), name), f"{page.name}: {module}.{name}"


def test_the_metric_of_the_readme_runs():
    blocks = FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    (code,) = [text for language, text in blocks if language == "python" and "def score" in text]
    room: dict = {}
    exec(compile(code, "README.md", "exec"), room)
    gold = (Span(0, 4, "artist"),)
    said = [Candidate("", gold), Candidate("", (*gold, Span(5, 9, "song"))), Candidate("x", None)]
    assert room["score"](Example("nina sang", spans=gold), said) == [1.0, -2.0, 0.0]
