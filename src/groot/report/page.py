"""From a run folder to one HTML file: no script, no network, every text escaped."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from groot.evaluation.comparison import measured_on
from groot.report import plots, tables
from groot.report.corrections import read_corrections
from groot.report.curves import learning_plots
from groot.report.guides import GuideSections, read_guides
from groot.report.inputs import Run, read_run
from groot.report.marks import SIGNS, WORDS
from groot.report.reward_pairs import read_reward_model, reward_model_plots
from groot.report.stories import correction_stories, stories

MOST_LABEL_ROWS = 15
NO_GUIDES = GuideSections()
# Control characters and lone surrogates mean nothing to a browser, and some are not allowed.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Plot(NamedTuple):
    """A figure of the page."""

    name: str
    svg: str
    title: str
    caption: str


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into a folder and return its path; a second call writes it anew.

    Args:
        run_folder: of a run, of a reward model, or one that compare-guides or diagnose wrote to.

    Raises:
        DataError: if the folder has no results to report, or a file of it is broken.
    """
    folder = Path(run_folder)
    guides = read_guides(folder)
    reward_model = read_reward_model(folder)
    if reward_model is not None:
        html = render_reward_model(folder, reward_model)
    elif guides and not (folder / "results.json").is_file():
        html = render_guides(folder, guides)
    else:
        html = render(read_run(folder), guides)
    path = folder / "report.html"
    unfinished = folder / f".report.{os.getpid()}"
    try:
        unfinished.write_text(html, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def render_guides(folder: Path, guides: GuideSections) -> str:
    """The page of a folder that holds nothing but results on guides."""
    return _page("guide_report.html", folder, guides=guides, guide_plots=_drawn(*guides.plots))


def render_reward_model(folder: Path, results: Mapping[str, Any]) -> str:
    """The page of a reward model."""
    shown = _drawn(*reward_model_plots(results))
    return _page("reward_report.html", folder, results=results, plots=shown)


def render(run: Run, guides: GuideSections = NO_GUIDES) -> str:
    """The page as text."""
    corrected = read_corrections(run.folder / "candidates", run.last.examples, run.notices)
    helped, hurt = stories(run, corrected)
    labels = tables.per_label(run)
    rank_plots = _rank_plots(run)
    return _page(
        "report.html",
        run.folder,
        run=run,
        results={**dict.fromkeys(("reward", "split", "seconds")), **run.results},
        stages=list(run.stages.values()),
        numbers={
            **dict.fromkeys(("n_examples", "mode", "scheme", "tallies")),
            **run.last.numbers,
        },
        task=run.last.numbers.get("task") or "spans",
        changes=tables.changes(run),
        changes_with_mbr=tables.changes(run, with_mbr=True),
        headline=tables.headline(run),
        duplicates=tables.duplicates(run),
        measured_on=measured_on(run.results.get("split")),
        labels=labels[:MOST_LABEL_ROWS],
        more_labels=labels[MOST_LABEL_ROWS:],
        kinds=tables.error_kinds(run),
        kind_stages=tables.stages_with_records(run),
        rank_plots=rank_plots,
        reliability_plots=_reliability_plots(run),
        curves=_drawn(*learning_plots(run.log)),
        confusions=_confusions(run),
        helped=helped,
        hurt=hurt,
        corrections=correction_stories(corrected),
        guides=guides,
        guide_plots=_drawn(*guides.plots),
        signs=[(kind, SIGNS[kind], words) for kind, words in WORDS.items()],
    )


def _page(template: str, folder: Path, **values: Any) -> str:
    """A template filled with values, without what browsers choke on."""
    html = (
        _environment()
        .get_template(template)
        .render(name=folder.resolve().name, version=_version(), **values)
    )
    return _UNPRINTABLE.sub("\ufffd", html)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("groot.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": tables.number,
        "signed": tables.signed,
        "interval": tables.interval,
        "p_value": tables.p_value,
        "duration": tables.duration,
    }
    return environment


def _drawn(*drawn: tuple[str, str, str, str]) -> list[Plot]:
    """The plots that there was something to draw for."""
    return [plot for plot in starmap(Plot, drawn) if plot.svg]


def _rank_plots(run: Run) -> list[Plot]:
    stages = list(run.stages.values())
    return _drawn(
        (
            "rank",
            plots.reward_by_rank(stages),
            "Reward by rank",
            "Mean reward of the candidates at each rank, over the examples that have one there; "
            "the bars are 95 % intervals.",
        ),
        (
            "pr",
            plots.precision_recall(stages),
            "Precision and recall",
            "What is kept when spans below a probability are dropped; the probability of a span is "
            "the share of the candidates that say it. Points: rank 1 as it is.",
        ),
    )


def _reliability_plots(run: Run) -> list[Plot]:
    stages = list(run.stages.values())
    return _drawn(
        (
            "reliability-candidates",
            plots.reliability(stages, of="candidates"),
            "Whole outputs",
            "Probability of the rank 1 candidate against the share of them that are exactly "
            "right. On the dotted line a probability means what it says.",
        ),
        (
            "reliability-items",
            plots.reliability(stages, of="items"),
            "Single classes" if run.last.numbers.get("task") == "classes" else "Single spans",
            "The same for each single one that any candidate says. Larger points hold more of "
            "them.",
        ),
    )


def _confusions(run: Run) -> list[Plot]:
    shown = [run.last] if run.after is None else [run.last, run.before]
    return _drawn(
        *(
            (
                f"confusion-{stage.key}",
                plots.confusion(tables.confusion_of(stage), name=f"confusion-{stage.key}"),
                stage.name.capitalize(),
                "Rows are gold, columns are predicted, at rank 1; the shade is the share of the "
                "row. Spans that overlap are set against each other, so a wrong boundary with "
                "the right label stays on the diagonal.",
            )
            for stage in shown
            if stage is not None
        )
    )


def _version() -> str:
    try:
        return version("groot-nlp")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"
