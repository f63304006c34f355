"""Free text by beams and diverse beams, guidable, proven where that is possible."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from groot.errors import ConfigError
from groot.guides.guide import Chooser, Guide, Prefixes, Written
from groot.models.step import evaluating
from groot.search.next_token import (
    OpenTexts,
    WritingModel,
    check_counts,
    empty_texts,
)


@dataclass(slots=True)
class _Prefix:
    """A text being written.

    Args:
        score: log-probability that orders the search, guided or not.
        log_p: under the model alone.
        row: of the batch that it, or what it continues, stands in.
    """

    score: float
    log_p: float
    tokens: tuple[int, ...]
    row: int


@dataclass(frozen=True, slots=True)
class _Continuations:
    """The best next tokens of each row: scores, log_p and tokens, [N][c] each."""

    scores: list[list[float]]
    log_p: list[list[float]]
    tokens: list[list[int]]

    def of_row(self, row: int) -> Iterator[tuple[float, float, int]]:
        """Score, log_p and token of each."""
        return zip(self.scores[row], self.log_p[row], self.tokens[row], strict=True)


@dataclass(slots=True)
class _Beam:
    """One group of beams of one input."""

    width: int
    open: list[_Prefix]
    done: list[tuple[_Prefix, bool]] = field(default_factory=list)
    lost: float = -math.inf

    def keep_done(self, prefix: _Prefix, is_finished: bool) -> None:
        self.done.append((prefix, is_finished))
        self.done.sort(key=lambda text: -text[0].score)
        del self.done[self.width :]

    def grow(
        self,
        best: _Continuations,
        taken: Counter[int],
        diversity: float,
        end_id: int,
        *,
        is_last: bool,
    ) -> None:
        """Continue the open texts by one token each; keep the best, and count their tokens.

        Args:
            best: continuations of each row.
            taken: how often earlier groups took each token.
            is_last: texts that are not finished now are cut.
        """
        grown: list[tuple[float, _Prefix]] = []
        for old in self.open:
            for score, log_p, token in best.of_row(old.row):
                if score > -math.inf:
                    new = _Prefix(
                        old.score + score, old.log_p + log_p, (*old.tokens, token), old.row
                    )
                    grown.append((new.score - diversity * taken[token], new))
        grown.sort(key=lambda pair: -pair[0])
        opened: list[_Prefix] = []
        for _, new in grown:
            if new.tokens[-1] == end_id:
                self.keep_done(new, True)
            elif len(opened) < self.width:
                opened.append(new)
            else:
                self.lost = max(self.lost, new.score)
        if is_last:
            for new in opened:
                self.keep_done(new, False)
            opened = []
        enough = self.done[-1][0].score if len(self.done) == self.width else -math.inf
        self.open = sorted((new for new in opened if new.score > enough), key=lambda new: new.row)
        taken.update(new.tokens[-1] for new in opened)


@torch.no_grad()
def beam_search(
    model: WritingModel,
    inputs: Sequence[Sequence[int]],
    *,
    k: int,
    max_new_tokens: int,
    groups: int = 1,
    diversity: float = 0.0,
    guide: Guide | None = None,
    batch_size: int = 64,
) -> list[list[Written]]:
    """The k best texts of each input that a beam of k finds, best first.

    Texts are ordered by log_p, without a length penalty; the search ends when no open text can
    still come among the k best. A text's log_p only falls as it grows, so the best prefix that was
    ever dropped bounds what was lost: where it is not above the k-th text, the result is proven
    (`Written.is_exact`) to be the top k of all texts of at most `max_new_tokens`.

    Args:
        inputs: token ids of each input.
        k: texts per input, and width of the beam.
        max_new_tokens: at which a text is cut, its end token counted.
        groups: equal groups that the beam is divided into, each searched apart from the others.
        diversity: nats taken off a token for each time that an earlier group of the same input
            takes it in the same step (Hamming diversity).
        guide: the search goes by its distribution, softmax of its scores over the candidates.
        batch_size: inputs searched together.

    Returns:
        for each input its texts, k where there are as many; those of all groups together, by log_p,
        or by the guided log-probability.

    Raises:
        ConfigError: for a setting that is out of its range.

    Source: Meister et al., Best-First Beam Search, 2020, for the bound; Vijayakumar et al., Diverse
    Beam Search, 2016, for the groups: as there, the penalty of a step plays no part in later ones.

    >>> from groot.models.embedded_text import make_text_model
    >>> model = make_text_model(["play it"], shape="causal", vocabulary_size=300, width=16, heads=2)
    >>> (texts,) = beam_search(model, [[3]], k=3, max_new_tokens=1)
    >>> [text.is_exact for text in texts]
    [True, True, True]
    """
    check_counts(k=k, max_new_tokens=max_new_tokens, batch_size=batch_size, groups=groups)
    if k % groups:
        raise ConfigError(f"{groups} groups cannot share {k} beams equally; choose k to fit.")
    if diversity < 0:
        raise ConfigError(f"diversity is {diversity}; it must be 0 or more.")
    if isinstance(guide, Chooser):
        raise ConfigError(f"guide {guide.name!r} chooses among samples; it cannot steer beams.")
    order = sorted(range(len(inputs)), key=lambda i: len(inputs[i]))
    written: list[list[Written]] = [[] for _ in inputs]
    with evaluating(model):
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            prefixes = empty_texts(inputs, batch, model.device)
            results = _search(model, prefixes, k, max_new_tokens, groups, diversity, guide)
            for i, result in zip(batch, results, strict=True):
                written[i] = result
    return written


def _search(
    model: WritingModel,
    prefixes: Prefixes,
    k: int,
    steps: int,
    groups: int,
    diversity: float,
    guide: Guide | None,
) -> list[list[Written]]:
    """The texts of one batch of inputs."""
    width = k // groups
    n_inputs = len(prefixes)
    beams = [
        [_Beam(width, [_Prefix(0.0, 0.0, (), row)]) for _ in range(groups)]
        for row in range(n_inputs)
    ]
    top_k = None if guide is None else guide.n_candidates
    texts = OpenTexts(model, prefixes, top_k=top_k, guide=guide)
    # of each text so many continuations are looked at: its ends, what earlier groups took, and one
    # more, which bounds the rest
    depth = 2 * width + (k if diversity else 0) + 1
    for step in range(steps):
        following = texts.next()
        policy = following.scores if guide is None else following.scores.log_softmax(1)
        values, places = policy.topk(min(depth, policy.shape[1]), dim=1)
        tokens = places if following.tokens is None else following.tokens.gather(1, places)
        log_p = following.log_p.gather(1, places)
        best = _Continuations(values.tolist(), log_p.tolist(), tokens.tolist())
        opened: list[_Prefix] = []
        for of_input in beams:
            taken: Counter[int] = Counter()
            for beam in of_input:
                beam.grow(best, taken, diversity, model.end_id, is_last=step + 1 == steps)
                opened += beam.open
        if not opened:
            break
        index = torch.tensor([prefix.row for prefix in opened], device=model.device)
        chosen = torch.tensor([prefix.tokens[-1] for prefix in opened], device=model.device)
        for row, prefix in enumerate(opened):
            prefix.row = row
        texts.advance(index, chosen)
    is_provable = guide is None and groups == 1
    return [_result(of_input, is_provable) for of_input in beams]


def _result(of_input: Sequence[_Beam], is_provable: bool) -> list[Written]:
    """The texts of one input, best first."""
    done = sorted((text for beam in of_input for text in beam.done), key=lambda t: -t[0].score)
    lost = max(beam.lost for beam in of_input)
    return [
        Written(prefix.tokens, prefix.log_p, is_finished, is_provable and prefix.score >= lost)
        for prefix, is_finished in done
    ]
