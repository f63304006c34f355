"""A frozen generator of random weights, and everything that steers it."""

import pytest
import torch

from groot.models.loading import load_model
from groot.reward_models.prefix_model import RewardModel
from groot.rewards import parse_rewards
from groot.studies.guide_entries import Contenders, EntrySettings
from groot.types import Example
from groot.writer.generator import Generator


@pytest.fixture(scope="session")
def prompts():
    """Four prompts with an id each."""
    return [Example(text, id=text) for text in ("play nina", "book a table", "weather", "may")]


@pytest.fixture(scope="session")
def make_generator(make_model_folder, tmp_path_factory):
    """Call it for a generator of its own, which may be changed; all have the same weights."""

    def make():
        folder = make_model_folder("gpt2", tmp_path_factory.mktemp("gpt2"))
        model = load_model(folder)
        with torch.no_grad():  # one token in six is the end, so that texts differ in length
            end = model.model.get_input_embeddings().weight[model.end_id]
            model.model.transformer.ln_f.bias += 4 * end / end.square().sum()
        return Generator(model, max_prompt_tokens=20, max_new_tokens=8)

    return make


@pytest.fixture(scope="session")
def generator(make_generator):
    """The frozen one; do not change its weights."""
    return make_generator()


@pytest.fixture(scope="session")
def contenders(generator, make_model_folder, tmp_path_factory):
    """The generator with a reward model of each kind; the tuned ones are itself."""
    backbone = load_model(make_model_folder("gpt2", tmp_path_factory.mktemp("rm")))
    kinds = ("sequence", "partial", "value", "rad", "vocabulary")
    models = {kind: RewardModel(backbone, kind).eval() for kind in kinds}
    tuned = {"dpo": generator, "grpo": generator}
    return Contenders(generator, models, tuned, settings=EntrySettings(n_samples=3))


@pytest.fixture(scope="session")
def other_tokens(make_model_folder, tmp_path_factory):
    """A backbone that spells texts in its own way."""
    backbone = load_model(make_model_folder("gpt2", tmp_path_factory.mktemp("other")))
    backbone.tokenizer.add_tokens(["play it"])
    backbone.model.resize_token_embeddings(len(backbone.tokenizer), mean_resizing=False)
    return backbone


@pytest.fixture(scope="session")
def reward():
    """1 for one to three words."""
    with parse_rewards(["length:1-3"]) as found:
        yield found
