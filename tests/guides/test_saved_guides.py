"""A guide is one folder: what is loaded writes what was saved."""

import json

import pytest
import torch

from groot.errors import ConfigError, ModelError, UnknownNameError
from groot.guides import GUIDES
from groot.guides.grammar import one_of
from groot.guides.making import make_guide
from groot.guides.saved_guides import holds_guide, load_guide, save_guide
from groot.models.embedded_text import make_text_model
from groot.models.loading import save_model
from groot.reward_models.classifier_reward import load_classifier
from groot.reward_models.prefix_model import RewardModel
from groot.rewards import parse_rewards

PROMPTS = ["play", "book"]


@pytest.fixture(scope="module", params=["causal", "encoder-decoder"])
def generator(request, tiny_generator):
    return tiny_generator(request.param)


@pytest.fixture(scope="module")
def tuned(generator):
    shape = "causal" if generator.model.is_causal else "encoder-decoder"
    model = make_text_model(
        ["play it again"], shape=shape, vocabulary_size=300, width=32, encoder_layers=1, layers=1,
        heads=2, feed_forward=64, positions=96, dropout=0.0,
    )  # fmt: skip
    model.tokenizer = generator.prompts.tokenizer
    model.model.resize_token_embeddings(len(model.tokenizer))
    return model.eval()


def kind_of(name):
    """A kind of reward model that the guide takes; any, where it takes none."""
    return (*GUIDES[name].kinds, "partial")[0]


def write(generator, guide):
    return [
        [(one.text, one.log_p) for one in some]
        for some in generator.write(PROMPTS, n=2, guide=guide, seed=1, max_new_tokens=8)
    ]


@pytest.mark.parametrize("name", [name for name in GUIDES if GUIDES[name].needs.endswith("model")])
def test_what_is_loaded_writes_what_was_saved(name, generator, tuned, tmp_path):
    reward_model = RewardModel(tuned, kind_of(name))
    settings = {"n_samples": 3} if name == "best_of_n" else {"weight": 2.5, "n_candidates": 4}
    made = make_guide(name, generator, reward_model=reward_model, tuned=tuned, **settings)
    save_guide(made, tmp_path / "guide")
    assert holds_guide(tmp_path / "guide")
    loaded = load_guide(tmp_path / "guide", generator)
    assert type(loaded) is type(made)
    assert loaded.settings == made.settings
    assert loaded.settings.items() >= settings.items()
    for mine, theirs in zip(write(generator, made), write(generator, loaded), strict=True):
        assert [text for text, _ in mine] == [text for text, _ in theirs]
        assert [p for _, p in mine] == pytest.approx([p for _, p in theirs], abs=1e-4)


def test_mbr_and_sums(generator, tuned, tmp_path):
    reward = parse_rewards(["token_accuracy"])
    save_guide(make_guide("mbr", generator, reward=reward, n_samples=4), tmp_path / "mbr")
    mbr = load_guide(tmp_path / "mbr", generator)
    assert (mbr.n_samples, mbr.reward.name) == (4, "token_accuracy")
    told = json.loads((tmp_path / "mbr" / "guide.json").read_text())
    told["reward"] = ["mine.py:function"]
    (tmp_path / "mbr" / "guide.json").write_text(json.dumps(told))
    with pytest.raises(ModelError, match="no code is run because a folder says so"):
        load_guide(tmp_path / "mbr", generator)
    parts = [
        make_guide("pargs", generator, reward_model=RewardModel(tuned, "partial"), n_candidates=4),
        make_guide("implicit", generator, tuned=tuned, reference=tuned),
    ]
    save_guide(parts[0] + parts[1], tmp_path / "both")
    both = load_guide(tmp_path / "both", generator)
    assert [guide.name for guide in both.guides] == ["pargs", "implicit"]
    assert write(generator, both) == write(generator, parts[0] + parts[1])


def test_mistakes(generator, tuned, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'pargs'"):
        make_guide("parg", generator)
    with pytest.raises(ConfigError, match="needs a reward model"):
        make_guide("pargs", generator)
    with pytest.raises(ConfigError, match="no setting wight"):
        make_guide("pargs", generator, reward_model=RewardModel(tuned, "partial"), wight=1)
    with pytest.raises(ConfigError, match="needs a reward model of kind partial"):
        make_guide("pargs", generator, reward_model=RewardModel(tuned, "value"))
    with pytest.raises(ConfigError, match="made of a function"):
        save_guide(GUIDES["grammar"](one_of([(5, 1)])), tmp_path)
    with pytest.raises(ConfigError, match="not that of a reward model"):
        save_guide(GUIDES["best_of_n"](lambda inputs, outputs: [0.0] * len(outputs)), tmp_path)
    with pytest.raises(ModelError, match=r"guide.json is missing"):
        load_guide(tmp_path, generator)
    for text, said in [
        ({"part": "reward model", "version": 1}, "describes 'reward model'"),
        ({"part": "guide", "version": 9}, "version 9"),
        ({"part": "guide", "version": 1, "name": 3, "settings": {}}, "name or settings"),
        ({"part": "guide", "version": 1, "name": "sum", "settings": {}}, "sum of"),
    ]:
        (tmp_path / "guide.json").write_text(json.dumps(text))
        with pytest.raises(ModelError, match=said):
            load_guide(tmp_path, generator)


@pytest.mark.parametrize("name", ["pargs", "farma", "best_of_n", "deal"])
def test_a_reward_model_with_other_tokens_reads_the_text(name, generator, tmp_path, caplog):
    shape = "causal" if generator.model.is_causal else "encoder-decoder"
    other = make_text_model(
        ["quite other words"], shape=shape, vocabulary_size=280, width=32, encoder_layers=1,
        layers=1, heads=2, feed_forward=64, positions=96, dropout=0.0,
    )  # fmt: skip
    reward_model = RewardModel(other, kind_of(name))
    settings = {"n_samples": 3} if name == "best_of_n" else {"weight": 3.0, "n_candidates": 4}
    made = make_guide(name, generator, reward_model=reward_model, **settings)
    assert "other tokens" in caplog.text
    save_guide(made, tmp_path / "guide")
    loaded = load_guide(tmp_path / "guide", generator)
    written = write(generator, made)
    assert [[text for text, _ in some] for some in written] == [
        [text for text, _ in some] for some in write(generator, loaded)
    ]
    if name == "pargs":  # the best candidate by hand, from the text's reward in its own tokens
        prefix = generator.prompts.target_ids("play")[:-1]
        state = made.begin([generator.input_ids("play")], torch.tensor([0]))
        for token in prefix:
            state = made.follow(state, torch.tensor([0]), torch.tensor([token]))
        end = torch.tensor([[generator.prompts.end_id]])
        scores, _ = made.rescore(torch.zeros((1, 1)), end, None, state)
        expected = 3.0 * float(reward_model.text_rewards(["play"], ["play"]).detach())
        assert float(scores) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["pargs", "cd", "rad", "farma"])
def test_a_classifier_is_no_guide_where_causality_is_needed(
    name, tiny_generator, make_encoder_folder, tmp_path
):
    judge = load_classifier(make_encoder_folder("bert", tmp_path, num_labels=1))
    with pytest.raises(ConfigError, match=r"of kind sequence, which .*args.* take"):
        make_guide(name, tiny_generator("causal"), reward_model=judge)


def test_folders_of_older_versions_are_opened(generator, tuned, tmp_path):
    """What groot wrote before guides described themselves: guide.json, word for word."""
    written = {
        "pargs": {"weight": 2.5, "n_candidates": 4, "transform": "none", "temperature": 1.0},
        "deal": {"weight": 1.0, "lookahead": 2, "n_candidates": 3, "temperature": 0.0},
        "best_of_n": {"n_samples": 3, "batch_size": 64},
        "implicit": {"weight": 1.0, "beta": 0.1, "n_candidates": None, "temperature": 1.0},
    }
    for name, settings in written.items():
        part = "tuned" if name == "implicit" else "reward_model"
        told = {"version": 1, "part": "guide", "name": name, "settings": settings, "models": [part]}
        (tmp_path / name).mkdir()
        (tmp_path / name / "guide.json").write_text(json.dumps(told))
        if name == "implicit":
            save_model(tuned, tmp_path / name / part)
        else:
            RewardModel(tuned, kind_of(name)).save(tmp_path / name / part)
        opened = load_guide(tmp_path / name, generator)
        assert (opened.name, opened.settings) == (name, settings)
