"""Progress as plain lines and as bars."""

import io

from rich.console import Console

from groot.cli import progress
from groot.engine.events import Note, StageFinished, StageStarted, StepDone


def test_plain_lines_come_at_intervals(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    show = progress.Lines(every_s=10.0).show
    show(StageStarted("fit", 100, first_step=20))
    for step in range(21, 51):
        now[0] += 1.0
        show(StepDone("fit", step, 100, 2.0))
    show(StageFinished("fit", 30.0))
    show(Note("3 rows skipped", level="warning"))
    assert capsys.readouterr().err.splitlines() == [
        "fit, 100 steps",
        "fit 30/100, loss 2, 1:10 left",  # 70 steps left at one a second
        "fit 40/100, loss 2, 1:00 left",
        "fit 50/100, loss 2, 0:50 left",
        "fit done in 0:30",
        "warning: 3 rows skipped",
    ]


def test_bars_show_what_happens_and_control_characters_do_nothing():
    screen = io.StringIO()
    with progress.Bars(Console(file=screen, force_terminal=True, width=160)) as show:
        show(StageStarted("fit", 10))
        show(StepDone("fit", 5, 10, 1.25, {"dev f1": 0.5}))
        show(StepDone("a stage that never started", 1))
        show(StageStarted("round 1: search"))
        show(StepDone("round 1: search", 7))
        show(StageFinished("round 1: search", 3.0))
        show(Note("bold [b]\x1b[31m"))
        show(StageFinished("fit", 60.0, {"dev f1": 0.75}))
    shown = screen.getvalue()
    assert "10/10" in shown  # stopped early, but done
    assert "dev f1 0.750" in shown
    assert "bold [b]\\x1b[31m" in shown


def test_a_watcher_of_no_terminal_writes_lines(capsys):
    with progress.watcher() as show:
        show(Note("hello"))
    assert capsys.readouterr().err == "hello\n"


def test_the_other_processes_are_silent(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with progress.watcher() as show:
        show(Note("hello"))
    assert capsys.readouterr().err == ""
