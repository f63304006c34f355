"""Dev measurements, split over the processes of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from groot.engine.batches import share_of_process
from groot.evaluation.corpus_metrics import f_beta
from groot.outputs.items import Counts, count_by_label
from groot.recipes.fit import likelihood
from groot.rewards import Reward
from groot.rollouts.instances import Instance
from groot.types import Candidate, Example
from groot.writer.writer import Writer

Result = TypeVar("Result")


def over_processes(
    work: Callable[[list[int]], list[Result]], count: int, accelerator: Accelerator
) -> list[Result]:
    """Results of `work` for the numbers below count, each process doing its share, all getting all.

    Args:
        work: takes indices and returns a result for each.
    """
    processes = accelerator.num_processes
    own = work(share_of_process(range(count), accelerator.process_index, processes))
    return list(gather_object(own)) if processes > 1 else own


def on_main(work: Callable[[], Any], accelerator: Accelerator) -> Any:
    """What `work` returns on the main process, given to all processes."""
    if accelerator.num_processes == 1:
        return work()
    box = [work() if accelerator.is_main_process else None]
    return broadcast_object_list(box)[0]


def reward_numbers(
    writer: Writer, examples: Sequence[Example], reward: Reward, accelerator: Accelerator, *, k: int
) -> dict[str, float]:
    """The numbers of a writer's top k on dev, as a user would get them, searched once."""
    candidates = over_processes(
        lambda own: writer.candidates([examples[index] for index in own], k, max_width=0),
        len(examples),
        accelerator,
    )
    numbers = on_main(lambda: dev_numbers(examples, candidates, reward), accelerator)
    return dict(numbers)


def likelihood_numbers(
    writer: Writer, instances: Sequence[Instance], accelerator: Accelerator
) -> dict[str, float]:
    """The likelihood of dev gold: mean log_p of a decision in nats, and perplexity."""
    sums = over_processes(
        lambda own: [likelihood(writer.model, writer.notation, [instances[i] for i in own])],
        len(instances),
        accelerator,
    )
    return perplexity_numbers(sum(part[0] for part in sums), sum(part[1] for part in sums))


def perplexity_numbers(log_p: float, decisions: int) -> dict[str, float]:
    """The mean log_p of a decision, and perplexity, from their sums.

    >>> perplexity_numbers(-20.0, 10)["perplexity"]  # exp(2)
    7.38905609893065
    """
    mean = log_p / max(1, decisions)
    return {"log_p_per_token": mean, "perplexity": math.exp(min(-mean, 700.0))}


def dev_numbers(
    examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]], reward: Reward
) -> dict[str, float]:
    """Numbers of rank 1 and the top k: what picks a checkpoint and what a log shows.

    Returns:
        "reward" (mean at rank 1), "reward_top_k" (mean over all ranks), "f1" where the task has
        one, "metric": the reward's form over the whole set, or else the mean reward; and "both":
        metric + reward_top_k.
    """
    rewards = reward.score(examples, [list(ranked) for ranked in candidates])
    firsts = [row[0] for row in rewards if row and row[0] is not None]
    every = [value for row in rewards for value in row if value is not None]
    numbers = {
        "reward": sum(firsts) / len(firsts) if firsts else 0.0,
        "reward_top_k": sum(every) / len(every) if every else 0.0,
    }
    total = Counts()
    for example, ranked in zip(examples, candidates, strict=True):
        predicted = ranked[0].output if ranked else None
        total = sum(count_by_label(example.gold, predicted).values(), start=total)
    f1 = f_beta(total)
    if f1 is not None:
        numbers["f1"] = f1
    metric = reward.metric(total) if reward.metric is not None else None
    numbers["metric"] = numbers["reward"] if metric is None else metric
    numbers["both"] = numbers["metric"] + numbers["reward_top_k"]
    return numbers
