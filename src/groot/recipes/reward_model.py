"""Train a reward model on preferences: all prefixes of an output in one pass; report what it knows.

DIR/model        the reward model: a transformers folder, its head, groot.json, its ledger
DIR/results.json accuracy by length, calibration, on training and held-out pairs
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groot.data.preferences import Preference, PreferenceSet, cut_held_out
from groot.engine.batches import BatchOrder
from groot.engine.events import Note, OnEvent, ignore_events
from groot.engine.loop import Batches
from groot.engine.marks import Marks, mark_of_json
from groot.engine.stage import StageContext, StageResult, StageSettings, train_stage
from groot.errors import DataError
from groot.evaluation.reward_pairs import pair_report
from groot.models.embedded import count_parameters, parameter_groups
from groot.models.model_marks import mark_of_model
from groot.recipes.model_run import MODEL, ModelRun, Results, RunPlace, make_model
from groot.recipes.pair_learner import PairLearner, SpelledPairs, open_learner
from groot.recipes.reward_model_settings import RewardModelSettings
from groot.recipes.run_marks import settings_that_bind
from groot.recipes.spelled_pairs import SpelledPair
from groot.reward_models.folders import open_reward_model

RESULTS_FILE = "results.json"
STAGE = "reward model"

Preferences = PreferenceSet | Sequence[Preference]


def train_reward_model(
    preferences: Preferences,
    model: str | Path,
    *,
    out: Path,
    settings: RewardModelSettings | None = None,
    held_out: Preferences | None = None,
    events: OnEvent = ignore_events,
    force: bool = False,
) -> Results:
    """Train a reward model, or what is left to train; a finished one gives its results again.

    Args:
        preferences: to learn from.
        model: the backbone: the folder of a generator or a labeler, so that tokens match, or any
            causal or encoder-decoder model, by folder or name; for kind "sequence" also a sequence
            classifier, or an encoder, which gets a fresh head.
        out: the run's folder; a run that was stopped there is continued.
        settings: None for the defaults.
        held_out: pairs to measure on, and to choose the weights by; None cuts a share of the
            prompts from the preferences.
        events: told what happens.
        force: go on although the backbone, pairs or settings differ from those the run started
            with.

    Returns:
        what results.json holds: kind, tokens and pairs, and `pair_report` of train and held-out
        pairs.

    Raises:
        DataError: if no pair can be used.
        ModelError: if the backbone cannot be loaded, or does not fit the pairs.
        CheckpointError: if the run was started with another backbone, other pairs or settings.
        SystemExit: with 130 or 143 where the run was interrupted; it has been saved then.
    """
    settings = settings or RewardModelSettings()
    learner = open_learner(model, settings)
    train, held = _spelled(learner, preferences, held_out, settings)
    missed = [*train.missed, *held.missed]
    if not train.items or not held.items:
        which = "held-out " if train.items else ""
        raise DataError(f"no {which}pair can be used:\n  " + "\n  ".join(missed[:5]))
    made_of = Marks(
        {
            "the pairs to learn from": mark_of_json(train.items),
            "the held-out pairs": mark_of_json(held.items),
            "the backbone model": mark_of_model(model),
        },
        settings_that_bind(settings),
    )
    ledger = learner.ledger.with_texts("learnt_from", train.prompts)
    ledger = ledger.with_texts("chosen_on", held.prompts)

    def learn(run: ModelRun) -> Results:
        if missed:
            shown = "; ".join(missed[:3])
            events(Note(f"{len(missed)} pairs cannot be used: {shown}", "warning"))
        if not run.folder.is_done(STAGE):
            learner.model.to(run.accelerator.device)
            context = run.context(lambda: learner.measure(held.items), selects_on="minus_loss")
            result = fit_reward_model(learner, train.items, settings, context)
            run.save(learner.model, ledger)
            run.folder.mark_done(STAGE, dataclasses.asdict(result), wrote=[MODEL])
        return {
            **_report(learner, run.folder.written(MODEL), train, held),
            **_trained(StageResult(**run.folder.info_of(STAGE))),
        }

    return make_model(RunPlace(out, RESULTS_FILE, events, force), made_of, learn)


def _spelled(
    learner: PairLearner,
    preferences: Preferences,
    held_out: Preferences | None,
    settings: RewardModelSettings,
) -> tuple[SpelledPairs, SpelledPairs]:
    """Pairs to learn from and held-out ones in the model's tokens, cut by prompt if need be."""
    train = _pairs(preferences)
    if held_out is None:
        train, held = cut_held_out(train, share=settings.held_out, seed=settings.seed)
    else:
        held = _pairs(held_out)
    return learner.spelled(train), learner.spelled(held)


def _pairs(preferences: Preferences) -> list[Preference]:
    return list(preferences.pairs if isinstance(preferences, PreferenceSet) else preferences)


def _counts(train: SpelledPairs, held: SpelledPairs) -> dict[str, int]:
    return {
        "train": len(train.items),
        "held_out": len(held.items),
        "unusable": len(train.missed) + len(held.missed),
    }


def _trained(result: StageResult) -> Results:
    return {
        "seconds": result.seconds,
        "steps": result.steps,
        "best_step": result.best_step,
        "held_out_loss": -result.best,
    }


def _report(learner: PairLearner, folder: Path, train: SpelledPairs, held: SpelledPairs) -> Results:
    """What the model in a folder knows of the pairs."""
    model = open_reward_model(folder)
    return {
        "kind": model.kind,
        "pairs": _counts(train, held),
        "train": pair_report(learner.scores_of(model, train.items)),
        "held_out": pair_report(learner.scores_of(model, held.items)),
    }


def plan_reward_model(
    preferences: Preferences,
    model: str | Path,
    *,
    settings: RewardModelSettings,
    held_out: Preferences | None = None,
) -> dict[str, Any]:
    """What `train_reward_model` would do; loads the backbone and writes nothing."""
    learner = open_learner(model, settings)
    train, held = _spelled(learner, preferences, held_out, settings)
    lengths = sorted(max(len(item.chosen), len(item.rejected)) for item in train.items)
    weights = list(learner.model.parameters())
    return {
        "kind": settings.kind,
        "pairs": _counts(train, held),
        "unusable": [*train.missed, *held.missed][:5],
        "steps": settings.passes * -(-len(train.items) // settings.batch_size),
        "output_tokens": {"median": lengths[len(lengths) // 2], "longest": lengths[-1]}
        if lengths
        else None,
        "parameters": count_parameters(learner.model),
        "trained": sum(weight.numel() for weight in weights if weight.requires_grad),
    }


def fit_reward_model(
    learner: PairLearner,
    items: Sequence[SpelledPair],
    settings: RewardModelSettings,
    context: StageContext,
) -> StageResult:
    """Minimise the loss of the model's kind; the weights with the least held-out loss stay.

    Returns:
        what came of it; its `best` is minus the held-out loss.
    """
    model = learner.model
    order = BatchOrder(
        len(items),
        batch_size=settings.batch_size,
        seed=settings.seed,
        lengths=[max(len(item.chosen), len(item.rejected)) for item in items],
    )
    stage = StageSettings(
        name=STAGE,
        passes=settings.passes,
        evaluations=settings.evaluations,
        seed=settings.seed,
        checkpoint_every_s=settings.checkpoint_every_s,
    )
    return train_stage(
        model,
        learner.loss_of,
        Batches(order, lambda indices, step: [items[index] for index in indices]),
        stage,
        context,
        parameter_groups=parameter_groups(
            model,
            learning_rate=settings.rate_of(count_parameters(model)),
            embedding_rate=1.0,
            weight_decay=settings.weight_decay,
        ),
    )
