"""What holds for every command: speed, help, errors, exit codes."""

import os
import signal
import subprocess
import sys
import time

import pytest
import typer

import groot as package
import groot.cli as cli
from groot.errors import GrootError

COMMANDS = typer.main.get_command(cli.app).commands


def python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_command_line_starts_without_the_heavy_libraries():
    heavy = "{'torch', 'transformers', 'scipy', 'sklearn', 'datasets', 'matplotlib', 'numpy'}"
    seen = python(f"import sys, groot, groot.cli; print({heavy} & set(sys.modules))")
    assert seen.strip() == "set()"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example(groot, command):
    told = groot(command, "--help")
    assert told.code == 0
    assert f"groot {command} " in told.out.split("Examples:")[1]
    assert "--json" in told.out
    assert "--no-json" not in told.out


def test_the_version(groot):
    assert groot("--version").out == f"groot {package.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["trian"],
        ["train", "--sed", "1"],
        ["train", "x", "--seed", "one"],
        ["train", "x", "--label-style", "emoji"],
        ["predict", "x"],
        ["evaluate"],
    ],
)
def test_words_that_make_no_command_end_with_2(groot, words):
    told = groot(*words)
    assert told.code == 2
    assert "Traceback" not in told.err


def test_an_error_on_purpose_has_no_traceback_and_a_bug_keeps_its_own(groot, monkeypatch):
    def fails(error):
        def parse(*_args, **_more):
            raise error

        return parse

    monkeypatch.setattr(cli, "app", fails(GrootError("red \x1b[31m text")))
    told = groot("doctor", "x")
    assert (told.code, told.out, told.err) == (2, "", "error: red \\x1b[31m text\n")
    monkeypatch.setattr(cli, "app", fails(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        groot("doctor", "x")


def test_sigterm_ends_with_143(groot, monkeypatch):
    def waits():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli, "app", waits)
    told = groot("doctor", "x")
    assert (told.code, told.err) == (143, "")
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_ends_with_130(groot, monkeypatch):
    def interrupted(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr("groot.data.read_splits", interrupted)
    told = groot("doctor", "x")
    assert told.code == 130
    assert "Traceback" not in told.err


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m groot.cli train --print-config | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("#")
    assert "Traceback" not in done.stderr


def test_a_terminal_that_cannot_show_a_character(tmp_path):
    path = tmp_path / "train.conll"
    rows = "".join(f"play{n} O\nnina B-künstler🎵\n\n" for n in range(20))
    path.write_text(rows, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "groot.cli", "doctor", str(path)],
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
    )
    assert done.returncode in (0, 1), done.stderr
    assert b"k\xfcnstler\\U0001f3b5" in done.stdout


def test_other_processes_of_a_launch_are_silent(groot, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    told = groot("doctor", "no/such/file.conll")
    assert (told.code, told.out, told.err) == (2, "", "")


def test_the_public_names_are_there():
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    assert package.Span(0, 1, "x").label == "x"
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018
