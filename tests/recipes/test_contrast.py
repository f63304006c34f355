import dataclasses

import pytest
import torch

from groot.data.candidates import CandidateRow
from groot.recipes.contrast import (
    ContrastCase,
    ContrastSettings,
    batch_of,
    contrast_cases,
    contrast_loss,
)
from groot.rollouts.store import Case
from groot.targets.grammar import EncodedTarget
from groot.types import Example


def row(text, reward, *, ends=True):
    return CandidateRow(
        "1", text, text if ends else None, reward=reward, rewards={"length": reward}
    )


def test_cases_hold_whole_texts_with_their_rewards(tiny_generator):
    generator = tiny_generator("causal")
    example = Example("play", reference="play nina", id="1")
    rows = (row("play", 0.5), row("play nina", 1.0), row("play nin", 0.0, ends=False))
    (case,) = contrast_cases(generator.notation, [Case(example, rows)])
    assert [list(target.tokens) for target in case.targets] == [
        generator.prompts.target_ids(text) for text in ("play", "play nina")
    ]
    assert case.rewards == (0.5, 1.0)
    assert case.gold == 1
    assert case.logs["reward"] == 0.75
    assert case.logs["rewards/length/mean"] == 0.75


def test_what_teaches_nothing_is_left_out(tiny_generator):
    generator = tiny_generator("causal")
    bare = Example("play", id="1")
    same, differing = (row("a", 1.0), row("b", 1.0)), (row("a", 1.0), row("b", None), row("c", 0.0))
    assert contrast_cases(generator.notation, [Case(bare, same)]) == []
    (case,) = contrast_cases(generator.notation, [Case(bare, differing)])
    assert case.gold is None
    assert case.rewards == (1.0, None, 0.0)


# The loss, worked by hand

LOG_P = torch.tensor([[-2.0, -3.0, -8.0], [-1.0, -4.0, 0.0]])  # the last is padding


def mean_of_known(log_p, rewards, is_real):
    """An objective that is easy to work out: the mean of reward * log_p over what is real."""
    return (rewards * log_p * is_real).sum(1) / is_real.sum(1)


def batch():
    """Texts of 2, 3 and 4 decisions, and of 1 and 2: the second example has no gold."""
    target = {size: EncodedTarget.free([5] * size) for size in (1, 2, 3, 4)}
    example = Example("play")
    first = (target[2], target[3], target[4])
    cases = [
        ContrastCase(example, first, (1.0, None, 0.5), gold=1, mbr=2, logs={"reward": 0.75}),
        ContrastCase(example, (target[1], target[2]), (2.0, 0.0), gold=None, mbr=1),
    ]
    return batch_of(cases, [[1], [1]], ["reward"])


def settings(contrast=0.0, nll=0.0, mbr=0.0):
    return ContrastSettings(
        objective=mean_of_known,
        contrast_weight=contrast,
        nll_weight=nll,
        mbr_weight=mbr,
        batch_size=2,
        learning_rate=1.0,
        embedding_rate=1.0,
    )


NLL = [3 / 3, 0.0]  # of the gold, 3 nats over 3 decisions; there is none in the second
MBR = [8 / 4, 4 / 2]
CONTRAST = [(1.0 * -2 + 0.5 * -8) / 2, (2.0 * -1 + 0.0) / 2]  # a missing reward takes no part


@pytest.mark.parametrize(("contrast", "nll", "mbr"), [(1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 3, 0.5)])
def test_the_loss_is_the_weighted_sum_of_its_terms(contrast, nll, mbr):
    terms = contrast_loss(LOG_P, batch(), settings(contrast, nll, mbr))
    weights = torch.tensor([contrast, nll, mbr], dtype=torch.float32)
    wanted = weights @ torch.tensor([CONTRAST, NLL, MBR])
    torch.testing.assert_close(terms.loss, wanted)
    torch.testing.assert_close(terms.logs["nll"], torch.tensor(NLL))
    if contrast:
        torch.testing.assert_close(terms.logs["contrast"], torch.tensor(CONTRAST))
    if mbr:
        torch.testing.assert_close(terms.logs["mbr_nll"], torch.tensor(MBR))


def test_what_is_not_asked_for_is_not_computed_and_numbers_of_rewards_are_handed_on():
    def never(log_p, rewards, is_real):
        raise AssertionError("the objective has no weight")

    terms = contrast_loss(LOG_P, batch(), dataclasses.replace(settings(nll=1.0), objective=never))
    assert set(terms.logs) == {"nll", "reward"}
    torch.testing.assert_close(
        terms.logs["reward"], torch.tensor([0.75, float("nan")]), equal_nan=True
    )
