"""Train a reward model on preferences: all prefixes of an output in one pass; report what it knows.

DIR/model        the reward model: a transformers folder, its head, groot.json
DIR/results.json accuracy by length, calibration, on training and held-out pairs
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groot.data.preferences import Preference, PreferenceSet, cut_held_out
from groot.engine.batches import BatchOrder
from groot.engine.events import Note, OnEvent, ignore_events
from groot.engine.files import write_folder, write_json
from groot.engine.interrupts import catch_interrupts
from groot.engine.loop import Batches
from groot.engine.marks import Marks, mark_of_json
from groot.engine.processes import make_accelerator
from groot.engine.run_folder import RunFolder
from groot.engine.stage import Interrupted, StageContext, StageSettings, train_stage
from groot.errors import ConfigError, DataError
from groot.evaluation.reward_pairs import pair_report
from groot.models.codec import Codec
from groot.models.embedded import count_parameters, parameter_groups
from groot.models.loading import add_lora, load_model, read_json
from groot.models.model_folder import SETTINGS_FILE, model_folder
from groot.models.model_marks import mark_of_model
from groot.recipes.pair_items import (
    PairItem,
    Spell,
    classifier_speller,
    label_speller,
    pair_items,
    text_speller,
)
from groot.recipes.pair_losses import measure_pairs, pair_loss, pair_scores
from groot.recipes.run_marks import settings_that_bind
from groot.reward_models.classifier_reward import ClassifierReward, is_classifier, new_classifier
from groot.reward_models.folders import open_reward_model
from groot.reward_models.kinds import REWARD_KINDS, RewardKind
from groot.reward_models.prefix_model import RewardModel
from groot.targets import FORMATS
from groot.writer.folders import load_labeler

logger = logging.getLogger(__name__)

RESULTS_FILE = "results.json"
SMALL = 10_000_000  # weights, up to which a model learns at the higher rate


@dataclass(frozen=True, slots=True)
class RewardModelSettings:
    """How a reward model is trained.

    Args:
        kind: one of `groot.reward_models.kinds.REWARD_KINDS`.
        passes: passes over the pairs.
        batch_size: pairs per step, over all processes.
        learning_rate: peak rate of AdamW; None takes 1e-3 for a model of up to 10 million weights,
            2e-4 for a larger one.
        weight_decay: of matrices.
        evaluations: how often held-out pairs are measured, spread evenly over the steps.
        lora_r: rank of LoRA adapters; 0 trains all weights.
        lora_alpha, lora_dropout: of the adapters.
        held_out: share of the prompts that is held out where no held-out pairs are given.
        seed: of order, dropout and what is held out.
        checkpoint_every_s: seconds between checkpoints.
    """

    kind: RewardKind = "partial"
    passes: int = 3
    batch_size: int = 16
    learning_rate: float | None = None
    weight_decay: float = 0.01
    evaluations: int = 6
    lora_r: int = 0
    lora_alpha: int = 16
    lora_dropout: float = 0.05
    held_out: float = 0.1
    seed: int = 1
    checkpoint_every_s: float = 60.0

    def __post_init__(self) -> None:
        wrong = []
        if self.kind not in REWARD_KINDS:
            wrong.append(f"kind={self.kind!r}: want one of {', '.join(REWARD_KINDS)}")
        for name in ("passes", "batch_size", "evaluations"):
            if getattr(self, name) < 1:
                wrong.append(f"{name}={getattr(self, name)}: want 1 or more")
        if self.learning_rate is not None and not self.learning_rate > 0:
            wrong.append(f"learning_rate={self.learning_rate}: want more than 0")
        if not 0 < self.held_out < 1:
            wrong.append(f"held_out={self.held_out}: want a share between 0 and 1")
        if self.lora_r < 0:
            wrong.append(f"lora_r={self.lora_r}: want 0 or more")
        if wrong:
            raise ConfigError("\n  ".join(["settings that cannot be:", *wrong]))


def train_reward_model(
    preferences: PreferenceSet | Sequence[Preference],
    model: str | Path,
    *,
    out: Path,
    settings: RewardModelSettings | None = None,
    held_out: PreferenceSet | Sequence[Preference] | None = None,
    events: OnEvent = ignore_events,
    force: bool = False,
) -> dict[str, Any]:
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
        force: go on although pairs or settings differ from those the run started with.

    Returns:
        what results.json holds: kind, tokens and pairs, and `pair_report` of train and held-out
        pairs.

    Raises:
        DataError: if no pair can be used.
        ModelError: if the backbone cannot be loaded, or does not fit the pairs.
        SystemExit: with 130 or 143 where the run was interrupted; it has been saved then.
    """
    settings = settings or RewardModelSettings()
    pairs = _pairs(preferences)
    if held_out is None:
        pairs, held = cut_held_out(pairs, share=settings.held_out, seed=settings.seed)
    else:
        held = _pairs(held_out)
    with catch_interrupts() as interrupt:
        accelerator = make_accelerator()
        reward_model, spell = open_backbone(model, settings)
        items, missed = pair_items(pairs, spell, reward_model)
        held_items, held_missed = pair_items(held, spell, reward_model)
        missed += held_missed
        if not items or not held_items:
            raise DataError(
                f"no {'held-out ' if items else ''}pair can be used:\n  " + "\n  ".join(missed[:5])
            )
        with RunFolder(out, is_writer=accelerator.is_main_process) as run:
            run.check_same_run(
                Marks(
                    {
                        "the pairs to learn from": mark_of_json(items),
                        "the held-out pairs": mark_of_json(held_items),
                        "the backbone model": mark_of_model(model),
                    },
                    settings_that_bind(settings),
                ),
                force=force,
            )
            if run.is_done("report"):
                events(Note(f"{out}: this reward model is finished"))
                results: dict[str, Any] = json.loads((out / RESULTS_FILE).read_text("utf-8"))
                return results
            if missed:
                shown = "; ".join(missed[:3])
                events(Note(f"{len(missed)} pairs cannot be used: {shown}", "warning"))
            reward_model.to(accelerator.device)
            context = StageContext(
                measure=lambda: measure_pairs(reward_model, held_items),
                selects_on="minus_loss",
                run=run,
                accelerator=accelerator,
                events=events,
                should_stop=lambda: interrupt.requested_anywhere(accelerator),
            )
            try:
                if not run.is_done("reward model"):
                    result = fit_reward_model(reward_model, items, settings, context)
                    if accelerator.is_main_process:
                        with write_folder(out / "model") as folder:
                            reward_model.save(folder)
                    accelerator.wait_for_everyone()
                    run.mark_done("reward model", dataclasses.asdict(result), wrote=["model"])
            except Interrupted as stopped:
                events(Note(f"{stopped}; the same command again continues", "warning"))
                interrupt.leave()
            results = _report(run.written("model"), items, held_items, run, missed)
            if accelerator.is_main_process:
                write_json(out / RESULTS_FILE, results)
            run.mark_done("report")
            accelerator.wait_for_everyone()
            return results


def _pairs(preferences: PreferenceSet | Sequence[Preference]) -> list[Preference]:
    return list(preferences.pairs if isinstance(preferences, PreferenceSet) else preferences)


def _report(
    folder: Path,
    items: Sequence[PairItem],
    held_items: Sequence[PairItem],
    run: RunFolder,
    missed: Sequence[str],
) -> dict[str, Any]:
    model: Any = open_reward_model(folder)
    info = run.info_of("reward model")
    return {
        "kind": model.kind,
        "pairs": {"train": len(items), "held_out": len(held_items), "unusable": len(missed)},
        "seconds": info["seconds"],
        "steps": info["steps"],
        "best_step": info["best_step"],
        "held_out_loss": -info["best"],
        "train": pair_report(pair_scores(model, items)),
        "held_out": pair_report(pair_scores(model, held_items)),
    }


def plan_reward_model(
    preferences: PreferenceSet | Sequence[Preference],
    model: str | Path,
    *,
    settings: RewardModelSettings,
    held_out: PreferenceSet | Sequence[Preference] | None = None,
) -> dict[str, Any]:
    """What `train_reward_model` would do; loads the backbone and writes nothing."""
    pairs = _pairs(preferences)
    if held_out is None:
        pairs, held = cut_held_out(pairs, share=settings.held_out, seed=settings.seed)
    else:
        held = _pairs(held_out)
    reward_model, spell = open_backbone(model, settings)
    items, missed = pair_items(pairs, spell, reward_model)
    held_items, held_missed = pair_items(held, spell, reward_model)
    lengths = sorted(max(len(item.chosen), len(item.rejected)) for item in items)
    return {
        "kind": settings.kind,
        "pairs": {
            "train": len(items),
            "held_out": len(held_items),
            "unusable": len(missed) + len(held_missed),
        },
        "unusable": [*missed, *held_missed][:5],
        "steps": settings.passes * -(-len(items) // settings.batch_size),
        "output_tokens": {"median": lengths[len(lengths) // 2], "longest": lengths[-1]}
        if lengths
        else None,
        "parameters": count_parameters(reward_model),
        "trained": sum(w.numel() for w in reward_model.parameters() if w.requires_grad),
    }


def open_backbone(
    name: str | Path, settings: RewardModelSettings
) -> tuple[RewardModel | ClassifierReward, Spell]:
    """A fresh reward model on a backbone, and how preferences are spelled for it.

    Returns:
        the model, and a function preference -> item, or the reason why there is none.

    Raises:
        ConfigError: for a classifier that should learn rewards of prefixes.
        ModelError: if it cannot be loaded.
    """
    if is_classifier(name):
        classifier = _open_classifier(name, settings)
        return classifier, classifier_speller(classifier)
    folder = model_folder(name)
    path = folder / SETTINGS_FILE
    saved = read_json(path) if path.is_file() else {}
    codec: Codec | None = None
    separator, max_prompt, max_new = None, None, None
    if saved.get("format") in list(FORMATS):
        labeler = load_labeler(folder)
        backbone, codec = labeler.model, labeler.codec
    else:
        source = folder if saved else name
        backbone = load_model(source)
        separator, max_prompt = saved.get("separator"), saved.get("max_prompt_tokens")
        max_new = saved.get("max_new_tokens")
    if settings.lora_r:
        backbone = add_lora(
            backbone, r=settings.lora_r, alpha=settings.lora_alpha, dropout=settings.lora_dropout
        )
    model = RewardModel(backbone, settings.kind, separator=separator, max_prompt_tokens=max_prompt)
    if codec is not None:
        return model, label_speller(codec)
    return model, text_speller(model, max_new)


def _open_classifier(name: str | Path, settings: RewardModelSettings) -> ClassifierReward:
    """A classifier to train, as the settings want it.

    Raises:
        ConfigError: for settings that no classifier can have.
        ModelError: if it cannot be loaded.
    """
    if settings.kind != "sequence":
        raise ConfigError(
            f"{name}: a sequence classifier or encoder is not causal: it reads a text in both"
            f" directions, so it cannot learn rewards of prefixes (kind {settings.kind!r}).\n"
            "  Train it on whole outputs: --kind sequence; or give a causal or encoder-decoder"
            f" model for --kind {settings.kind}."
        )
    if settings.lora_r:
        raise ConfigError(f"{name}: a classifier is trained whole; leave out --lora-r.")
    return new_classifier(name)


# Training


def fit_reward_model(
    model: RewardModel | ClassifierReward,
    items: Sequence[PairItem],
    settings: RewardModelSettings,
    context: StageContext,
) -> Any:
    """Minimise the loss of the model's kind; the weights with the least held-out loss stay.

    Returns:
        the StageResult, whose `best` is minus the held-out loss.
    """
    if isinstance(model, RewardModel) and model.kind != "vocabulary":
        _freeze_unused_head(model)
    order = BatchOrder(
        len(items),
        batch_size=settings.batch_size,
        seed=settings.seed,
        lengths=[max(len(item.chosen), len(item.rejected)) for item in items],
    )
    stage = StageSettings(
        name="reward model",
        passes=settings.passes,
        evaluations=settings.evaluations,
        seed=settings.seed,
        checkpoint_every_s=settings.checkpoint_every_s,
    )
    return train_stage(
        model,
        pair_loss,
        Batches(order, lambda indices, step: [items[index] for index in indices]),
        stage,
        context,
        parameter_groups=parameter_groups(
            model,
            learning_rate=settings.learning_rate or default_rate(count_parameters(model)),
            embedding_rate=1.0,
            weight_decay=settings.weight_decay,
        ),
    )


def default_rate(n_weights: int) -> float:
    """Peak learning rate of a reward model, where none is given: small models need a higher one.

    >>> default_rate(700_000), default_rate(124_000_000)
    (0.001, 0.0002)
    """
    return 1e-3 if n_weights <= SMALL else 2e-4


def _freeze_unused_head(model: RewardModel) -> None:
    """An output layer of its own is never used by a reward model with a head."""
    core = model.backbone._parts[0]
    output, embeddings = core.get_output_embeddings(), core.get_input_embeddings()
    if output is not None and output.weight is not embeddings.weight:
        output.requires_grad_(False)
