"""What a guide learns from: the frozen labeler's candidates, their rewards, and its states."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import torch
from torch import Tensor

from groot.engine.events import OnEvent, StageFinished, StageStarted, StepDone
from groot.engine.ledger import text_hash
from groot.models.scoring import asked_states, collate_targets
from groot.outputs.choose import Choice
from groot.outputs.items import Counts, count_by_label
from groot.outputs.votes import rewards_by_vote, votes_of, without_gold
from groot.rewards import Reward
from groot.targets.grammar import EncodedTarget
from groot.types import Candidate, Example
from groot.writer.labeler import Labeler

TEXTS_AT_A_TIME = 64


@dataclass(frozen=True, slots=True)
class RewardedText:
    """An example with those of its candidates that have a reward, best log_p first."""

    example: Example
    candidates: Sequence[Candidate]


@dataclass(frozen=True, slots=True)
class SteerTable:
    """The candidates of N texts, and the frozen labeler's states before each of their labels.

    Args:
        texts: N names, equal for equal texts.
        log_p, rewards: [N, K]; -inf and 0 in padding.
        counts: [N, K, 3] what each candidate has right, wrong and missing; 0 in padding.
        pairs: [N, K, K] reward of each candidate (last) with each as gold; nan where missing.
        states: [Q, d + 1] decoder states of mean squared length 1, and a constant; each once.
        place: [N, K, S] the state before each label.
        column: [N, K, S] the label, as a column of `codec.choice_ids`.
        is_label: [N, K, S] False for padding.
        n_labels: columns that any label has, A.
        scale: what the states were divided by.
    """

    texts: tuple[str, ...]
    log_p: Tensor
    rewards: Tensor
    counts: Tensor
    pairs: Tensor
    states: Tensor
    place: Tensor
    column: Tensor
    is_label: Tensor
    n_labels: int
    scale: float

    def of_texts(self, is_kept: Tensor) -> SteerTable:
        """The table of some of the texts, with the states that they need."""
        asked, place = self.place[is_kept].unique(return_inverse=True)
        of_text = ("log_p", "rewards", "counts", "pairs", "column", "is_label")
        return dataclasses.replace(
            self,
            **{name: getattr(self, name)[is_kept] for name in of_text},
            texts=tuple(compress(self.texts, is_kept.tolist())),
            states=self.states[asked],
            place=place,
        )

    def added_by(self, head: Tensor) -> Tensor:
        """Reward [N, K] that a head [A, d + 1] adds to each candidate."""
        by_label = self.states @ head.T  # [Q, A]
        added = by_label.flatten()[self.place * by_label.shape[1] + self.column]
        return added.masked_fill(~self.is_label, 0.0).sum(2)

    def expected(self, scores: Tensor) -> Tensor:
        """Reward [N, K] expected where softmax(scores) are the candidates' probabilities.

        -inf where nothing is known.
        """
        p, is_known = scores.softmax(1)[:, :, None], ~self.pairs.isnan()
        known = (p * is_known).sum(1)
        total = (p * self.pairs.nan_to_num(0.0)).sum(1)
        return torch.where(known > 0, total / known, -torch.inf)

    def first(self, scores: Tensor, choose: Choice) -> Tensor:
        """[N] which candidate comes first by scores [N, K]."""
        return (self.expected(scores) if choose == "mbr" else scores).argmax(1)


def rewarded_texts(
    labeler: Labeler, examples: Sequence[Example], reward: Reward, *, k: int, events: OnEvent
) -> list[RewardedText]:
    """The texts with their k best candidates; what has no reward is left out."""
    started = time.perf_counter()
    events(StageStarted("candidates", len(examples)))
    texts: list[RewardedText] = []
    for first in range(0, len(examples), 4 * TEXTS_AT_A_TIME):
        part = examples[first : first + 4 * TEXTS_AT_A_TIME]
        searched = labeler.candidates(part, k=k, max_width=0)
        for example, candidates, values in zip(
            part, searched, reward.score(part, searched), strict=True
        ):
            rewarded = [
                dataclasses.replace(candidate, reward=value)
                for candidate, value in zip(candidates, values, strict=True)
                if value is not None
            ]
            if rewarded:
                texts.append(RewardedText(example, rewarded))
        events(StepDone("candidates", min(first + len(part), len(examples)), len(examples)))
    events(StageFinished("candidates", time.perf_counter() - started))
    return texts


@torch.no_grad()
def steer_table(labeler: Labeler, texts: Sequence[RewardedText], reward: Reward) -> SteerTable:
    """The candidates of texts as tensors; puts the labeler's model into evaluation mode."""
    n, k = len(texts), max(len(text.candidates) for text in texts)
    slots = max(labeler.form.slots(text.example) for text in texts)
    place = torch.zeros((n, k, slots), dtype=torch.long)
    column, is_label = torch.zeros_like(place), torch.zeros((n, k, slots), dtype=torch.bool)
    states: list[Tensor] = []
    n_states = 0
    by_length = sorted(range(n), key=lambda row: len(texts[row].example.words))
    for first in range(0, n, TEXTS_AT_A_TIME):
        rows = by_length[first : first + TEXTS_AT_A_TIME]
        labels = _labels_of(labeler, [texts[row] for row in rows])
        places = [(row, rank) for row in rows for rank in range(len(texts[row].candidates))]
        text, rank = torch.tensor(places).T
        width = labels.place.shape[1]
        place[text, rank, :width] = labels.place + n_states
        column[text, rank, :width] = labels.column
        is_label[text, rank, :width] = labels.is_label
        states.append(labels.states)
        n_states += len(labels.states)
    every = torch.cat(states)
    scale = float(every.square().sum(1).mean().sqrt())
    return SteerTable(
        texts=tuple(text_hash(text.example.text) for text in texts),
        **_numbers(texts, reward, k),
        states=torch.cat([every / scale, torch.ones(len(every), 1)], dim=1),
        place=place * is_label,
        column=column * is_label,
        is_label=is_label,
        n_labels=int((column * is_label).max()) + 1,
        scale=scale,
    )


@dataclass(frozen=True, slots=True)
class _Labels:
    """The labels of M candidates: states [Q, d], and place, column, is_label [M, S]."""

    states: Tensor
    place: Tensor
    column: Tensor
    is_label: Tensor


def _labels_of(labeler: Labeler, texts: Sequence[RewardedText]) -> _Labels:
    codec, model = labeler.codec, labeler.model.eval()
    choice_ids = codec.choice_ids.to(model.device)
    targets: list[EncodedTarget] = []
    rows: list[int] = []
    for row, text in enumerate(texts):
        for candidate in text.candidates:
            assert candidate.output is not None  # search writes legal targets only
            target = codec.encode(text.example, candidate.output)
            assert target is not None
            targets.append(target)
            rows.append(row)
    batch = collate_targets(model, targets, rows)
    hidden, place = asked_states(model, [codec.input_ids(text.example) for text in texts], batch)
    column = torch.searchsorted(choice_ids, batch.tokens.gather(1, batch.decisions))
    column = column.clamp(max=len(choice_ids) - 1)
    return _Labels(hidden.float().cpu(), place.cpu(), column.cpu(), batch.is_decision.cpu())


def _numbers(texts: Sequence[RewardedText], reward: Reward, k: int) -> dict[str, Tensor]:
    """log_p, rewards, counts and pairs of a `SteerTable`."""
    n = len(texts)
    log_p, rewards = torch.full((n, k), -torch.inf), torch.zeros((n, k))
    counts = torch.zeros((n, k, 3), dtype=torch.long)
    for row, text in enumerate(texts):
        for rank, candidate in enumerate(text.candidates):
            log_p[row, rank] = candidate.log_p or 0.0
            rewards[row, rank] = candidate.reward or 0.0
            if reward.metric is not None:
                by_label = count_by_label(text.example.gold, candidate.output)
                counts[row, rank] = torch.tensor([*sum(by_label.values(), start=Counts())])
    pairs = torch.full((n, k, k), torch.nan)
    matrices = rewards_by_vote(
        reward,
        [without_gold(text.example) for text in texts],
        [text.candidates for text in texts],
        [votes_of(text.candidates) for text in texts],
    )
    for row, matrix in enumerate(matrices):
        pairs[row, : len(matrix), : len(matrix)] = torch.from_numpy(matrix)
    return {"log_p": log_p, "rewards": rewards, "counts": counts, "pairs": pairs}
