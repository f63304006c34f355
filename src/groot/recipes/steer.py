"""Steer a frozen labeler: a reward of partial targets, learnt from labelled texts it did not see.

The labeler stays as it is. On its own decoder states a linear head learns what each label adds to
the reward of a prefix, so that log_p + reward puts the candidates with the highest reward first:

    minimise  - sum over texts of sum over k of softmax(log_p + r)[k] * reward[k]
              + strength * |head|^2

Texts of the training set teach little here: a model that knows them by heart makes few of its usual
mistakes on them. So the texts are held out, few, and the head is small. Penalty and weight of the
guide, and whether the most probable or the best expected candidate (MBR) comes first under it, are
chosen by cross-validation, and with caution. The guide that is saved has learnt from all texts, so
none of them can judge it. What steering gains is measured in folds, one after another: each under a
guide that learnt from, and was chosen on, the folds before it.

DIR/guide          the guide, for groot predict --guide, with its ledger
DIR/results.json   rewards, unguided and guided
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groot.data.benchmarks import Split
from groot.engine.events import OnEvent, StageFinished, StageStarted, StepDone, ignore_events
from groot.engine.files import write_folder, write_json
from groot.engine.ledger import text_hash, write_ledger
from groot.errors import DataError
from groot.guides.pargs import Pargs
from groot.guides.saved_guides import save_guide
from groot.recipes.steer_candidates import RewardedText, rewarded_texts, steer_table
from groot.recipes.steer_heads import guide_of_head
from groot.recipes.steer_learning import Lesson, SteerSettings, judge, learn
from groot.recipes.steer_numbers import judged_numbers, tried_numbers
from groot.rewards import Reward
from groot.search.label_tables import tables_of
from groot.search.steered_search import check_takes_guides
from groot.studies.labelled_data import LabelledData
from groot.types import Example
from groot.writer.folders import load_token_labeler
from groot.writer.labeler import Labeler

GUIDE, RESULTS_FILE = "guide", "results.json"


def train_steering(
    folder: str | Path,
    data: str | Path,
    *,
    out: Path,
    split: Split = "dev",
    reward_specs: Sequence[str] | None = None,
    settings: SteerSettings | None = None,
    events: OnEvent = ignore_events,
) -> dict[str, Any]:
    """Learn a guide for the labeler in a folder, and save it.

    Args:
        folder: the folder of a run or a labeler.
        data: labelled texts that it was not trained on: a file, a folder or a benchmark.
        out: folder for the guide and its numbers; what is there is replaced.
        split: which split of a benchmark or a folder of splits is read.
        reward_specs: what is maximised; None is what the labeler was optimised for.
        settings: None for the defaults.
        events: told what happens.

    Returns:
        what results.json holds, see `learn_guide`.

    Raises:
        DataError: if the data cannot be read, or no text of it can be learnt from.
    """
    labeler = load_token_labeler(folder)
    examples = LabelledData(data, split=split).read().examples
    with labeler.reward(reward_specs) as reward:
        guide, results = learn_guide(labeler, examples, reward, settings=settings, events=events)
    texts = [example.text for example in examples]
    ledger = labeler.ledger
    results = {
        "reward": reward.name,
        "data": str(data),
        "split": split,
        **results,
        "seen_before": ledger.sentences(texts),
    }
    out.mkdir(parents=True, exist_ok=True)
    with write_folder(out / GUIDE) as place:
        save_guide(guide, place, choose=results["choose"], reward=reward_specs)
        seen = ledger.with_texts("learnt_from", texts).with_texts("chosen_on", texts)
        write_ledger(place, seen)
    write_json(out / RESULTS_FILE, results)
    return results


def learn_guide(
    labeler: Labeler,
    examples: Sequence[Example],
    reward: Reward,
    *,
    settings: SteerSettings | None = None,
    events: OnEvent = ignore_events,
) -> tuple[Pargs, dict[str, Any]]:
    """Learn a guide for a labeler from labelled texts that it was not trained on.

    Args:
        labeler: stays as it is; the guide's reward model shares its weights.
        examples: with gold. Those of more words than one window are left out, and those without a
            candidate that has a reward.
        reward: what is maximised.
        settings: None for the defaults.
        events: told what happens.

    Returns:
        the guide, and its numbers: "texts", "left_out", "seconds"; "strength", "weight" and
        "choose" of the guide, chosen on all texts ("mbr" takes softmax(log_p + weight * reward) for
        the probability of a candidate); of the texts "judged", mean "reward" and "metric" (where
        there is one) "unguided", by "top" and "mbr", and "guided", each under a guide that learnt
        from, and was chosen on, earlier texts alone; "by_fold", the ways of these guides;
        "difference" of guided and each of the two unguided, with interval and p-value; "gains"
        and "gains_over_mbr", whether the mean reward is significantly above the one and the other;
        "metric", its name or None; "tried", the mean reward and metric of all ways by which the
        guide was chosen, which flatter the best.

    Raises:
        DataError: if too few texts are left.
        ConfigError: for a labeler whose labels are not one token each.
    """
    settings = settings or SteerSettings()
    check_takes_guides(tables_of(labeler.codec, labeler.model.device))
    started = time.perf_counter()
    texts = _usable(labeler, examples, reward, settings, events)
    table = steer_table(labeler, texts, reward)
    lessons: list[Lesson] = []

    def on_lesson(lesson: Lesson) -> None:
        lessons.append(lesson)
        events(StepDone("learn", len(lessons), settings.n_lessons))

    events(StageStarted("learn", settings.n_lessons))
    first = judge(table, settings, on_lesson=on_lesson)
    on_lesson(lesson := learn(table, settings))
    numbers = judged_numbers(table, first, reward.metric)
    seconds = time.perf_counter() - started
    events(StageFinished("learn", seconds, {"guided": numbers["guided"]["reward"]}))
    guide = guide_of_head(labeler, lesson.head, scale=table.scale, weight=lesson.way.weight)
    return guide, {
        "texts": len(texts),
        "left_out": len(examples) - len(texts),
        **lesson.way._asdict(),
        **numbers,
        "by_fold": [past.way._asdict() for past in lessons[:-1]],
        "metric": None if reward.metric is None else reward.metric.name,
        "tried": tried_numbers(table, lesson, reward.metric),
        "seconds": seconds,
    }


def _usable(
    labeler: Labeler,
    examples: Sequence[Example],
    reward: Reward,
    settings: SteerSettings,
    events: OnEvent,
) -> list[RewardedText]:
    """The texts that can be learnt from, with their candidates.

    Raises:
        DataError: if there are too few different ones.
    """
    fewest = settings.fewest_texts
    short = [example for example in examples if 0 < len(example.words) <= labeler.window_words]
    if len({text_hash(example.text) for example in short}) < fewest:
        raise DataError(
            f"{len(short)} texts of at most {labeler.window_words} words: too few to learn from."
            f" Give labelled texts of which {fewest} or more differ; a few hundred teach something."
        )
    texts = rewarded_texts(labeler, short, reward, k=settings.num_candidates, events=events)
    if len({text_hash(text.example.text) for text in texts}) < fewest:
        raise DataError(
            f"{len(texts)} texts have a candidate with a reward: too few to learn from. See that"
            f" the reward gives numbers for {fewest} different texts or more."
        )
    return texts
