"""Ways of writing compared on the same prompts: guides of a frozen model, and tuned models."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groot.engine.events import Note, OnEvent, StageFinished, StageStarted, StepDone, ignore_events
from groot.engine.files import write_json
from groot.engine.ledger import seen_sentence
from groot.engine.marks import Marks, differences
from groot.errors import ConfigError, DataError
from groot.evaluation.guide_table import GuideRun, guide_table, pairs_of
from groot.rewards import Reward
from groot.studies.guide_marks import Marker
from groot.studies.guide_writing import Entry, WritingSettings, write_run
from groot.types import Example
from groot.writer.generator import Generator

log = logging.getLogger(__name__)

GUIDES_FILE = "guides.json"
RUNS_FOLDER = "guides"  # what each guide wrote, to continue from
VERSION = 1
SHOWN_EXAMPLES = 5
BASELINE = "top_k"  # the row that the others are tested against

# Pairs of rows that the published table and the tuned models are about, named before any number
# was seen. They are corrected for their number together; what is tested against the baseline
# stands in the rows.
CLAIMS = (
    ("pargs", "args"),
    ("pargs", "cd"),
    ("pargs", "rad"),
    ("pargs", "best_of_n"),
    ("dpo", "pargs"),
    ("grpo", "pargs"),
)


@dataclass(frozen=True)
class RunFiles:
    """Where what each entry wrote is kept, and taken from.

    Args:
        folder: for `guides.json`, and for a file of each entry in the folder `guides`.
        is_restarted: whether everything is written anew.
    """

    folder: Path
    is_restarted: bool = False

    def path(self, name: str) -> Path:
        """The file of an entry."""
        return self.folder / RUNS_FOLDER / f"{name}.json"


def compare_guides(
    generator: Generator,
    entries: Mapping[str, Entry],
    examples: Sequence[Example],
    reward: Reward,
    *,
    settings: WritingSettings | None = None,
    out: RunFiles | None = None,
    events: OnEvent = ignore_events,
) -> dict[str, Any]:
    """Let every entry write for every prompt, and measure what came of it.

    A text that was cut before its end is malformed for the reward, as everywhere.

    Args:
        generator: the frozen model, under which fluency is measured.
        entries: the rows, by name, in the order of the table; "top_k" is the baseline.
        examples: the prompts, with whatever the reward needs.
        reward: the gold reward; no guide should have been trained on it.
        settings: how many texts each entry writes, how long, and from which seed.
        out: where the numbers are kept, and what each entry wrote: it is not written again where
            models, prompts, reward and settings are the same to the byte. None keeps nothing.
        events: is called with the progress.

    Returns:
        rows: of `guide_table`; claims: of `pairs_of`; settings; seen_before: of each row whose
        generator has seen some of the prompts, what its ledger says of them; examples: some texts
        of each row.

    Raises:
        ConfigError: without an entry.
        DataError: without a prompt.
    """
    if not entries:
        raise ConfigError("no guide to compare; name at least one")
    if not examples:
        raise DataError("no prompts to compare guides on")
    settings = settings or WritingSettings()
    runs: dict[str, GuideRun] = {}
    marker = Marker()
    events(StageStarted("compare", len(entries)))
    start = time.monotonic()
    for number, (name, entry) in enumerate(entries.items(), start=1):

        def write(entry: Entry = entry) -> GuideRun:
            return write_run(generator, entry, examples, reward, settings)

        if out is None:
            runs[name] = write()
        else:
            made_of = marker.marks(generator, entry, examples, reward, settings)
            run = None if out.is_restarted else _read_run(out.path(name), made_of, events)
            if run is None:
                run = write()
                _keep_run(out.path(name), made_of, run)
            runs[name] = run
        events(StepDone("compare", number, len(entries)))
    events(StageFinished("compare", time.monotonic() - start))
    comparison = {
        "version": VERSION,
        "n_prompts": len(examples),
        "n_samples": settings.n_samples,
        "reward": reward.name,
        "baseline": BASELINE if BASELINE in runs else None,
        "seed": settings.seed,
        "max_new_tokens": settings.limit(generator),
        "titles": {name: entry.title or name for name, entry in entries.items()},
        "rows": guide_table(runs, baseline=BASELINE, seed=settings.seed),
        "claims": pairs_of(runs, CLAIMS, seed=settings.seed),
        "settings": {name: dict(entry.settings) for name, entry in entries.items()},
        "seen_before": _seen_before(entries, examples),
        "examples": [
            {
                "prompt": example.text,
                "texts": {name: run.texts[row][0] for name, run in runs.items()},
            }
            for row, example in enumerate(examples[:SHOWN_EXAMPLES])
        ],
    }
    if out is not None:
        write_json(out.folder / GUIDES_FILE, comparison)
    return comparison


def _seen_before(entries: Mapping[str, Entry], examples: Sequence[Example]) -> dict[str, list[str]]:
    """What the ledger of each row's generator says of the prompts; rows without are left out."""
    texts = [example.text for example in examples]
    seen = {name: entry.generator.ledger.seen(texts) for name, entry in entries.items()}
    return {
        name: [seen_sentence(use, count, len(texts)) for use, count in uses.items()]
        for name, uses in seen.items()
        if uses
    }


def _keep_run(path: Path, made_of: Marks | None, run: GuideRun) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    marks = None if made_of is None else made_of.to_json()
    write_json(path, {"made_of": marks, "run": asdict(run)})


def _read_run(path: Path, made_of: Marks | None, events: OnEvent) -> GuideRun | None:
    """What an entry wrote before, if everything that it is made of is the same; says which."""
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        before = Marks.from_json(stored["made_of"])
        run = GuideRun(**stored["run"])
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s); it is written anew", path, error)
        return None
    if made_of is None:
        changes = ["its guide is made of a function, which may have changed"]
    elif before is None:
        changes = ["another version of groot wrote it"]
    else:
        changes = differences(before, made_of)
    if changes:
        events(Note(f"{path.stem}: written anew, not taken from {path}: {'; '.join(changes)}"))
        return None
    events(Note(f"{path.stem}: taken from {path}"))
    return run
