"""Steer a frozen labeler: a reward of partial targets, learnt from labelled texts it did not see.

The labeler stays as it is. On its own decoder states a linear head learns what each label adds to
the reward of a prefix, so that log_p + reward puts the candidates with the highest reward first:

    minimise  - sum over texts of sum over k of softmax(log_p + r)[k] * reward[k]
              + strength * |head|^2

Texts of the training set teach little here: a model that knows them by heart makes few of its usual
mistakes on them. So the texts are held out, few, and the head is small. Penalty and weight of the
guide, and whether the most probable or the best expected candidate (MBR) comes first under it, are
chosen by cross-validation, and with caution: of all whose mean reward is within one standard error
of the best, the lightest weight. Few texts tell the best from the second best by chance, and texts
of tomorrow are never quite like them.

DIR/guide          the guide, for groot predict --guide
DIR/results.json   rewards, unguided and guided, each text under a head that did not learn from it
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groot.data.benchmarks import Split
from groot.engine.events import OnEvent, StageFinished, StageStarted, StepDone, ignore_events
from groot.engine.files import write_folder, write_json
from groot.errors import ConfigError, DataError
from groot.evaluation.significance import (
    SumStatistic,
    mean_of,
    metric_of,
    paired_difference,
)
from groot.guides.pargs import Pargs
from groot.guides.saved_guides import save_guide
from groot.models.labeler_settings import labeler_folder
from groot.models.scoring import asked_states, collate_targets
from groot.outputs.choose import Choice
from groot.outputs.items import Counts, count_by_label
from groot.outputs.votes import rewards_by_vote, votes_of, without_gold
from groot.reward_models.prefix_model import RewardModel
from groot.rewards import Reward
from groot.search.label_tables import tables_of
from groot.search.steered_search import check_takes_guides
from groot.studies.labelled_data import LabelledData
from groot.targets.grammar import EncodedTarget
from groot.types import Candidate, Example
from groot.writer.labeler import Labeler
from groot.writer.labeler import load as load_labeler

logger = logging.getLogger(__name__)

GUIDE, RESULTS_FILE = "guide", "results.json"
TEXTS_AT_A_TIME = 64
CHOICES: tuple[Choice, ...] = ("top", "mbr")
_Entry = tuple[float, float, Choice]  # strength, weight, and what comes first


@dataclass(frozen=True, slots=True)
class SteerSettings:
    """How a labeler's guide is learnt.

    Args:
        num_candidates: searched per text.
        strengths: of the penalty on the head, tried by cross-validation.
        weights: of the guide, tried by cross-validation.
        folds: of the cross-validation.
        iterations: of L-BFGS at most.
    """

    num_candidates: int = 16
    strengths: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3)
    weights: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
    folds: int = 5
    iterations: int = 30

    def __post_init__(self) -> None:
        if self.num_candidates < 2 or self.folds < 2 or self.iterations < 1:
            raise ConfigError(
                f"num_candidates={self.num_candidates} and folds={self.folds} must be 2 or more,"
                f" iterations={self.iterations} 1 or more."
            )
        for name in ("strengths", "weights"):
            values = getattr(self, name)
            if not values or min(values) <= 0:
                raise ConfigError(f"{name}={values}: want at least one, each above 0.")


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of N texts, and the frozen labeler's states before each of their labels.

    Args:
        log_p, rewards: [N, K]; -inf and 0 in padding.
        pairs: [N, K, K] reward of each candidate (last) with each as gold; nan where missing.
        states: [Q, d + 1] decoder states of mean squared length 1, and a constant; each once.
        place: [N, K, S] the state before each label.
        column: [N, K, S] the label, as a column of `codec.choice_ids`.
        is_label: [N, K, S] False for padding.
        scale: what the states were divided by.
    """

    log_p: Tensor
    rewards: Tensor
    pairs: Tensor
    states: Tensor
    place: Tensor
    column: Tensor
    is_label: Tensor
    scale: float

    def added(self, head: Tensor) -> Tensor:
        """Reward [N, K] of each candidate under a head [A, d + 1]."""
        of_state = self.states @ head.T  # [Q, A]
        added = of_state.flatten()[self.place * of_state.shape[1] + self.column]
        return added.masked_fill(~self.is_label, 0.0).sum(2)

    def expected(self, scores: Tensor) -> Tensor:
        """Reward [N, K] expected where softmax(scores) are the candidates' probabilities.

        -inf where nothing is known.
        """
        p, is_known = scores.softmax(1)[:, :, None], ~self.pairs.isnan()
        known = (p * is_known).sum(1)
        total = (p * self.pairs.nan_to_num(0.0)).sum(1)
        return torch.where(known > 0, total / known, -torch.inf)

    def first(self, scores: Tensor, choice: Choice) -> Tensor:
        """[N] which candidate comes first by scores [N, K]."""
        return (self.expected(scores) if choice == "mbr" else scores).argmax(1)


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
        folder: of a run or a labeler.
        data: labelled texts that it was not trained on: a file, a folder or a benchmark.
        out: folder for the guide and its numbers; what is there is replaced.
        split: of a benchmark or a folder of splits.
        reward_specs: what is maximised; None is what the labeler was optimised for.
        settings: None for the defaults.
        events: told what happens.

    Returns:
        what results.json holds, see `learn_guide`.

    Raises:
        DataError: if the data cannot be read, or no text of it can be learnt from.
    """
    labeler = load_labeler(labeler_folder(folder))
    examples = LabelledData(data, split=split).read().examples
    with labeler.reward(reward_specs) as reward:
        guide, results = learn_guide(labeler, examples, reward, settings=settings, events=events)
    results = {"reward": reward.name, "data": str(data), "split": split, **results}
    out.mkdir(parents=True, exist_ok=True)
    with write_folder(out / GUIDE) as place:
        save_guide(guide, place, choose=results["choose"], reward=reward_specs)
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
        the guide, and its numbers: "texts", "left_out", "seconds"; the chosen "strength", "weight"
        and "choose" ("top" or "mbr", which takes softmax(log_p + weight * reward) for the
        probability of a candidate); "tried", the cross-validated mean "reward" and "metric" (where
        there is one) of all of these; "unguided", and cross-validated "guided" under the chosen
        strength and weight, each by "top" and "mbr"; "difference" of what was chosen and the most
        probable unguided candidate, with interval and p-value; "metric", its name or None.

    Raises:
        DataError: if fewer texts than folds are left.
        ConfigError: for a labeler whose labels are not one token each.
    """
    settings = settings or SteerSettings()
    check_takes_guides(tables_of(labeler.codec, labeler.model.device))
    started = time.perf_counter()
    usable = [one for one in examples if 0 < len(one.words) <= labeler.window_words]
    if len(usable) < settings.folds:
        raise DataError(
            f"{len(usable)} texts of at most {labeler.window_words} words: too few to learn from in"
            f" {settings.folds} folds. Give more labelled texts."
        )
    usable, found = _rewarded(labeler, usable, reward, settings.num_candidates, events)
    if len(usable) < settings.folds:
        raise DataError(
            f"{len(usable)} texts have a candidate with a reward: too few to learn from in"
            f" {settings.folds} folds. See that the reward gives numbers."
        )
    learning = time.perf_counter()
    events(StageStarted("learn", len(settings.strengths)))
    held = _candidates(labeler, usable, found, reward)
    fold_of = torch.arange(len(usable)) % settings.folds
    added: dict[float, Tensor] = {}  # by heads that did not learn from the text
    for number, strength in enumerate(settings.strengths, start=1):
        added[strength] = torch.zeros_like(held.log_p)
        for fold in range(settings.folds):
            head = _fit(held, fold_of != fold, strength, settings.iterations)
            added[strength][fold_of == fold] = held.added(head)[fold_of == fold]
        events(StepDone("learn", number, len(settings.strengths)))
    measured = _Measures(held, reward, usable, found)
    tried = {
        (strength, weight, choice): measured.numbers(held.log_p + weight * added[strength], choice)
        for strength in settings.strengths
        for weight in settings.weights
        for choice in CHOICES
    }
    plain = measured.rewards(held.log_p, "top")
    strength, weight, choice = _cautious(
        {one: tried[one]["reward"] for one in tried},
        lambda one: measured.rewards(held.log_p + one[1] * added[one[0]], one[2]) - plain,
    )
    everything = torch.ones(len(usable), dtype=torch.bool)
    head = _fit(held, everything, strength, settings.iterations)
    guide = _guide(labeler, held, head, weight)
    before = measured.statistics(held.log_p, "top")
    after = measured.statistics(held.log_p + weight * added[strength], choice)
    spent = time.perf_counter() - learning
    events(StageFinished("learn", spent, {"guided": after["reward"].estimate()}))
    return guide, {
        "texts": len(usable),
        "left_out": len(examples) - len(usable),
        "strength": strength,
        "weight": weight,
        "choose": choice,
        "unguided": {choice: measured.numbers(held.log_p, choice) for choice in CHOICES},
        "guided": {choice: tried[strength, weight, choice] for choice in CHOICES},
        "difference": {
            name: paired_difference(before[name], after[name])._asdict() for name in before
        },
        "metric": None if reward.metric is None else reward.metric.name,
        "tried": [
            {"strength": s, "weight": w, "choose": c, **values}
            for (s, w, c), values in tried.items()
        ],
        "seconds": time.perf_counter() - started,
    }


def _rewarded(
    labeler: Labeler, examples: Sequence[Example], reward: Reward, k: int, events: OnEvent
) -> tuple[list[Example], list[list[Candidate]]]:
    """The texts with their k best candidates; what has no reward is left out."""
    started = time.perf_counter()
    events(StageStarted("candidates", len(examples)))
    texts: list[Example] = []
    found: list[list[Candidate]] = []
    for first in range(0, len(examples), 4 * TEXTS_AT_A_TIME):
        part = examples[first : first + 4 * TEXTS_AT_A_TIME]
        searched = labeler.candidates(part, k=k, max_width=0)
        rewards = reward.score(part, searched)
        for example, some, values in zip(part, searched, rewards, strict=True):
            scored = [
                dataclasses.replace(one, reward=value)
                for one, value in zip(some, values, strict=True)
                if value is not None
            ]
            if scored:
                texts.append(example)
                found.append(scored)
        events(StepDone("candidates", min(first + len(part), len(examples)), len(examples)))
    events(StageFinished("candidates", time.perf_counter() - started))
    return texts, found


@torch.no_grad()
def _candidates(
    labeler: Labeler,
    examples: Sequence[Example],
    found: Sequence[Sequence[Candidate]],
    reward: Reward,
) -> Candidates:
    codec, model = labeler.codec, labeler.model.eval()
    choice_ids = codec.choice_ids.to(model.device)
    n, k = len(examples), max(map(len, found))
    slots = max(labeler.form.slots(example) for example in examples)
    log_p, values = torch.full((n, k), -torch.inf), torch.zeros((n, k))
    pairs = torch.full((n, k, k), torch.nan)
    votes = [votes_of(some) for some in found]
    golds = [without_gold(example) for example in examples]
    for row, matrix in enumerate(rewards_by_vote(reward, golds, found, votes)):
        pairs[row, : len(matrix), : len(matrix)] = torch.from_numpy(matrix)
    place = torch.zeros((n, k, slots), dtype=torch.long)
    column, is_label = torch.zeros_like(place), torch.zeros((n, k, slots), dtype=torch.bool)
    states: list[Tensor] = []
    count = 0
    order = sorted(range(n), key=lambda i: len(examples[i].words))
    for first in range(0, n, TEXTS_AT_A_TIME):
        part = order[first : first + TEXTS_AT_A_TIME]
        targets: list[EncodedTarget] = []
        rows: list[tuple[int, int]] = []  # (text, candidate) of each target
        for text in part:
            for rank, candidate in enumerate(found[text]):
                assert candidate.output is not None  # search writes legal targets only
                target = codec.encode(examples[text], candidate.output)
                assert target is not None
                targets.append(target)
                rows.append((text, rank))
                log_p[text, rank] = candidate.log_p or 0.0
                values[text, rank] = candidate.reward or 0.0
        of_part = {text: row for row, text in enumerate(part)}
        batch = collate_targets(model, targets, [of_part[text] for text, _ in rows])
        inputs = [codec.input_ids(examples[text]) for text in part]
        hidden, before = asked_states(model, inputs, batch)
        said = torch.searchsorted(choice_ids, batch.tokens.gather(1, batch.decisions))
        width = batch.decisions.shape[1]
        at = torch.tensor(rows).T
        place[at[0], at[1], :width] = (before + count).cpu()
        column[at[0], at[1], :width] = said.clamp(max=len(choice_ids) - 1).cpu()
        is_label[at[0], at[1], :width] = batch.is_decision.cpu()
        states.append(hidden.float().cpu())
        count += len(hidden)
    every = torch.cat(states)
    scale = float(every.square().sum(1).mean().sqrt())
    every = torch.cat([every / scale, torch.ones(len(every), 1)], dim=1)
    place, column = place * is_label, column * is_label
    return Candidates(log_p, values, pairs, every, place, column, is_label, scale)


def _cautious(
    means: dict[_Entry, float], gains_of: Callable[[_Entry], NDArray[np.float64]]
) -> _Entry:
    """Of all entries within one standard error of the best mean: the lightest, the best of those.

    Args:
        means: reward under (strength, weight, choice).
        gains_of: [N] what each text gains under one.

    Source: the one-standard-error rule, Breiman et al., Classification and Regression Trees (1984).
    """
    best = max(means, key=lambda one: means[one])
    gains = gains_of(best)
    error = float(gains.std(ddof=1)) / len(gains) ** 0.5
    close = [one for one in means if means[one] >= means[best] - error]
    lightest = min(weight for _, weight, _ in close)
    return max((one for one in close if one[1] == lightest), key=lambda one: means[one])


def _fit(held: Candidates, is_used: Tensor, strength: float, iterations: int) -> Tensor:
    """The head [A, d + 1] of the lowest loss on some of the texts."""
    n_labels = int(held.column.max()) + 1
    head = torch.zeros((n_labels, held.states.shape[1]), requires_grad=True)
    optimizer = torch.optim.LBFGS([head], max_iter=iterations, line_search_fn="strong_wolfe")
    used = dataclasses.replace(
        held, place=held.place[is_used], column=held.column[is_used],
        is_label=held.is_label[is_used],
    )  # fmt: skip
    log_p, rewards = held.log_p[is_used], held.rewards[is_used]

    def loss() -> Tensor:
        optimizer.zero_grad()
        p = (log_p + used.added(head)).softmax(1)
        value: Tensor = strength * head.square().sum() - (p * rewards).sum()
        value.backward()
        return value

    optimizer.step(loss)
    return head.detach()


def _guide(labeler: Labeler, held: Candidates, head: Tensor, weight: float) -> Pargs:
    """The guide of a head: its reward model is the labeler with the head on it."""
    model = RewardModel(labeler.model, "additive")
    assert model.head is not None
    ids = labeler.codec.choice_ids[: len(head)]
    with torch.no_grad():
        model.head.weight[ids] = (head[:, :-1] / held.scale).to(model.head.weight)
        model.head.bias[ids] = head[:, -1].to(model.head.bias)
    return Pargs(model.eval(), weight=weight, temperature=0.0)


class _Measures:
    """What candidates that come first are worth: mean reward, and the metric where there is one."""

    def __init__(
        self,
        held: Candidates,
        reward: Reward,
        examples: Sequence[Example],
        found: Sequence[Sequence[Candidate]],
    ) -> None:
        self.held = held
        self.metric = reward.metric
        # [N, K, 3] what each candidate has right, wrong and missing; 0 in padding
        self.counts = np.zeros((*held.log_p.shape, 3), dtype=np.int64)
        if self.metric is not None:
            for row, (example, some) in enumerate(zip(examples, found, strict=True)):
                for rank, one in enumerate(some):
                    by_label = count_by_label(example.gold, one.output)
                    self.counts[row, rank] = tuple(sum(by_label.values(), start=Counts()))

    def rewards(self, scores: Tensor, choice: Choice) -> NDArray[np.float64]:
        """[N] of the candidates that come first by scores [N, K]."""
        first = self.held.first(scores, choice)
        return self.held.rewards.gather(1, first[:, None])[:, 0].double().numpy()

    def statistics(self, scores: Tensor, choice: Choice) -> dict[str, SumStatistic]:
        """Of the candidates that come first by scores [N, K]."""
        told = {"reward": mean_of(self.rewards(scores, choice))}
        if self.metric is not None:
            first = self.held.first(scores, choice).numpy()
            told["metric"] = metric_of(self.counts[np.arange(len(first)), first], self.metric)
        return told

    def numbers(self, scores: Tensor, choice: Choice) -> dict[str, float]:
        """The same as plain numbers."""
        return {name: one.estimate() for name, one in self.statistics(scores, choice).items()}
