"""Ways of writing compared on the same prompts: guides of a frozen model, and tuned models."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from groot.engine.events import (
    Note,
    OnEvent,
    StageFinished,
    StageStarted,
    StepDone,
    ignore_events,
)
from groot.engine.files import write_json
from groot.errors import ConfigError, DataError
from groot.evaluation.guide_table import ROWS, GuideRun, guide_table, pairs_of
from groot.guides.guide import Chooser, Guide, Written
from groot.models.text_scoring import token_log_p
from groot.rewards import Reward
from groot.search.sampling import sample
from groot.studies.counted import Counted, CountedWriter
from groot.types import Candidate, Example
from groot.writer.generator import Generator

log = logging.getLogger(__name__)

GUIDES_FILE = "guides.json"
RUNS_FOLDER = "guides"  # what each guide wrote, to continue from
VERSION = 1
SHOWN_EXAMPLES = 5

# What the published table claims, and what a tuned model is for: each is tested on its own.
CLAIMS = (
    ("pargs", "top_k"),
    ("args", "top_k"),
    ("cd", "top_k"),
    ("rad", "top_k"),
    ("pargs", "args"),
    ("pargs", "cd"),
    ("pargs", "rad"),
    ("pargs", "best_of_n"),
    ("dpo", "pargs"),
    ("grpo", "pargs"),
)


@dataclass(frozen=True)
class Entry:
    """One row of the table: who writes, and how.

    Args:
        generator: the frozen one, or a tuned one.
        guide: that steers it or chooses among its samples; None for none.
        temperature: 0 is greedy, and writes one text for each prompt.
        top_k: tokens that are drawn from; None: as many as the guide asks for, or all.
        costs: what count the work of the guide's reward models, or of a tuned model that stands
            for one; empty where there are none.
        lm_costs: what count the work of the language model inside the guide.
        settings: what the row is, for the file: the weight, the folder of the reward model.
    """

    generator: Generator
    guide: Guide | Chooser | None = None
    temperature: float = 1.0
    top_k: int | None = None
    costs: Sequence[Counted] = ()
    lm_costs: Sequence[CountedWriter] = ()
    settings: Mapping[str, Any] | None = None


def compare_guides(
    generator: Generator,
    entries: Mapping[str, Entry],
    examples: Sequence[Example],
    reward: Reward,
    *,
    n_samples: int = 4,
    baseline: str = "top_k",
    max_new_tokens: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
    out: Path | None = None,
    is_restarted: bool = False,
    events: OnEvent = ignore_events,
) -> dict[str, Any]:
    """Let every entry write for every prompt, and measure what came of it.

    Args:
        generator: the frozen model, under which fluency is measured.
        entries: the rows, by name.
        examples: the prompts, with whatever the reward needs.
        reward: the gold reward; no guide should have been trained on it.
        n_samples: texts for each prompt, of the entries that sample.
        baseline: the row that the others are tested against.
        max_new_tokens: of each text, its end included; None takes the generator's.
        seed: of the samples and of the tests.
        batch_size: texts written together.
        out: folder for `guides.json` and for what each entry wrote, which is not written again
            by the same call; None keeps nothing.
        is_restarted: write everything anew.
        events: is called with the progress.

    Returns:
        rows: of `guide_table`; claims: of `pairs_of`; settings; examples: some texts of each row.

    Raises:
        ConfigError: without an entry.
        DataError: without a prompt.

    A text that was cut before its end is malformed for the reward, as everywhere.
    """
    if not entries:
        raise ConfigError("no guide to compare; name at least one")
    if not examples:
        raise DataError("no prompts to compare guides on")
    limit = max_new_tokens or generator.max_new_tokens
    runs: dict[str, GuideRun] = {}
    events(StageStarted("compare", len(entries)))
    start = time.monotonic()
    for number, (name, entry) in enumerate(entries.items(), start=1):
        n = 1 if entry.temperature == 0 else n_samples
        made_of = {
            "settings": dict(entry.settings or {}),
            "prompts": [example.text for example in examples],
            "reward": reward.mark,
            "n_samples": n,
            "max_new_tokens": limit,
            "seed": seed,
        }
        path = None if out is None else out / RUNS_FOLDER / f"{name}.json"
        run = None if path is None or is_restarted else _read_run(path, made_of)
        if run is None:
            run = _write(
                generator,
                entry,
                examples,
                reward,
                n=n,
                max_new_tokens=limit,
                seed=seed,
                batch_size=batch_size,
            )
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, {"made_of": made_of, "run": asdict(run)})
        else:
            events(Note(f"{name}: taken from {path}"))
        runs[name] = run
        events(StepDone("compare", number, len(entries)))
    events(StageFinished("compare", time.monotonic() - start))
    found = {
        "version": VERSION,
        "n_prompts": len(examples),
        "n_samples": n_samples,
        "reward": reward.name,
        "baseline": baseline if baseline in runs else None,
        "seed": seed,
        "max_new_tokens": limit,
        "titles": {name: ROWS.get(name, name) for name in runs},
        "rows": guide_table(runs, baseline=baseline, seed=seed),
        "claims": pairs_of(runs, CLAIMS, seed=seed),
        "settings": {name: dict(entry.settings or {}) for name, entry in entries.items()},
        "examples": [
            {
                "prompt": example.text,
                "texts": {name: run.texts[row][0] for name, run in runs.items()},
            }
            for row, example in enumerate(examples[:SHOWN_EXAMPLES])
        ],
    }
    if out is not None:
        write_json(out / GUIDES_FILE, found)
    return found


def _write(
    frozen: Generator,
    entry: Entry,
    examples: Sequence[Example],
    reward: Reward,
    *,
    n: int,
    max_new_tokens: int,
    seed: int,
    batch_size: int,
) -> GuideRun:
    """What one entry writes; only the writing is timed."""
    generator = entry.generator
    inputs = [generator.input_ids(example.text) for example in examples]
    writer = CountedWriter(generator.model)

    def write(some: Sequence[Sequence[int]], n: int) -> list[list[Written]]:
        return sample(
            writer,
            some,
            n=n,
            max_new_tokens=max_new_tokens,
            temperature=entry.temperature,
            top_k=entry.top_k,
            seed=seed,
            guide=entry.guide,
            batch_size=batch_size,
        )

    write(inputs[:1], 1)  # the first call of anything is slow, and not what is asked about
    lm_costs = (writer, *entry.lm_costs)
    before = [(one.calls, one.tokens) for one in entry.costs]
    lm_before = sum(one.tokens for one in lm_costs)
    start = time.perf_counter()
    written = write(inputs, n)
    seconds = time.perf_counter() - start
    texts = [[generator.prompts.text(one.tokens) for one in some] for some in written]
    return GuideRun(
        texts=texts,
        rewards=gold_rewards(generator, examples, written, reward),
        log_p=frozen_log_p(frozen, generator, examples, written, batch_size=batch_size),
        n_tokens=[[len(one.tokens) for one in some] for some in written],
        seconds=seconds,
        reward_calls=sum(
            one.calls - calls for one, (calls, _) in zip(entry.costs, before, strict=True)
        ),
        reward_tokens=sum(
            one.tokens - tokens for one, (_, tokens) in zip(entry.costs, before, strict=True)
        ),
        lm_tokens=sum(one.tokens for one in lm_costs) - lm_before,
    )


def mean_reward_of(
    entry: Entry,
    examples: Sequence[Example],
    reward: Reward,
    *,
    max_new_tokens: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> float:
    """Mean reward of one text for each prompt.

    Raises:
        DataError: if no text has a reward.
    """
    generator = entry.generator
    written = sample(
        generator.model,
        [generator.input_ids(example.text) for example in examples],
        max_new_tokens=max_new_tokens or generator.max_new_tokens,
        temperature=entry.temperature,
        top_k=entry.top_k,
        seed=seed,
        guide=entry.guide,
        batch_size=batch_size,
    )
    rewards = gold_rewards(generator, examples, written, reward)
    known = [value for row in rewards for value in row if value is not None]
    if not known:
        raise DataError(f"no text of the {len(examples)} prompts has a reward")
    return sum(known) / len(known)


def gold_rewards(
    generator: Generator,
    examples: Sequence[Example],
    written: Sequence[Sequence[Written]],
    reward: Reward,
) -> list[list[float | None]]:
    """The reward of each text of each example; one that was cut before its end is malformed."""
    candidates = [
        [
            Candidate(text, text if one.is_finished else None, one.log_p, source="sample")
            for one in some
            for text in [generator.prompts.text(one.tokens)]
        ]
        for some in written
    ]
    return reward.score(examples, candidates)


@torch.no_grad()
def frozen_log_p(
    frozen: Generator,
    writer: Generator,
    examples: Sequence[Example],
    written: Sequence[Sequence[Written]],
    *,
    batch_size: int = 64,
) -> list[list[float]]:
    """log_p of each text under the frozen model, in nats, whoever wrote it.

    A writer with another tokenizer has its texts read again; the end is then always counted.
    """
    if writer is frozen:
        return [[one.log_p for one in some] for some in written]
    if not have_same_tokens(frozen, writer):
        texts = [[writer.prompts.text(one.tokens) for one in some] for some in written]
        scores = frozen.score(examples, texts, batch_size=batch_size)
        return [[value for value in row if value is not None] for row in scores]  # texts: all are
    frozen.model.eval()
    found: list[list[float]] = [[] for _ in examples]
    flat = [(row, one.tokens) for row, some in enumerate(written) for one in some]
    for first in range(0, len(flat), batch_size):
        part = flat[first : first + batch_size]
        used = sorted({row for row, _ in part})
        place = {row: index for index, row in enumerate(used)}
        log_p, _ = token_log_p(
            frozen.model,
            [frozen.input_ids(examples[row].text) for row in used],
            [tokens for _, tokens in part],
            [place[row] for row, _ in part],
        )
        for (row, _), value in zip(part, log_p.sum(1).tolist(), strict=True):
            found[row].append(value)
    return found


def have_same_tokens(one: Any, other: Any) -> bool:
    """Whether two models spell texts with the same ids."""
    mine, theirs = one.prompts.tokenizer, other.prompts.tokenizer
    return mine is theirs or mine.get_vocab() == theirs.get_vocab()


def _read_run(path: Path, made_of: Mapping[str, Any]) -> GuideRun | None:
    """What an entry wrote before, if it was the same entry with the same settings."""
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["made_of"] != json.loads(json.dumps(made_of)):
            return None
        return GuideRun(**stored["run"])
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s); it is written anew", path, error)
        return None
