"""Train a reward model on preferences: all prefixes of an output in one pass; report what it knows.

DIR/model        the reward model: a transformers folder, its head, groot.json
DIR/results.json accuracy by length, calibration, on training and held-out pairs
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groot.data.preferences import Preference, PreferenceSet, cut_held_out
from groot.errors import ConfigError, DataError
from groot.evaluation.reward_pairs import PairScores, n_shared, pair_report
from groot.labeler import SETTINGS_FILE
from groot.labeler import load as load_labeler
from groot.labels import FORMATS
from groot.models.alternatives import position_limit
from groot.models.classifier_reward import ClassifierReward, is_classifier
from groot.models.codec import Codec
from groot.models.embedded import count_parameters, parameter_groups
from groot.models.loading import add_lora, load_model, read_json
from groot.models.reward_folders import open_reward_model
from groot.models.reward_model import KINDS, Kind, RewardModel
from groot.objectives import REWARD_OBJECTIVES
from groot.training.batches import BatchOrder
from groot.training.classifier_reward import (
    classifier_speller,
    open_classifier,
    text_pair_loss,
    text_pair_scores,
)
from groot.training.events import Note, OnEvent, ignore_events
from groot.training.files import write_folder, write_json
from groot.training.interrupts import catch_interrupts
from groot.training.processes import make_accelerator
from groot.training.run_folder import RunFolder, library_versions
from groot.training.stage import Interrupted, StageContext, StageSettings, train_stage
from groot.training.start import folder_sum

logger = logging.getLogger(__name__)

RESULTS_FILE = "results.json"
SMALL = 10_000_000  # weights, up to which a model learns at the higher rate
OBJECTIVE_OF: Mapping[Kind, str] = {
    "sequence": "bradley_terry",
    "partial": "partial_bradley_terry",
    "value": "value_regression",
    "rad": "cumulative_squared",
    "vocabulary": "max_consistency",
    "additive": "partial_bradley_terry",
}


@dataclass(frozen=True, slots=True)
class PairItem:
    """A preference in token ids.

    Args:
        input_ids: of the prompt.
        chosen, rejected: ids of the outputs, end included.
        chosen_reward, rejected_reward: 1 and 0 where the preference has none.
    """

    input_ids: list[int]
    chosen: list[int]
    rejected: list[int]
    chosen_reward: float = 1.0
    rejected_reward: float = 0.0


@dataclass(frozen=True, slots=True)
class TextPairItem(PairItem):
    """A preference for a classifier, which reads texts; the ids say how long they are.

    Args:
        prompt, chosen_text, rejected_text: what is read.
    """

    prompt: str = ""
    chosen_text: str = ""
    rejected_text: str = ""


@dataclass(frozen=True, slots=True)
class RewardModelSettings:
    """How a reward model is trained.

    Args:
        kind: of `groot.models.reward_model.KINDS`.
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

    kind: Kind = "partial"
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
        if self.kind not in KINDS:
            wrong.append(f"kind={self.kind!r}: want one of {', '.join(KINDS)}")
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
                {
                    "settings": dataclasses.asdict(settings),
                    "pairs": _sum(items),
                    "held out": _sum(held_items),
                    "model": folder_sum(str(model)) or str(model),
                    "versions": library_versions(),
                },
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
                    run.mark_done("reward model", dataclasses.asdict(result))
            except Interrupted as stopped:
                events(Note(f"{stopped}; the same command again continues", "warning"))
                interrupt.leave()
            results = _report(out / "model", items, held_items, run, missed)
            if accelerator.is_main_process:
                write_json(out / RESULTS_FILE, results)
            run.mark_done("report")
            accelerator.wait_for_everyone()
            return results


def _pairs(preferences: PreferenceSet | Sequence[Preference]) -> list[Preference]:
    return list(preferences.pairs if isinstance(preferences, PreferenceSet) else preferences)


def _sum(items: Sequence[PairItem]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(repr(dataclasses.astuple(item)).encode())
    return digest.hexdigest()


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


# From preferences to token ids

Spell = Callable[[Preference], "PairItem | str"]


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
        classifier = open_classifier(name, settings)
        return classifier, classifier_speller(classifier, _text_item)
    folder = Path(name)
    if not (folder / SETTINGS_FILE).is_file() and (folder / "model" / SETTINGS_FILE).is_file():
        folder = folder / "model"
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
        return model, _label_speller(codec)
    return model, _text_speller(model, max_new)


def _text_speller(model: RewardModel, max_new_tokens: int | None) -> Spell:
    def spell(pair: Preference) -> PairItem | str:
        if pair.chosen_output is not None or pair.rejected_output is not None:
            return "its outputs are labels; give the folder of a labeler as --model"
        chosen, rejected = map(model.prompts.target_ids, (pair.chosen, pair.rejected))
        if max_new_tokens is not None and max(len(chosen), len(rejected)) > max_new_tokens:
            return f"an output has more than the generator's {max_new_tokens} tokens"
        prompt = model.conversation_ids(pair.messages) if pair.messages else None
        if prompt is None:
            prompt = model.prompts.input_ids(pair.prompt, limit=model.max_prompt_tokens)
        return _item(pair, prompt, chosen, rejected)

    return spell


def _label_speller(codec: Codec) -> Spell:
    def spell(pair: Preference) -> PairItem | str:
        if pair.example is None or pair.chosen_output is None or pair.rejected_output is None:
            return "a labeler is judged on candidates of labelled examples, not on texts"
        if len(pair.example.words) > codec.max_words:
            return f"the text has more words than one window of the labeler ({codec.max_words})"
        targets = [
            codec.encode(pair.example, output)
            for output in (pair.chosen_output, pair.rejected_output)
        ]
        if targets[0] is None or targets[1] is None:
            return "an output cannot be written in the label format"
        chosen, rejected = list(targets[0].tokens), list(targets[1].tokens)
        return _item(pair, codec.input_ids(pair.example), chosen, rejected)

    return spell


def _item(
    pair: Preference, prompt: list[int], chosen: list[int], rejected: list[int]
) -> PairItem | str:
    if chosen == rejected:
        return "chosen and rejected are the same tokens"
    better, worse = pair.chosen_reward, pair.rejected_reward
    if better is None or worse is None:
        better, worse = 1.0, 0.0
    return PairItem(prompt, chosen, rejected, better, worse)


def _text_item(pair: Preference, chosen: list[int], rejected: list[int]) -> PairItem | str:
    if chosen == rejected:
        return "chosen and rejected are the same tokens"
    return TextPairItem([], chosen, rejected, 1.0, 0.0, pair.prompt, pair.chosen, pair.rejected)


def pair_items(
    pairs: Sequence[Preference], spell: Spell, model: RewardModel | ClassifierReward
) -> tuple[list[PairItem], list[str]]:
    """The items of preferences, and a line on each pair that cannot be used."""
    limit = position_limit(model.backbone) if isinstance(model, RewardModel) else None
    items: list[PairItem] = []
    missed: list[str] = []
    for pair in pairs:
        item = spell(pair)
        if not isinstance(item, str) and limit is not None:
            needed = len(item.input_ids) + max(len(item.chosen), len(item.rejected))
            if needed > limit:
                item = f"{needed} tokens of prompt and output, but the model has {limit} positions"
        if isinstance(item, str):
            missed.append(f"{pair.source}: {item}")
        else:
            items.append(item)
    return items, missed


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
        stage,
        context,
        order=order,
        collate=lambda indices, step: [items[index] for index in indices],
        loss_of=pair_loss,
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


def pair_loss(
    model: RewardModel | ClassifierReward, items: Sequence[Any], *, is_measured: bool = False
) -> Tensor:
    """Loss [B] of the model's kind on pairs; all prefixes of both outputs in one pass.

    The prompt that two outputs share is run once. A classifier reads whole outputs.

    Args:
        is_measured: leave out what is no measure: the consistency of kind "vocabulary", whose
            target is the model's own and moves as it learns.
    """
    if isinstance(model, ClassifierReward):
        return text_pair_loss(model, items)
    inputs = [item.input_ids for item in items] * 2
    outputs = [item.chosen for item in items] + [item.rejected for item in items]
    size = len(items)
    more: dict[str, Tensor] = {}
    if model.kind == "vocabulary" and not is_measured:
        rewards, best, is_real = model.rewards_and_best_next(inputs, outputs)
        more = {"chosen_next": best[:size], "rejected_next": best[size:]}
    else:
        rewards, is_real = model.prefix_rewards(inputs, outputs)
    if model.kind in ("value", "rad"):
        more = {
            "chosen_reward": rewards.new_tensor([item.chosen_reward for item in items]),
            "rejected_reward": rewards.new_tensor([item.rejected_reward for item in items]),
        }
    objective = REWARD_OBJECTIVES[OBJECTIVE_OF[model.kind]]
    return objective(rewards[:size], rewards[size:], is_real[:size], is_real[size:], **more)


@torch.no_grad()
def measure_pairs(
    model: RewardModel | ClassifierReward, items: Sequence[PairItem], *, batch_size: int = 64
) -> dict[str, float]:
    """Minus the mean loss on pairs, and the share of pairs that the model orders right."""
    model.eval()
    losses: list[float] = []
    for part in _batches(items, batch_size):
        losses += pair_loss(model, part, is_measured=True).tolist()
    accuracy = pair_report(pair_scores(model, items, batch_size=batch_size))["accuracy"]
    return {"minus_loss": -sum(losses) / len(losses), "accuracy": accuracy}


@torch.no_grad()
def pair_scores(
    model: RewardModel | ClassifierReward, items: Sequence[Any], *, batch_size: int = 64
) -> list[PairScores]:
    """The rewards of all prefixes of the outputs of pairs, in the order of the items."""
    if isinstance(model, ClassifierReward):
        return text_pair_scores(model, items, batch_size=batch_size)
    model.eval()
    found: dict[int, PairScores] = {}
    order = sorted(range(len(items)), key=lambda i: len(items[i].chosen) + len(items[i].rejected))
    for places in _batches(order, batch_size):
        part = [items[place] for place in places]
        inputs = [item.input_ids for item in part] * 2
        outputs = [item.chosen for item in part] + [item.rejected for item in part]
        rewards = model.prefix_rewards(inputs, outputs)[0].tolist()
        for row, (place, item) in enumerate(zip(places, part, strict=True)):
            found[place] = PairScores(
                rewards[row][: len(item.chosen)],
                rewards[len(part) + row][: len(item.rejected)],
                n_shared(item.chosen, item.rejected),
            )
    return [found[place] for place in range(len(items))]


def _batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[first : first + size] for first in range(0, len(items), size)]
