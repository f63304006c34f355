"""The rows of the table of guides, made by name."""

import dataclasses

import pytest
import torch

from groot.errors import ConfigError, ModelError, RewardError
from groot.guides import Prefixes
from groot.models.loading import load_model
from groot.reward_models.classifier_reward import load_classifier
from groot.reward_models.prefix_model import RewardModel
from groot.reward_models.reward_compositions import RewardEnsemble
from groot.studies.compare_guides import compare_guides
from groot.studies.guide_entries import Contenders, EntrySettings, check_names, make_entry
from groot.studies.guide_writing import WritingSettings


def with_settings(contenders, **settings):
    return dataclasses.replace(
        contenders, settings=dataclasses.replace(contenders.settings, **settings)
    )


def test_all_guides_re_score_as_many_tokens_as_is_said(generator, contenders):
    same = with_settings(contenders, n_candidates=7)
    for name in ("args", "pargs", "pargs_greedy", "cd", "rad", "farma"):
        assert make_entry(name, same).guide.n_candidates == 7
    assert make_entry("rad", contenders).guide.n_candidates == 20  # its own


def test_a_reward_model_with_other_tokens_judges_texts(generator, other_tokens):
    other = RewardModel(other_tokens, "partial").eval()
    judge = make_entry("best_of_n", Contenders(generator, {"partial": other})).guide.reward
    outputs = ["book a table", "nina é"]
    found = judge(
        [generator.input_ids("may")] * 2, [generator.prompts.target_ids(one) for one in outputs]
    )
    torch.testing.assert_close(found, other.text_rewards(["may", "may"], outputs))


def test_reward_models_of_other_tokens_steer_by_way_of_the_text(
    generator, prompts, other_tokens, reward, make_encoder_folder, tmp_path
):
    """What they cost is in the table: each candidate is read from its beginning."""
    folder = make_encoder_folder("bert", tmp_path, num_labels=1)
    models = {
        "partial": RewardModel(other_tokens, "partial").eval(),
        "sequence": load_classifier(folder),
    }
    contenders = Contenders(generator, models, settings=EntrySettings(n_samples=2))
    names = ["top_k", "best_of_n", "args", "pargs", "deal"]
    entries = {name: make_entry(name, contenders) for name in names}
    found = compare_guides(generator, entries, prompts[:2], reward, settings=WritingSettings(1, 4))
    cost = {name: row["reward_tokens_per_token"] for name, row in found["rows"].items()}
    assert cost["top_k"] == 0
    plain = Contenders(generator, {"partial": RewardModel(generator.model, "partial").eval()})
    steered = {"pargs": make_entry("pargs", plain)}
    writing = WritingSettings(n_samples=1, max_new_tokens=4)
    row = compare_guides(generator, steered, prompts[:2], reward, settings=writing)["rows"]["pargs"]
    assert row["reward_tokens_per_token"] == pytest.approx(10, rel=0.15)
    assert min(cost["args"], cost["pargs"]) > row["reward_tokens_per_token"]


def test_ensembles_and_transforms_steer(generator, contenders, other_tokens):
    first = contenders.reward_models["partial"]
    second = RewardModel(other_tokens, "partial").eval()
    inputs, rows = [generator.input_ids("may")], torch.tensor([0])
    tokens = torch.tensor([generator.prompts.target_ids("book")])
    log_p = torch.zeros(tokens.shape)

    def scores(model, **settings):
        guide = make_entry(
            "pargs", Contenders(generator, {"partial": model}, settings=EntrySettings(**settings))
        ).guide
        return guide.rescore(log_p, tokens, None, guide.begin(inputs, rows))[0]

    alone = [scores(one) for one in (first, second)]
    worst = RewardEnsemble([first, second], how="worst")
    torch.testing.assert_close(scores(worst), torch.minimum(*alone))
    entry = make_entry("pargs", Contenders(generator, {"partial": worst}))
    entry.guide.begin(inputs, rows).score(tokens)
    assert [counted.calls for counted in entry.costs] == [1, 1]
    assert entry.costs[1].tokens > entry.costs[0].tokens == tokens.numel()
    sigmoid = scores(first, transform="log_sigmoid", weights={"pargs": 1.0})
    torch.testing.assert_close(sigmoid, torch.nn.functional.logsigmoid(alone[0] / 2.0))


@pytest.mark.parametrize("name", ["pargs", "pargs_greedy", "cd", "rad", "farma"])
def test_a_classifier_is_refused_where_causality_is_needed(
    name, generator, make_encoder_folder, tmp_path
):
    judge = load_classifier(make_encoder_folder("bert", tmp_path, num_labels=1))
    with pytest.raises(ConfigError, match=r"of kind sequence, which .*args.* take"):
        make_entry(name, Contenders(generator, {"sequence": judge}))


@pytest.mark.parametrize("name", ["pargs", "deal", "best_of_n"])
def test_rewards_that_are_nan_stop_the_writing(name, generator, make_model_folder, tmp_path):
    model = RewardModel(load_model(make_model_folder("gpt2", tmp_path)), "partial").eval()
    with torch.no_grad():
        model.head.weight.fill_(float("nan"))
    guide = make_entry(
        name, Contenders(generator, {"partial": model}, settings=EntrySettings(n_samples=2))
    ).guide
    with pytest.raises((ModelError, RewardError), match="NaN"):
        generator.write(["play"], guide=guide, seed=1)


def test_deal_looks_ahead_no_further_than_there_are_positions(generator, contenders):
    deal = make_entry("deal", with_settings(contenders, lookahead=10_000)).guide
    assert deal.max_length == generator.model.config.max_position_embeddings == 256
    ids = generator.input_ids("play")
    room = deal.max_length - len(ids)
    state = deal.begin([ids], torch.tensor([0]))
    prefixes = Prefixes([ids], torch.tensor([0]), torch.full((1, room - 3), 7))
    scores, _ = deal.rescore(torch.zeros(1, 2), torch.tensor([[7, 8]]), prefixes, state)
    assert scores.isfinite().all()


def test_names_and_weights_are_checked_together(generator):
    bare = Contenders(generator, settings=EntrySettings(weights={"mbr": 2.0}))
    with pytest.raises(ConfigError) as error:
        check_names(["parks", "pargs", "implicit", "best_of_n", "mbr"], bare)
    text = str(error.value)
    assert "no guide 'parks'. Did you mean 'pargs'?" in text
    assert "pargs needs a reward model of kind partial or additive" in text
    assert "implicit needs a generator that was tuned with dpo" in text
    assert "best_of_n needs a reward model" in text
    assert "a weight for 'mbr', which has none" in text
    assert bare.default_rows() == ["top_k", "greedy", "mbr"]


def test_a_guide_of_any_reward_model_takes_the_one_that_suits_it_best(generator, contenders):
    """Whole texts are what best-of-n judges, in whatever order the models are named."""
    models = contenders.reward_models
    for kinds in (["vocabulary", "partial", "sequence"], ["sequence", "partial", "vocabulary"]):
        given = Contenders(generator, {kind: models[kind] for kind in kinds})
        assert make_entry("best_of_n", given).settings["kind"] == "sequence"
        assert make_entry("deal", given).settings["kind"] == "sequence"
