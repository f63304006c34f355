"""Guides compared and diagnosed from Python: tiny models, numbers that can be told beforehand."""

import dataclasses
import json

import pytest
import torch

from groot.errors import ConfigError, DataError, ModelError, RewardError
from groot.evaluation.guide_table import ROWS
from groot.evaluation.prefixes import TENTHS
from groot.guides.guide import Prefixes, Written
from groot.models.loading import load_model
from groot.reward_models.classifier_reward import load_classifier
from groot.reward_models.prefix_model import RewardModel
from groot.reward_models.reward_compositions import RewardEnsemble
from groot.rewards import parse_rewards
from groot.rewards.compose import OwnPart, Reward
from groot.studies.compare_guides import (
    compare_guides,
    frozen_log_p,
    mean_reward_of,
)
from groot.studies.counted import CountedRewardModel
from groot.studies.diagnose import diagnose, draw_pairs
from groot.studies.guide_entries import Materials, check_names, choose_weights, make_entry
from groot.types import Example
from groot.writer.generator import Generator

EXAMPLES = [Example(text, id=text) for text in ("play nina", "book a table", "weather", "may")]


def reward_for_short(example, candidates):
    """One over the words of a text; a text without an end gets 0."""
    return [0.0 if one.output is None else 1 / (1 + len(one.text.split())) for one in candidates]


@pytest.fixture(scope="module")
def generator(make_model_folder, tmp_path_factory):
    folder = make_model_folder("gpt2", tmp_path_factory.mktemp("gpt2"))
    model = load_model(folder)
    with torch.no_grad():  # one token in six is the end, so that texts differ in length
        end = model.model.get_input_embeddings().weight[model.end_id]
        model.model.transformer.ln_f.bias += 4 * end / end.square().sum()
    return Generator(model, max_prompt_tokens=20, max_new_tokens=8)


@pytest.fixture(scope="module")
def materials(generator, make_model_folder, tmp_path_factory):
    backbone = load_model(make_model_folder("gpt2", tmp_path_factory.mktemp("rm")))
    kinds = ("sequence", "partial", "value", "rad", "vocabulary")
    models = {kind: RewardModel(backbone, kind).eval() for kind in kinds}
    return Materials(generator, models, {"dpo": generator, "grpo": generator}, n_best=3)


@pytest.fixture(scope="module")
def reward():
    with parse_rewards(["length:1-3"]) as found:
        yield found


@pytest.fixture(scope="module")
def compared(generator, materials, reward, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    entries = {name: make_entry(name, materials) for name in ROWS}
    found = compare_guides(generator, entries, EXAMPLES, reward, n_samples=2, seed=3, out=out)
    return out, found


def test_every_row_of_the_published_table_is_there(compared, materials):
    _, found = compared
    assert list(found["rows"]) == list(ROWS) == materials.available()
    for name, row in found["rows"].items():
        is_greedy = name in ("greedy", "args", "pargs_greedy", "deal")
        assert row["n_samples"] == len(EXAMPLES) * (1 if is_greedy else 2)
        assert 0 <= row["reward"] <= 1
        assert row["fluency"] < 0
        assert row["tokens"] >= row["n_samples"]
    assert found["claims"]["pargs > args"]["p_value"] <= 1


def test_the_cost_of_reward_models_is_counted(compared):
    rows = compared[1]["rows"]
    for name in ("top_k", "greedy", "mbr", "dpo", "grpo"):
        assert rows[name]["reward_calls_per_token"] == 0
    # ten candidates are read for each token that is written
    for name in ("args", "cd", "pargs", "pargs_greedy"):
        assert rows[name]["reward_tokens_per_token"] == pytest.approx(10, rel=0.15)
    assert rows["rad"]["reward_tokens_per_token"] == pytest.approx(20, rel=0.15)
    # a vocabulary head, or a tuned model, reads what was written, once, and never the last token
    for name in ("farma", "implicit"):
        assert 0.3 < rows[name]["reward_tokens_per_token"] < 1
    # three whole samples for each one that is kept
    assert 0.5 < rows["best_of_n"]["reward_tokens_per_token"] < 12
    assert rows["best_of_n"]["reward_calls_per_token"] < 1
    # the frozen model reads what it has written, never the last token; three times for three
    for name in ("top_k", "pargs", "farma", "dpo"):
        assert 0.3 < rows[name]["lm_tokens_per_token"] < 1
    assert 1 < rows["best_of_n"]["lm_tokens_per_token"] < 10
    # ten candidates, each read with the text before it and three of four tokens behind it
    assert rows["deal"]["lm_tokens_per_token"] >= 40


def test_what_was_written_is_not_written_again(compared, generator, materials, reward):
    out, found = compared
    again = compare_guides(
        generator,
        {name: make_entry(name, materials) for name in ("top_k", "pargs")},
        EXAMPLES,
        reward,
        n_samples=2,
        seed=3,
        out=out,
    )
    # seconds are those of the first time, which no second writing would hit
    assert again["rows"]["pargs"]["seconds"] == found["rows"]["pargs"]["seconds"]
    other = dataclasses.replace(materials, weights={"pargs": 0.5})
    anew = compare_guides(
        generator, {"pargs": make_entry("pargs", other)}, EXAMPLES, reward, seed=3, out=out
    )
    assert anew["rows"]["pargs"]["seconds"] != found["rows"]["pargs"]["seconds"]
    (out / "guides" / "pargs.json").write_text("{}")
    entries = {"pargs": make_entry("pargs", other)}
    assert compare_guides(generator, entries, EXAMPLES, reward, out=out)["rows"]["pargs"]


def test_weight_0_writes_what_the_unguided_model_writes(generator, materials, reward):
    still = dataclasses.replace(materials, weights={"pargs": 0.0})
    found = compare_guides(
        generator,
        {"top_k": make_entry("top_k", materials), "pargs": make_entry("pargs", still)},
        EXAMPLES,
        reward,
        n_samples=3,
    )
    assert [one["texts"]["pargs"] for one in found["examples"]] == [
        one["texts"]["top_k"] for one in found["examples"]
    ]
    assert found["rows"]["pargs"]["difference"] == 0
    assert found["rows"]["pargs"]["p_value"] == 1


def test_fluency_of_others_is_measured_under_the_frozen_model(generator):
    other = generator.with_model(generator.model)
    text = generator.prompts.target_ids("play it")
    written = [[Written(tuple(text), -99.0, True)]]
    (found,) = frozen_log_p(generator, other, EXAMPLES[:1], written)
    wanted = generator.score([EXAMPLES[0].text], [["play it"]])[0]
    assert found == pytest.approx(wanted, abs=1e-4)
    assert frozen_log_p(generator, generator, EXAMPLES[:1], written) == [[-99.0]]


def test_a_guide_that_wants_short_texts_gets_them(generator, materials):
    short = Reward([OwnPart("short", reward_for_short)])
    entry = make_entry("best_of_n", dataclasses.replace(materials, n_best=8))

    def judge(inputs, outputs):
        return torch.tensor([-float(len(one)) for one in outputs])

    entry.guide.reward = judge
    plain = mean_reward_of(make_entry("top_k", materials), EXAMPLES, short)
    assert mean_reward_of(entry, EXAMPLES, short) > plain


def test_all_guides_re_score_as_many_tokens_as_is_said(generator, materials):
    same = dataclasses.replace(materials, n_candidates=7)
    for name in ("args", "pargs", "pargs_greedy", "cd", "rad", "farma"):
        assert make_entry(name, same).guide.n_candidates == 7
    assert make_entry("rad", materials).guide.n_candidates == 20  # its own


@pytest.fixture(scope="module")
def other_tokens(make_model_folder, tmp_path_factory):
    """A backbone that spells texts in its own way."""
    backbone = load_model(make_model_folder("gpt2", tmp_path_factory.mktemp("other")))
    backbone.tokenizer.add_tokens(["play it"])
    return backbone


def test_a_reward_model_with_other_tokens_judges_texts(generator, other_tokens):
    other = RewardModel(other_tokens, "partial").eval()
    judge = make_entry("best_of_n", Materials(generator, {"partial": other})).guide.reward
    outputs = ["book a table", "nina é"]
    found = judge(
        [generator.input_ids("may")] * 2, [generator.prompts.target_ids(one) for one in outputs]
    )
    torch.testing.assert_close(found, other.text_rewards(["may", "may"], outputs))


def test_reward_models_of_other_tokens_steer_by_way_of_the_text(
    generator, other_tokens, reward, make_encoder_folder, tmp_path
):
    """What they cost is in the table: each candidate is read from its beginning."""
    folder = make_encoder_folder("bert", tmp_path, num_labels=1)
    models = {
        "partial": RewardModel(other_tokens, "partial").eval(),
        "sequence": load_classifier(folder),
    }
    materials = Materials(generator, models, n_best=2)
    names = ["top_k", "best_of_n", "args", "pargs", "deal"]
    entries = {name: make_entry(name, materials) for name in names}
    found = compare_guides(generator, entries, EXAMPLES[:2], reward, n_samples=1, max_new_tokens=4)
    cost = {name: row["reward_tokens_per_token"] for name, row in found["rows"].items()}
    assert cost["top_k"] == 0
    plain = Materials(generator, {"partial": RewardModel(generator.model, "partial").eval()})
    row = compare_guides(
        generator, {"pargs": make_entry("pargs", plain)}, EXAMPLES[:2], reward, n_samples=1,
        max_new_tokens=4,
    )["rows"]["pargs"]  # fmt: skip
    assert row["reward_tokens_per_token"] == pytest.approx(10, rel=0.15)
    assert min(cost["args"], cost["pargs"]) > row["reward_tokens_per_token"]


def test_ensembles_and_transforms_steer(generator, materials, other_tokens):
    first = materials.reward_models["partial"]
    second = RewardModel(other_tokens, "partial").eval()
    inputs, rows = [generator.input_ids("may")], torch.tensor([0])
    tokens = torch.tensor([generator.prompts.target_ids("book")])
    log_p = torch.zeros(tokens.shape)

    def scores(model, **settings):
        guide = make_entry("pargs", Materials(generator, {"partial": model}, **settings)).guide
        return guide.rescore(log_p, tokens, None, guide.begin(inputs, rows))[0]

    alone = [scores(one) for one in (first, second)]
    worst = RewardEnsemble([first, second], how="worst")
    torch.testing.assert_close(scores(worst), torch.minimum(*alone))
    entry = make_entry("pargs", Materials(generator, {"partial": worst}))
    entry.guide.begin(inputs, rows).score(tokens)
    assert [one.calls for one in entry.costs] == [1, 1]
    assert entry.costs[1].tokens > entry.costs[0].tokens == tokens.numel()
    sigmoid = scores(first, transform="log_sigmoid", weights={"pargs": 1.0})
    torch.testing.assert_close(sigmoid, torch.nn.functional.logsigmoid(alone[0] / 2.0))


@pytest.mark.parametrize("name", ["pargs", "pargs_greedy", "cd", "rad", "farma"])
def test_a_classifier_is_refused_where_causality_is_needed(
    name, generator, make_encoder_folder, tmp_path
):
    judge = load_classifier(make_encoder_folder("bert", tmp_path, num_labels=1))
    with pytest.raises(ConfigError, match="a sequence classifier is not causal"):
        make_entry(name, Materials(generator, {"sequence": judge}))


@pytest.mark.parametrize("name", ["pargs", "deal", "best_of_n"])
def test_rewards_that_are_nan_stop_the_writing(name, generator, make_model_folder, tmp_path):
    model = RewardModel(load_model(make_model_folder("gpt2", tmp_path)), "partial").eval()
    with torch.no_grad():
        model.head.weight.fill_(float("nan"))
    guide = make_entry(name, Materials(generator, {"partial": model}, n_best=2)).guide
    with pytest.raises((ModelError, RewardError), match="NaN"):
        generator.write(["play"], guide=guide, seed=1)


def test_deal_looks_ahead_no_further_than_there_are_positions(generator, materials):
    deal = make_entry("deal", dataclasses.replace(materials, lookahead=10_000)).guide
    assert deal.max_length == generator.model.config.max_position_embeddings == 256
    ids = generator.input_ids("play")
    room = deal.max_length - len(ids)
    state = deal.begin([ids], torch.tensor([0]))
    prefixes = Prefixes([ids], torch.tensor([0]), torch.full((1, room - 3), 7))
    scores, _ = deal.rescore(torch.zeros(1, 2), torch.tensor([[7, 8]]), prefixes, state)
    assert scores.isfinite().all()


def test_names_and_weights_are_checked_together(generator):
    bare = Materials(generator, weights={"mbr": 2.0})
    with pytest.raises(ConfigError) as error:
        check_names(["parks", "pargs", "implicit", "best_of_n", "mbr"], bare)
    text = str(error.value)
    assert "no guide 'parks'. Did you mean 'pargs'?" in text
    assert "pargs needs a reward model of kind 'partial'" in text
    assert "implicit needs a generator tuned with dpo" in text
    assert "best_of_n needs a reward model" in text
    assert "a weight for 'mbr', which has none" in text
    assert bare.available() == ["top_k", "greedy", "mbr"]


def test_the_smallest_of_equally_good_weights_is_chosen():
    best, tried = choose_weights(["cd"], [2.0, 1.0, 4.0], lambda name, weight: min(weight, 2.0))
    assert best == {"cd": 2.0}
    assert tried == {"cd": {"1": 1.0, "2": 2.0, "4": 2.0}}


def test_nothing_to_compare_is_refused(generator, reward):
    with pytest.raises(ConfigError, match="no guide"):
        compare_guides(generator, {}, EXAMPLES, reward)
    with pytest.raises(DataError, match="no prompts"):
        compare_guides(generator, {"greedy": None}, [], reward)


def test_a_counted_reward_model_is_the_model(materials, generator):
    model = materials.reward_models["partial"]
    counted = CountedRewardModel(model)
    inputs = [generator.input_ids("may")]
    torch.testing.assert_close(counted.rewards(inputs, [[7, 8]]), model.rewards(inputs, [[7, 8]]))
    assert (counted.calls, counted.tokens, counted.kind) == (1, 2, "partial")
    scoring = counted.begin(inputs, torch.tensor([0]))
    plain = model.begin(inputs, torch.tensor([0]))
    tokens = torch.tensor([[7, 8, 9]])
    torch.testing.assert_close(scoring.score(tokens), plain.score(tokens))
    assert (counted.calls, counted.tokens) == (2, 5)


# --- diagnose ---------------------------------------------------------------------------------


def test_diagnose_answers_every_question(generator, materials, reward, tmp_path):
    guides = {name: make_entry(name, materials).guide for name in ("pargs", "farma")}
    models = {kind: materials.reward_models[kind] for kind in ("sequence", "partial")}
    found = diagnose(
        generator,
        EXAMPLES,
        reward,
        reward_models=models,
        guides=guides,
        n_samples=6,
        rollouts=2,
        seed=1,
        out=tmp_path,
    )
    assert [row["cut"] for row in found["continuations"]] == list(TENTHS)
    last = found["continuations"][-1]
    assert last["mean"]["better"] == last["best"]["better"] == 1.0  # the whole texts themselves
    assert last["mean"]["difference"] > 0
    assert set(found["ranks"]) == {"none", "pargs", "farma"}
    assert set(found["order"]) == set(found["spread"]) == set(models)
    assert 0 <= found["disagreement"]["sequence, partial"] <= 1
    assert 0 < found["n_pairs"] <= len(EXAMPLES)
    assert json.loads((tmp_path / "diagnosis.json").read_text())["n_pairs"] == found["n_pairs"]
    again = diagnose(generator, EXAMPLES, reward, n_samples=6, rollouts=2, seed=1)
    assert again["continuations"] == found["continuations"]
    assert again["ranks"]["none"] == found["ranks"]["none"]


def test_pairs_differ_in_reward_and_leave_missing_ones_out():
    texts = [Written((token,), 0.0, True) for token in (1, 2, 3)]
    pairs = draw_pairs([texts, texts, texts], [[0.0, None, 1.0], [1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])
    assert [pair.row for pair in pairs] == [0, 2]
    assert (pairs[0].winner, pairs[0].loser) == ((3,), (1,))
    assert all(pair.rewards[0] > pair.rewards[1] for pair in pairs)


def test_diagnose_refuses_what_it_cannot_answer(generator):
    with parse_rewards(["length:0-99=0"]) as flat:
        with pytest.raises(DataError, match="have one reward"):
            diagnose(generator, EXAMPLES, flat, n_samples=2)
        with pytest.raises(ConfigError, match="at least 2 samples"):
            diagnose(generator, EXAMPLES, flat, n_samples=1)
        with pytest.raises(DataError, match="no prompts"):
            diagnose(generator, [], flat)
