"""The questions of `groot diagnose`, asked of tiny models."""

import json

import numpy as np
import pytest

from groot.errors import ConfigError, DataError
from groot.evaluation.prefixes import TENTHS, continuations
from groot.guides import Written
from groot.rewards import parse_rewards
from groot.studies.diagnose import DiagnosisSettings, Suspects, _best, diagnose
from groot.studies.guide_entries import make_entry
from groot.studies.prefix_pairs import PairedSamples, draw_pairs, prefix_worth


def test_diagnose_answers_every_question(generator, contenders, prompts, reward, tmp_path):
    guides = {name: make_entry(name, contenders).guide for name in ("pargs", "farma")}
    models = {kind: contenders.reward_models[kind] for kind in ("sequence", "partial")}
    found = diagnose(
        generator,
        prompts,
        reward,
        suspects=Suspects(models, guides),
        settings=DiagnosisSettings(n_samples=6, rollouts=2, seed=1),
        out=tmp_path,
    )
    assert [row["cut"] for row in found["continuations"]] == list(TENTHS)
    last = found["continuations"][-1]
    assert last["mean"]["better"] == last["best"]["better"] == 1.0  # the whole texts themselves
    assert last["mean"]["difference"] > 0
    assert set(found["ranks"]) == {"none", "pargs", "farma"}
    assert set(found["order"]) == set(found["spread"]) == set(models)
    assert 0 <= found["disagreement"]["sequence, partial"] <= 1
    assert 0 < found["n_pairs"] <= len(prompts)
    assert json.loads((tmp_path / "diagnosis.json").read_text())["n_pairs"] == found["n_pairs"]
    again = diagnose(
        generator, prompts, reward, settings=DiagnosisSettings(n_samples=6, rollouts=2, seed=1)
    )
    assert again["continuations"] == found["continuations"]
    assert again["ranks"]["none"] == found["ranks"]["none"]


def test_the_best_sample_is_the_first_of_those_with_the_highest_reward():
    texts = [Written((token,), 0.0, True) for token in (1, 2, 3, 4)]
    assert _best(texts, [0.0, 1.0, None, 1.0]) is texts[1]
    assert _best(texts, [None, -2.0, -1.0, None]) is texts[2]
    assert _best(texts, [None] * 4) is None


def test_diagnose_refuses_what_it_cannot_answer(generator, prompts):
    with parse_rewards(["length:0-99=0"]) as flat:
        with pytest.raises(DataError, match="have one reward"):
            diagnose(generator, prompts, flat, settings=DiagnosisSettings(n_samples=2))
        with pytest.raises(ConfigError, match="at least 2 samples"):
            DiagnosisSettings(n_samples=1)
        with pytest.raises(DataError, match="no prompts"):
            diagnose(generator, [], flat)


def test_what_chose_the_winner_is_not_tested_on(generator, prompts, reward):
    """A prefix that is the whole text has the very reward that made it win: no p-value there."""
    end = generator.prompts.end_id
    short = Written((5, 6, end), 0.0, True)
    long = Written((7, 8, 9, 10, 11, 12, 13, end), 0.0, True)
    pairs = draw_pairs([[short, long]] * 4, [[1.0, 0.0]] * 4)
    samples = PairedSamples(generator, prompts, pairs)
    worth = prefix_worth(samples, reward, rollouts=2, max_new_tokens=8, seed=1)
    # 3 tokens: 70 % of them are 2.1, so the whole text; 60 % are 2 tokens
    for side in (worth.winners, worth.losers):
        for text in side:
            lengths = [None if cut is None else len(cut) for cut in text]
            assert lengths == [2] * 6 + [None] * 3 + [1]
    rows = continuations(worth.winners, worth.losers)
    assert [row["n_pairs"] for row in rows] == [4] * 6 + [0] * 3 + [4]
    assert rows[-1]["mean"]["better"] == 1.0
    assert all(row[name]["p_value"] is None for row in rows[6:] for name in ("mean", "best"))
    steps = worth.spread()["by_step"]
    assert steps is None or len(steps) == 9


def test_pairs_whose_prefix_is_worth_nothing_are_significant_as_often_as_chance():
    """Rollouts that do not depend on the prefix: 5 % of the tests are below 5 %, or fewer."""
    random = np.random.default_rng(0)
    below = 0
    for _ in range(200):
        values = random.random((2, 30, 9, 2)).tolist()
        sides = [
            [[*text, [whole]] for text in side]
            for side, whole in zip(values, (1.0, 0.0), strict=True)
        ]
        rows = continuations(*sides)
        tested = [row[name]["holm_p_value"] for row in rows for name in ("mean", "best")]
        below += min(p for p in tested if p is not None) < 0.05
    assert below <= 20  # 10 are expected at most
