"""Free text from a model that decodes step by step: samples, beams and diverse beams, all guidable.

Texts that are finished leave the batch. A sample's random numbers are a function of the seed, its
input, its number and the step, so that neither the batch size nor the order of the inputs changes
what is drawn.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from groot.errors import ConfigError, ModelError
from groot.search.guides.guide import Chooser, Guide, Prefixes, Written
from groot.search.step import StepModel

__all__ = ["WritingModel", "Written", "beam_search", "sample"]


class WritingModel(StepModel, Protocol):
    """A model that decodes step by step and knows how a text ends; `models.TextModel` is one."""

    end_id: int


@torch.no_grad()
def sample(
    model: WritingModel,
    inputs: Sequence[Sequence[int]],
    *,
    n: int = 1,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int,
    guide: Guide | Chooser | None = None,
    batch_size: int = 64,
) -> list[list[Written]]:
    """Draw n texts for each input.

    The `top_k` most probable tokens are re-scored by the guide, divided by the temperature, cut to
    the nucleus `top_p`, and one is drawn.

    Args:
        inputs: token ids of each input.
        n: texts per input.
        max_new_tokens: at which a text is cut, its end token counted.
        temperature: of the distribution, guided or not; 0 takes the best token.
        top_k: candidates per token; None: as many as the guide asks for, or all.
        top_p: share of the probability that is kept, the most probable tokens first; in (0, 1].
        seed: of the random numbers.
        guide: re-scores the candidates, or chooses among whole samples, of which it gets as many
            as it asks for.
        batch_size: texts written together.

    Returns:
        for each input, in the order given, its n texts.

    Raises:
        ConfigError: for a setting that is out of its range.

    >>> from groot.models.embedded_text import make_text_model
    >>> model = make_text_model(["play it"], shape="causal", vocabulary_size=300, width=16, heads=2)
    >>> drawn = sample(model, [[3], [4, 5]], n=2, max_new_tokens=6, seed=1)
    >>> [[len(text.tokens) <= 6 and text.log_p < 0 for text in some] for some in drawn]
    [[True, True], [True, True]]
    """
    _check(n=n, max_new_tokens=max_new_tokens, batch_size=batch_size)
    if not 0 <= temperature < math.inf:
        raise ConfigError(f"temperature is {temperature}; it must be 0 (greedy) or more.")
    if top_k is not None and top_k < 1:
        raise ConfigError(f"top_k is {top_k}; it must be 1 or more, or None for all tokens.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ConfigError(
            f"top_p is {top_p}; it must be above 0 and at most 1. For greedy decoding, set"
            " temperature to 0."
        )
    n_samples = n * guide.n_samples if isinstance(guide, Chooser) else n
    if n_samples > 1 and temperature == 0:
        raise ConfigError(
            f"temperature 0 would write the same text {n_samples} times; set it above 0, or ask"
            " for one text."
        )
    rescorer = guide if isinstance(guide, Guide) else None
    if top_k is None and rescorer is not None:
        top_k = rescorer.n_candidates
    keys = _sample_keys(inputs, n_samples, seed)
    todo = sorted(range(len(keys)), key=lambda i: (len(inputs[i // n_samples]), i))
    written: list[Written | None] = [None] * len(keys)
    was_training = model.training
    model.train(False)
    try:
        for first in range(0, len(todo), batch_size):
            batch = todo[first : first + batch_size]
            texts = _write(
                model,
                _rows_of(inputs, [i // n_samples for i in batch], model.device),
                _uniforms(keys[batch], max_new_tokens).to(model.device),
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                guide=rescorer,
            )
            for i, text in zip(batch, texts, strict=True):
                written[i] = text
    finally:
        model.train(was_training)
    drawn = [text for text in written if text is not None]
    if isinstance(guide, Chooser):
        groups = [drawn[i : i + guide.n_samples] for i in range(0, len(drawn), guide.n_samples)]
        drawn = guide.choose([inputs[i // n] for i in range(len(groups))], groups)
    return [drawn[i : i + n] for i in range(0, len(drawn), n)]


def _check(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}; it must be 1 or more.")


def _rows_of(
    inputs: Sequence[Sequence[int]], examples: Sequence[int], device: torch.device
) -> Prefixes:
    """Empty texts of the given inputs, each of which is listed once."""
    places: dict[int, int] = {}
    rows = [places.setdefault(example, len(places)) for example in examples]
    return Prefixes(
        [inputs[example] for example in places],
        torch.tensor(rows, device=device),
        torch.zeros((len(rows), 0), dtype=torch.long, device=device),
    )


# --- random numbers ---------------------------------------------------------------------------

U64 = np.uint64


def _mix(x: np.ndarray) -> np.ndarray:
    """The finisher of SplitMix64 (Steele, Lea and Flood, 2014) on unsigned 64-bit numbers."""
    x = (x ^ (x >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> U64(27))) * U64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> U64(31)))


def _sample_keys(inputs: Sequence[Sequence[int]], n: int, seed: int) -> np.ndarray:
    """[len(inputs) * n] one key per sample, from what the input says, not from where it stands."""
    seen: Counter[tuple[int, ...]] = Counter()
    words = []
    for ids in inputs:
        text = tuple(ids)
        said = np.array([seed, seen[text], *text], dtype=np.int64).tobytes()
        words.append(int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "little"))
        seen[text] += 1  # the same input again is another example
    keys = np.array(words, dtype=U64)[:, None]
    return _mix(keys + _mix(np.arange(1, n + 1, dtype=U64))[None]).reshape(-1)


def _uniforms(keys: np.ndarray, steps: int) -> Tensor:
    """[N, steps] numbers in [0, 1) for samples with keys [N]."""
    mixed = _mix(keys[:, None] + _mix(np.arange(1, steps + 1, dtype=U64))[None])
    # 40 bits, so that no product with a number in double precision rounds up to that number
    return torch.from_numpy((mixed >> U64(24)).astype(np.float64) * 2.0**-40)


# --- one step ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Step:
    """What may come next in N texts: [N, c] each; without tokens, candidate i is token i."""

    log_p: Tensor
    scores: Tensor
    tokens: Tensor | None


def _candidates(
    model: WritingModel,
    hidden: Tensor,
    prefixes: Prefixes,
    *,
    top_k: int | None,
    guide: Guide | None,
    state: Any,
) -> tuple[_Step, Any]:
    """The candidates for the next token of each text, re-scored by the guide."""
    logits = model.logits(hidden).float()
    total = logits.logsumexp(-1, keepdim=True)
    open_ = logits
    if guide is not None:
        is_allowed = guide.allowed(prefixes, state)
        if is_allowed is not None:
            missing = logits.shape[1] - is_allowed.shape[1]
            is_allowed = torch.nn.functional.pad(is_allowed, (0, missing), value=False)
            open_ = logits.masked_fill(~is_allowed, -math.inf)
    tokens = None
    if top_k is not None and top_k < logits.shape[1]:
        open_, tokens = open_.topk(top_k, dim=1)
    log_p = open_ - total
    if guide is None:
        return _Step(log_p, log_p, tokens), state
    asked = tokens
    if asked is None:
        asked = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    scores, state = guide.rescore(log_p, asked, prefixes, state)
    return _Step(log_p, scores, tokens), state


def _draw(scores: Tensor, uniforms: Tensor, temperature: float, top_p: float | None) -> Tensor:
    """[N] places drawn from softmax(scores [N, c] / temperature), cut to the nucleus."""
    if temperature == 0:
        return scores.argmax(1)
    p = (scores / temperature).softmax(1)
    if top_p is not None and top_p < 1:
        ordered, order = p.sort(dim=1, descending=True, stable=True)
        is_kept = ordered.cumsum(1) - ordered < top_p
        p = p.masked_fill(~torch.empty_like(is_kept).scatter(1, order, is_kept), 0.0)
    reached = p.double().cumsum(1)
    # the first place above: one of probability 0 adds nothing, so it is never the first
    above = torch.searchsorted(reached, uniforms[:, None] * reached[:, -1:], right=True)
    return above[:, 0]


def _write(
    model: WritingModel,
    prefixes: Prefixes,
    uniforms: Tensor,
    *,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    guide: Guide | None,
) -> list[Written]:
    """One sampled text for each empty prefix, by random numbers [N, steps]."""
    device, (n_rows, steps) = model.device, uniforms.shape
    tokens = torch.full((n_rows, steps), model.end_id, device=device)
    log_p = torch.zeros(n_rows, dtype=torch.float64, device=device)
    lengths = torch.full((n_rows,), steps, device=device)
    is_finished = torch.zeros(n_rows, dtype=torch.bool, device=device)
    open_ = torch.arange(n_rows, device=device)
    decoding, hidden = model.begin(model.encode(prefixes.inputs), prefixes.rows, prefixes.tokens)
    state = None if guide is None else guide.begin(prefixes.inputs, prefixes.rows)
    for step in range(steps):
        found, state = _candidates(
            model, hidden[:, -1], prefixes, top_k=top_k, guide=guide, state=state
        )
        _refuse_dead_ends(found.scores)
        place = _draw(found.scores, uniforms[open_, step], temperature, top_p)[:, None]
        chosen = (place if found.tokens is None else found.tokens.gather(1, place))[:, 0]
        tokens[open_, step] = chosen
        log_p[open_] += found.log_p.gather(1, place)[:, 0].double()
        ends = chosen == model.end_id
        index = (~ends).nonzero()[:, 0]
        if len(index) < len(open_):
            over = open_[ends]
            is_finished[over], lengths[over] = True, step + 1
            open_, chosen = open_[index], chosen[index]
            if len(open_) and step + 1 < steps:
                decoding.reorder(index)
        if len(open_) == 0 or step + 1 == steps:
            break
        if guide is not None:
            state = guide.follow(state, index, chosen)
        prefixes = Prefixes(prefixes.inputs, prefixes.rows[index], tokens[open_, : step + 1])
        hidden = decoding.advance(chosen[:, None])
    return [
        Written(tuple(row[:length]), value, finished)
        for row, length, value, finished in zip(
            tokens.tolist(), lengths.tolist(), log_p.tolist(), is_finished.tolist(), strict=True
        )
    ]


def _refuse_dead_ends(scores: Tensor) -> None:
    best = scores.amax(1)
    if not bool(best.isfinite().all()):
        raise ModelError(
            "no token can come next in a text: its scores hold NaN, or -inf for each candidate."
            " Check the model's weights, the rewards of the guide, and that its grammar always"
            " leaves a token to write."
        )


# --- beams ------------------------------------------------------------------------------------


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


@dataclass(slots=True)
class _Beam:
    """One group of beams of one input."""

    width: int
    open: list[_Prefix]
    done: list[tuple[_Prefix, bool]] = field(default_factory=list)
    lost: float = -math.inf

    def keep_done(self, prefix: _Prefix, is_finished: bool) -> None:
        self.done.append((prefix, is_finished))
        self.done.sort(key=lambda one: -one[0].score)
        del self.done[self.width :]

    def grow(
        self,
        next_: tuple[list[list[float]], list[list[float]], list[list[int]]],
        taken: Counter[int],
        diversity: float,
        end_id: int,
        *,
        is_last: bool,
    ) -> None:
        """Continue the open texts by one token each; keep the best, and count their tokens.

        Args:
            next_: scores, log_p and tokens of the best continuations of each row.
            taken: how often earlier groups took each token.
            is_last: texts that are not finished now are cut.
        """
        grown: list[tuple[float, _Prefix]] = []
        for old in self.open:
            some = zip(*(values[old.row] for values in next_), strict=True)
            for score, log_p, token in some:
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
    >>> (found,) = beam_search(model, [[3]], k=3, max_new_tokens=1)
    >>> [text.is_exact for text in found]
    [True, True, True]
    """
    _check(k=k, max_new_tokens=max_new_tokens, batch_size=batch_size, groups=groups)
    if k % groups:
        raise ConfigError(f"{groups} groups cannot share {k} beams equally; choose k to fit.")
    if diversity < 0:
        raise ConfigError(f"diversity is {diversity}; it must be 0 or more.")
    if isinstance(guide, Chooser):
        raise ConfigError(f"guide {guide.name!r} chooses among samples; it cannot steer beams.")
    order = sorted(range(len(inputs)), key=lambda i: len(inputs[i]))
    found: list[list[Written]] = [[] for _ in inputs]
    was_training = model.training
    model.train(False)
    try:
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            prefixes = _rows_of(inputs, batch, model.device)
            results = _search(model, prefixes, k, max_new_tokens, groups, diversity, guide)
            for i, result in zip(batch, results, strict=True):
                found[i] = result
    finally:
        model.train(was_training)
    return found


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
    decoding, hidden = model.begin(model.encode(prefixes.inputs), prefixes.rows, prefixes.tokens)
    state = None if guide is None else guide.begin(prefixes.inputs, prefixes.rows)
    # of each text so many continuations are looked at: its ends, what earlier groups took, and one
    # more, which bounds the rest
    depth = 2 * width + (k if diversity else 0) + 1
    for step in range(steps):
        found, state = _candidates(
            model,
            hidden[:, -1],
            prefixes,
            top_k=None if guide is None else guide.n_candidates,
            guide=guide,
            state=state,
        )
        _refuse_dead_ends(found.scores)
        policy = found.scores if guide is None else found.scores.log_softmax(1)
        values, places = policy.topk(min(depth, policy.shape[1]), dim=1)
        tokens = places if found.tokens is None else found.tokens.gather(1, places)
        next_ = (values.tolist(), found.log_p.gather(1, places).tolist(), tokens.tolist())
        opened: list[_Prefix] = []
        for of_input in beams:
            taken: Counter[int] = Counter()
            for beam in of_input:
                beam.grow(next_, taken, diversity, model.end_id, is_last=step + 1 == steps)
                opened += beam.open
        if not opened:
            break
        index = torch.tensor([prefix.row for prefix in opened], device=model.device)
        chosen = torch.tensor([prefix.tokens[-1] for prefix in opened], device=model.device)
        for row, prefix in enumerate(opened):
            prefix.row = row
        if guide is not None:
            state = guide.follow(state, index, chosen)
        prefixes = Prefixes(
            prefixes.inputs,
            prefixes.rows[index],
            torch.cat([prefixes.tokens[index], chosen[:, None]], dim=1),
        )
        decoding.reorder(index)
        hidden = decoding.advance(chosen[:, None])
    is_provable = guide is None and groups == 1
    return [_result(of_input, is_provable) for of_input in beams]


def _result(of_input: Sequence[_Beam], is_provable: bool) -> list[Written]:
    """The texts of one input, best first."""
    done = sorted((one for beam in of_input for one in beam.done), key=lambda one: -one[0].score)
    lost = max(beam.lost for beam in of_input)
    return [
        Written(prefix.tokens, prefix.log_p, is_finished, is_provable and prefix.score >= lost)
        for prefix, is_finished in done
    ]
