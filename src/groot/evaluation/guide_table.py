"""The table of `groot compare-guides`: what each guide wrote, how good it is and what it cost.

The unit of every standard error, interval and test is the prompt: samples of one prompt are not
independent. Missing rewards are left out, never counted as 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from groot.errors import ShapeError
from groot.evaluation.diversity import distinct_n, self_rouge_l
from groot.evaluation.significance import bootstrap_intervals, mean_of, paired_difference


@dataclass(frozen=True)
class GuideRun:
    """What one guide wrote for a list of prompts, and what that took.

    Args:
        texts: of each prompt, its samples.
        rewards: gold reward of each sample; None is missing.
        log_p: of each sample in nats under the frozen, unguided model, end included.
        n_tokens: tokens of each sample as the frozen model reads it, whoever wrote it: what log_p
            is the sum over.
        seconds: that writing took, without the gold reward.
        reward_calls: times that the guide's reward model ran.
        reward_tokens: tokens that it read behind the prompts.
        lm_tokens: tokens that the language model read behind the prompts; None where not counted.
    """

    texts: Sequence[Sequence[str]]
    rewards: Sequence[Sequence[float | None]]
    log_p: Sequence[Sequence[float]]
    n_tokens: Sequence[Sequence[int]]
    seconds: float
    reward_calls: int = 0
    reward_tokens: int = 0
    lm_tokens: int | None = None


def mean_rewards(run: GuideRun) -> NDArray[np.float64]:
    """[B] mean reward of the samples of each prompt; nan where all are missing."""
    known = [[value for value in row if value is not None] for row in run.rewards]
    return np.array([float(np.mean(row)) if row else np.nan for row in known])


def win_shares(run: GuideRun, baseline: GuideRun) -> NDArray[np.float64]:
    """[B] share of the pairs (a sample of the run, one of the baseline) that the run's wins.

    Ties count one half; nan where a side has no reward.

    Raises:
        ShapeError: if the two are not over the same number of prompts.
    """
    if len(run.rewards) != len(baseline.rewards):
        raise ShapeError(
            f"{len(run.rewards)} prompts against {len(baseline.rewards)}: a paired comparison needs"
            " the same prompts on both sides."
        )
    shares = []
    for ours, theirs in zip(run.rewards, baseline.rewards, strict=True):
        pairs = [(a, b) for a in ours if a is not None for b in theirs if b is not None]
        won = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs]
        shares.append(float(np.mean(won)) if won else np.nan)
    return np.array(shares)


def sign_test(shares: NDArray[np.float64]) -> float | None:
    """Two-sided p-value that prompts are won as often as lost; ties say nothing.

    A prompt is won where the share of its pairs that is won is over one half. None without a
    prompt that is either.

    >>> sign_test(np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.5]))  # 5 of 5: 2 / 32
    0.0625
    """
    won, lost = int((shares > 0.5).sum()), int((shares < 0.5).sum())
    if won + lost == 0:
        return None
    return float(stats.binomtest(won, won + lost).pvalue)


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """p-values that hold for all rows together; a missing one stays missing.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure (1979).

    >>> holm({"a": 0.01, "b": 0.04, "c": None})
    {'a': 0.02, 'b': 0.04, 'c': None}
    """
    known = sorted((p, name) for name, p in p_values.items() if p is not None)
    corrected: dict[str, float | None] = dict.fromkeys(p_values)
    highest = 0.0
    for place, (p, name) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - place) * p))
        corrected[name] = highest
    return corrected


def row_of(
    run: GuideRun,
    baseline: GuideRun | None = None,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
) -> dict[str, Any]:
    """The numbers of one row.

    Args:
        run: of the guide.
        baseline: what it is compared with, prompt by prompt; None for the baseline itself.

    Returns:
        reward, its standard_error and interval, over prompts; rouge_l between samples of a
        prompt and distinct_1, distinct_2 (mean over prompts; None with one sample each);
        fluency, nats per token under the frozen model; tokens, tokens_per_second,
        reward_calls_per_token, reward_tokens_per_token and lm_tokens_per_token, each per token of
        what was delivered, as the frozen model reads it; and where there is a baseline, difference
        with interval and
        permutation p_value, win_rate with interval and sign_p_value.
    """
    means = mean_rewards(run)
    known = means[~np.isnan(means)]
    tokens = sum(map(sum, run.n_tokens))
    row: dict[str, Any] = {
        "n_prompts": len(means),
        "n_samples": sum(map(len, run.texts)),
        "missing_rewards": sum(value is None for row in run.rewards for value in row),
        "reward": float(known.mean()) if known.size else None,
        "standard_error": _standard_error(known),
        "rouge_l": _mean(self_rouge_l(texts) for texts in run.texts),
        "distinct_1": _mean(distinct_n(texts, 1) for texts in run.texts if len(texts) > 1),
        "distinct_2": _mean(distinct_n(texts, 2) for texts in run.texts if len(texts) > 1),
        "fluency": sum(map(sum, run.log_p)) / tokens if tokens else None,
        "tokens": tokens,
        "words_per_text": _mean(len(text.split()) for texts in run.texts for text in texts),
        "seconds": run.seconds,
        "tokens_per_second": tokens / run.seconds if run.seconds > 0 else None,
        "reward_calls_per_token": run.reward_calls / tokens if tokens else None,
        "reward_tokens_per_token": run.reward_tokens / tokens if tokens else None,
        "lm_tokens_per_token": None
        if run.lm_tokens is None or not tokens
        else run.lm_tokens / tokens,
    }
    statistics = {"reward": mean_of(means)}
    if baseline is not None:
        shares = win_shares(run, baseline)
        statistics["win_rate"] = mean_of(shares)
        paired = paired_difference(
            mean_of(mean_rewards(baseline)), mean_of(means), seed=seed, n_resamples=n_resamples
        )
        row |= {
            "difference": paired.difference,
            "difference_interval": None if paired.low is None else [paired.low, paired.high],
            "p_value": paired.p_value,
            "win_rate": _or_none(statistics["win_rate"].estimate()),
            "sign_p_value": sign_test(shares),
        }
    ends = bootstrap_intervals(statistics, seed=seed, n_resamples=n_resamples)
    row["intervals"] = {
        name: None if interval is None else list(interval) for name, interval in ends.items()
    }
    return row


def guide_table(
    runs: Mapping[str, GuideRun],
    *,
    baseline: str = "top_k",
    seed: int = 0,
    n_resamples: int = 2000,
) -> dict[str, dict[str, Any]]:
    """The rows of all guides, in the order given; see `row_of`.

    `holm_p_value` of a row is its p_value corrected for the number of rows.

    Raises:
        ShapeError: if the runs are not over the same number of prompts.
    """
    base = runs.get(baseline)
    rows = {
        name: row_of(run, None if name == baseline else base, seed=seed, n_resamples=n_resamples)
        for name, run in runs.items()
    }
    corrected = holm({name: row["p_value"] for name, row in rows.items() if "p_value" in row})
    for name, p in corrected.items():
        rows[name]["holm_p_value"] = p
    return rows


def pairs_of(
    runs: Mapping[str, GuideRun], compared: Sequence[tuple[str, str]], *, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Tested claims "better > worse": difference, interval, p-value and win rate of each pair.

    Pairs of which one side has no run are left out. `holm_p_value` of a claim is its p_value
    corrected for the number of claims that are left.
    """
    wanted = ("difference", "difference_interval", "p_value", "win_rate", "sign_p_value")
    claims: dict[str, dict[str, Any]] = {}
    for better, worse in compared:
        if better in runs and worse in runs:
            row = row_of(runs[better], runs[worse], seed=seed)
            claims[f"{better} > {worse}"] = {name: row[name] for name in wanted}
    corrected = holm({name: claim["p_value"] for name, claim in claims.items()})
    return {name: {**claim, "holm_p_value": corrected[name]} for name, claim in claims.items()}


def _standard_error(values: NDArray[np.float64]) -> float | None:
    if len(values) < 2:
        return None
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
