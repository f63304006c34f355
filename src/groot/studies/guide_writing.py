"""What one way of writing writes for prompts: texts, their rewards, fluency, and what it cost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from groot.errors import DataError
from groot.evaluation.guide_table import GuideRun
from groot.guides import Chooser, Guide, Written
from groot.models.text_scoring import token_log_p
from groot.rewards import Reward
from groot.search.sampling import sample
from groot.studies.counted import Counted, CountedWriter
from groot.types import Candidate, Example
from groot.writer.generator import Generator


@dataclass(frozen=True)
class Entry:
    """One row of the table: who writes, and how.

    Args:
        generator: the frozen one, or a tuned one.
        guide: steers it, or chooses among its samples; None for neither.
        temperature: 0 is greedy, and writes one text for each prompt.
        top_k: tokens that are drawn from; None: as many as the guide asks for, or all.
        costs: count the work of the guide's reward models, or of a tuned model that stands for
            one.
        lm_costs: count the work of the language model inside the guide.
        title: what tables call the row; "" takes its name.
        settings: what the row is, for the record.
    """

    generator: Generator
    guide: Guide | Chooser | None = None
    temperature: float = 1.0
    top_k: int | None = None
    costs: Sequence[Counted] = ()
    lm_costs: Sequence[CountedWriter] = ()
    title: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WritingSettings:
    """How entries write.

    Args:
        n_samples: texts for each prompt, of the entries that sample.
        max_new_tokens: of each text, its end included; None takes the frozen generator's.
        seed: of the samples, and of what is drawn in tests and intervals.
        batch_size: texts written together.
    """

    n_samples: int = 4
    max_new_tokens: int | None = None
    seed: int = 0
    batch_size: int = 64

    def limit(self, generator: Generator) -> int:
        """Tokens of a text at most."""
        return self.max_new_tokens or generator.max_new_tokens

    def n_samples_of(self, entry: Entry) -> int:
        """How many texts an entry writes for each prompt; a greedy one would repeat itself."""
        return 1 if entry.temperature == 0 else self.n_samples


def write_run(
    frozen: Generator,
    entry: Entry,
    examples: Sequence[Example],
    reward: Reward,
    settings: WritingSettings,
) -> GuideRun:
    """What one entry writes; only the writing is timed.

    Args:
        frozen: the model under which fluency is measured, and whose tokens are counted.
        entry: who writes.
        examples: the prompts, with whatever the reward needs.
        reward: judges the texts.
        settings: how many texts, how long, and from which seed.
    """
    generator = entry.generator
    inputs = [generator.input_ids(example.text) for example in examples]
    writer = CountedWriter(generator.model)

    def write(some_inputs: Sequence[Sequence[int]], n: int) -> list[list[Written]]:
        limit = settings.limit(frozen)
        return sample(writer, some_inputs, n=n, max_new_tokens=limit, **_drawing(entry, settings))

    write(inputs[:1], 1)  # the first call of anything is slow, and not what is asked about
    lm_costs = (writer, *entry.lm_costs)
    calls_before = sum(counted.calls for counted in entry.costs)
    tokens_before = sum(counted.tokens for counted in entry.costs)
    lm_tokens_before = sum(counted.tokens for counted in lm_costs)
    start = time.perf_counter()
    written = write(inputs, settings.n_samples_of(entry))
    seconds = time.perf_counter() - start
    log_p, n_tokens = read_by_frozen(
        frozen, generator, examples, written, batch_size=settings.batch_size
    )
    return GuideRun(
        texts=[[generator.prompts.text(text.tokens) for text in texts] for texts in written],
        rewards=gold_rewards(generator, examples, written, reward),
        log_p=log_p,
        n_tokens=n_tokens,
        seconds=seconds,
        reward_calls=sum(counted.calls for counted in entry.costs) - calls_before,
        reward_tokens=sum(counted.tokens for counted in entry.costs) - tokens_before,
        lm_tokens=sum(counted.tokens for counted in lm_costs) - lm_tokens_before,
    )


def mean_reward_of(
    entry: Entry,
    examples: Sequence[Example],
    reward: Reward,
    settings: WritingSettings | None = None,
) -> float:
    """Mean reward of one text for each prompt.

    Raises:
        DataError: if no text has a reward.
    """
    settings = settings or WritingSettings()
    generator = entry.generator
    inputs = [generator.input_ids(example.text) for example in examples]
    limit = settings.limit(generator)
    drawing = _drawing(entry, settings)
    written = sample(generator.model, inputs, max_new_tokens=limit, **drawing)
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
            Candidate(text, text if sample.is_finished else None, sample.log_p, source="sample")
            for sample in samples
            for text in [generator.prompts.text(sample.tokens)]
        ]
        for samples in written
    ]
    return reward.score(examples, candidates)


@torch.no_grad()
def read_by_frozen(
    frozen: Generator,
    writer: Generator,
    examples: Sequence[Example],
    written: Sequence[Sequence[Written]],
    *,
    batch_size: int = 64,
) -> tuple[list[list[float]], list[list[int]]]:
    """How likely the frozen model finds texts, and in how many tokens it reads them.

    The texts of a writer with another tokenizer are spelled anew in the frozen model's tokens.

    Args:
        frozen: the model that reads.
        writer: the one that wrote.
        examples: the prompts.
        written: the texts of each prompt.
        batch_size: texts read together.

    Returns:
        of each text its log_p in nats, and how many tokens that is the sum over, its end among
        them where the text has one.
    """
    if writer is frozen:
        return (
            [[text.log_p for text in texts] for texts in written],
            [[len(text.tokens) for text in texts] for texts in written],
        )
    is_same = have_same_tokens(frozen, writer)

    def spelled(text: Written) -> Sequence[int]:
        if is_same:
            return text.tokens
        ids = frozen.prompts.target_ids(writer.prompts.text(text.tokens))
        return ids if text.is_finished else ids[:-1]

    spellings = [[spelled(text) for text in texts] for texts in written]
    frozen.model.eval()
    log_p: list[list[float]] = [[0.0] * len(texts) for texts in spellings]
    flat = [
        (row, place, ids)
        for row, texts in enumerate(spellings)
        for place, ids in enumerate(texts)
        if ids
    ]
    for first in range(0, len(flat), batch_size):
        batch = flat[first : first + batch_size]
        used = sorted({row for row, _, _ in batch})
        index = {row: at for at, row in enumerate(used)}
        token_values, _ = token_log_p(
            frozen.model,
            [frozen.input_ids(examples[row].text) for row in used],
            [ids for _, _, ids in batch],
            [index[row] for row, _, _ in batch],
        )
        for (row, place, _), value in zip(batch, token_values.sum(1).tolist(), strict=True):
            log_p[row][place] = value
    return log_p, [[len(ids) for ids in texts] for texts in spellings]


def have_same_tokens(first: Any, second: Any) -> bool:
    """Whether two models spell texts with the same ids."""
    tokenizers = first.prompts.tokenizer, second.prompts.tokenizer
    return tokenizers[0] is tokenizers[1] or (
        tokenizers[0].get_vocab() == tokenizers[1].get_vocab()
    )


def _drawing(entry: Entry, settings: WritingSettings) -> dict[str, Any]:
    """How `sample` draws the texts of an entry."""
    return {
        "temperature": entry.temperature,
        "top_k": entry.top_k,
        "guide": entry.guide,
        "seed": settings.seed,
        "batch_size": settings.batch_size,
    }
