"""Generate and correct: what candidates a round has, and how they are kept."""

from __future__ import annotations

import dataclasses
import random

import pytest

from groot.config import load_config
from groot.errors import DataError
from groot.recipes.contrast import best_expected, blended, contrast_cases, without_contrast
from groot.recipes.make_writer import make_labeler
from groot.rewards import parse_rewards
from groot.rollouts.corrected import shortened
from groot.rollouts.instances import Variation, example_of_words, training_instances
from groot.rollouts.sampler import Generation, Sampler
from groot.rollouts.store import EXPECTED, read_cases, texts_file, write_cases

TEXTS = [
    example_of_words(["play", "nina", "simone"], [(1, 3, "artist")]),
    example_of_words(["fly", "to", "paris", "in", "may"], [(2, 3, "city"), (4, 5, "date")]),
    example_of_words(["nothing", "here"], []),
]


@pytest.fixture(scope="module")
def labeler():
    return make_labeler(load_config(settings=["model.width=32"]), TEXTS)


@pytest.fixture(scope="module")
def cases(labeler):
    with parse_rewards(["f0.5"]) as reward:
        return sampled(labeler, reward, [0, 1, 2])


def sampled(labeler, reward, indices, num_candidates=4, per_example=12):
    instances, _ = training_instances(labeler.notation, TEXTS)
    generation = Generation(2, num_candidates, per_example, seed=3)
    variation = Variation(labeler.notation, instances)
    return Sampler(labeler, variation, reward, generation).cases(instances, indices)


def test_each_case_has_its_gold_once_and_no_output_twice(cases):
    for case in cases:
        outputs = [row.output for row in case.rows]
        assert outputs.count(case.example.gold) == 1
        assert len(set(outputs)) == len(outputs) <= 12
        gold = next(row for row in case.rows if row.output == case.example.gold)
        assert gold.reward == 1.0
        assert gold.source == "gold"


def test_corrections_name_their_parent_and_what_they_mended(cases):
    corrected = [(case, row) for case in cases for row in case.rows if row.source == "corrected"]
    assert corrected
    for case, row in corrected:
        assert row.note
        assert row.log_p is None
        assert case.rows[row.parent].source in ("search", "gold")


def test_the_expected_reward_is_the_mean_over_the_searched_by_likelihood(cases):
    from groot.outputs.choose import expected_rewards

    with parse_rewards(["f0.5"]) as reward:
        for case in cases:
            wanted = expected_rewards(case.example, [row.candidate for row in case.rows], reward)
            assert [row.rewards[EXPECTED] for row in case.rows] == pytest.approx(wanted)


def test_cases_survive_the_round_trip(cases, tmp_path):
    path = tmp_path / "round-2.parquet"
    write_cases(path, cases)
    again = read_cases(path)
    assert [case.rows for case in again] == [case.rows for case in cases]
    assert [case.example.gold for case in again] == [case.example.gold for case in cases]
    assert [case.example.id for case in again] == ["round-2:0", "round-2:1", "round-2:2"]
    texts_file(path).unlink()
    by_id = [case.example for case in cases]
    assert [case.rows for case in read_cases(path, by_id)] == [case.rows for case in cases]


def test_the_same_seed_makes_the_same_candidates_whoever_makes_them(labeler, cases):
    with parse_rewards(["f0.5"]) as reward:
        alone = [sampled(labeler, reward, [index])[0] for index in range(3)]
    for one, other in zip(alone, cases, strict=True):
        assert [row.output for row in one.rows] == [row.output for row in other.rows]


def test_contrast_cases_learn_the_blend_and_leave_out_what_teaches_nothing(labeler, cases):
    spelled = contrast_cases(labeler.notation, cases, gold_share=0.25)
    assert len(spelled) == 3
    for case, short in zip(cases, spelled, strict=True):
        row = case.rows[short.gold]
        assert row.output == case.example.gold
        wanted = 0.25 * row.reward + 0.75 * row.rewards[EXPECTED]
        assert short.rewards[short.gold] == pytest.approx(wanted)
    assert blended(0.5, None, 0.5) == 0.5
    assert blended(None, 0.5, 0.5) is None


@pytest.mark.parametrize(("searched", "room"), [(16, 14), (8, 14), (4, 2)])
def test_room_is_for_corrections_and_what_was_searched_always_stays(labeler, searched, room):
    with parse_rewards(["f0.5"]) as reward:
        for case in sampled(labeler, reward, [0, 1, 2], searched, room):
            n_searched = sum(row.log_p is not None for row in case.rows)
            n_targets = len(labeler.candidates([case.example], searched)[0])
            assert n_searched == min(searched, n_targets)  # MBR weighs all of them
            assert sum(row.output == case.example.gold for row in case.rows) == 1
            assert len(case.rows) <= max(room, n_searched + 1)


def test_candidates_of_other_weights_are_refused(cases, tmp_path):
    path = tmp_path / "round-2.parquet"
    write_cases(path, cases, weights="those")
    assert len(read_cases(path, weights="those")) == len(read_cases(path)) == 3
    with pytest.raises(DataError, match="were written by other weights"):
        read_cases(path, weights="others")
    write_cases(path, cases)  # without a stamp nobody can say whose they are
    with pytest.raises(DataError, match="were written by other weights"):
        read_cases(path, weights="those")


def test_shortened_outputs_say_one_less():
    rng = random.Random(0)
    assert sorted(shortened(("a", "b", "c"), 9, rng)) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert len(shortened(("a", "b", "c"), 2, rng)) == 2
    assert shortened((), 2, rng) == shortened(None, 2, rng) == shortened("text", 2, rng) == []


def test_distillation_keeps_the_gold_and_the_choice_of_mbr(labeler, cases):
    spelled = contrast_cases(labeler.notation, cases)
    assert [best_expected(case.rows) for case in cases] == [case.mbr for case in spelled]
    for case, full, lean in zip(cases, spelled, without_contrast(spelled), strict=True):
        expected = [row.rewards[EXPECTED] for row in case.rows]
        assert expected[full.mbr] == max(expected)
        assert lean.targets[lean.gold] == full.targets[full.gold]
        assert lean.targets[lean.mbr] == full.targets[full.mbr]
        assert len(lean.targets) == len({full.gold, full.mbr})


def test_what_is_expected_of_no_candidate_cannot_be_chosen(cases):
    rows = [dataclasses.replace(row, rewards={EXPECTED: None}) for row in cases[0].rows]
    assert best_expected(rows) is None
    assert best_expected([]) is None
