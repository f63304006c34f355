"""A row's marks change with everything that it is made of, and with nothing else."""

import copy
import dataclasses

import pytest

from groot.engine.marks import differences
from groot.guides import GUIDES
from groot.reward_models.prefix_model import RewardModel
from groot.reward_models.reward_compositions import RewardEnsemble
from groot.studies.guide_entries import make_entry
from groot.studies.guide_marks import Marker, mark_of_module
from groot.studies.guide_writing import Entry, WritingSettings
from groot.writer.generator import Generator


@pytest.fixture(scope="module")
def marks(generator, prompts, reward):
    """Call it with an entry, and a frozen generator where it is another one."""

    def made(entry, frozen=generator):
        return Marker().marks(frozen, entry, prompts, reward, WritingSettings())

    return made


def steered(generator, model):
    return Entry(generator, GUIDES["pargs"](model), top_k=5)


def test_the_same_contents_in_other_objects_have_the_same_marks(marks, make_generator, generator):
    first = steered(generator, RewardModel(generator.model, "partial"))
    twin = make_generator()
    second = steered(twin, RewardModel(twin.model, "partial"))
    twin.prompts.tokenizer(["play", "play it again"], padding=True, truncation=True, max_length=2)
    twin.model.config._name_or_path = "elsewhere"
    assert differences(marks(first), marks(second, frozen=twin)) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"top_k": 6}, "top_k was 5"),
        ({"temperature": 0.5}, "temperature was 1.0"),
        ({"guide": None}, "guides was"),
    ],
)
def test_how_an_entry_draws_counts(marks, generator, change, why):
    entry = steered(generator, RewardModel(generator.model, "partial"))
    found = differences(marks(entry), marks(dataclasses.replace(entry, **change)))
    assert any(why in line for line in found)


def test_what_a_config_says_counts_where_the_weights_are_the_same(make_generator):
    model = make_generator().model
    before = mark_of_module(model)
    model.config.layer_norm_epsilon *= 2
    assert mark_of_module(model) != before


def test_how_prompts_are_read_counts(marks, generator):
    for settings in ({"separator": "||"}, {"max_prompt_tokens": 19}):
        given = {"max_prompt_tokens": 20, "max_new_tokens": 8, **settings}
        other = Generator(generator.model, **given)
        before, now = (marks(Entry(writer)) for writer in (generator, other))
        assert differences(before, now) == ["the generator that writes: changed"]


def test_what_a_reward_model_is_beside_its_weights_counts(marks, generator):
    plain = RewardModel(generator.model, "partial")
    before = marks(steered(generator, plain))
    for settings in ({"separator": "||"}, {"max_prompt_tokens": 5}):
        other = RewardModel(generator.model, "partial", **settings)
        found = differences(before, marks(steered(generator, other)))
        assert found == ["the reward model of guide 1: changed"]
    kinds = [mark_of_module(RewardModel(generator.model, kind)) for kind in ("partial", "sequence")]
    assert kinds[0] != kinds[1]


def test_how_an_ensemble_is_made_counts(marks, contenders, generator):
    model = contenders.reward_models["partial"]
    ensembles = [
        RewardEnsemble([model, model], how=how, penalty=penalty)
        for how, penalty in (("mean", 0.5), ("worst", 0.5), ("uncertainty", 0.5))
    ]
    ensembles.append(RewardEnsemble([model, model], how="uncertainty", penalty=0.7))
    ensembles.append(RewardEnsemble([model], how="mean", penalty=0.5))
    found = [
        marks(
            make_entry("pargs", dataclasses.replace(contenders, reward_models={"partial": made}))
        ).mark
        for made in ensembles
    ]
    assert len(set(found)) == len(ensembles)


def test_each_part_of_a_sum_counts(marks, contenders, generator):
    first, second = (make_entry(name, contenders).guide for name in ("pargs", "cd"))
    sums = [first + second, second + first, first + copy.copy(first)]
    assert len({marks(Entry(generator, both)).mark for both in sums}) == 3
    assert marks(Entry(generator, first + GUIDES["grammar"](lambda ids: None))) is None
