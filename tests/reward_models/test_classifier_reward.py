"""Any sequence classifier as a reward model: whole texts, and prefixes by way of the text."""

from __future__ import annotations

import pytest
import torch
import transformers as hf

from groot.errors import ModelError
from groot.models.embedded import train_tokenizer
from groot.models.loading import load_model
from groot.models.prompts import Prompts
from groot.reward_models.classifier_reward import ClassifierReward, load_classifier
from groot.reward_models.retokenising import Retokenising

TEXTS = ["play nina simone", "what is the weather in paris"] * 3


def bert(n_labels: int):
    tokenizer = train_tokenizer(TEXTS, vocabulary_size=300)
    config = hf.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64, num_labels=n_labels,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(3)
    return hf.BertForSequenceClassification(config).eval(), tokenizer


@torch.no_grad()
@pytest.mark.parametrize("n_labels", [1, 2])
def test_the_logit_is_the_reward_whatever_else_is_in_the_batch(n_labels, tmp_path):
    model, tokenizer = bert(n_labels)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reward = load_classifier(tmp_path)
    prompts, outputs = ["play", "weather in"], ["nina", "paris is the city of light"]
    found = reward.text_rewards(prompts, outputs)
    for row, pair in enumerate(zip(prompts, outputs, strict=True)):
        logits = model(**tokenizer(*pair, return_tensors="pt")).logits[0].tolist()
        wanted = logits[0] if n_labels == 1 else logits[1] - logits[0]
        assert found[row].item() == pytest.approx(wanted, abs=1e-5)


@torch.no_grad()
def test_prefixes_are_refused_but_by_way_of_the_text(make_model_folder, tmp_path):
    reward = ClassifierReward(*bert(1)).eval()
    with pytest.raises(ModelError, match="not causal"):
        reward.begin([[5]], torch.tensor([0]))
    with pytest.raises(ModelError, match="Retokenising"):
        reward.prefix_rewards([[5]], [[6]])
    writer = Prompts(load_model(make_model_folder("gpt2", tmp_path)).tokenizer, is_causal=True)
    scoring = Retokenising(reward, writer).begin([writer.input_ids("play")], torch.tensor([0]))
    first, second = writer.target_ids("nina simone")[:2]
    scoring.advance(torch.tensor([0]), torch.tensor([first]))
    found = scoring.score(torch.tensor([[second]]))
    wanted, cost = reward.read_texts(["play"], [writer.text([first, second])], [False])
    assert found.item() == pytest.approx(wanted.item(), abs=1e-5)
    assert (scoring.calls, scoring.tokens) == (1, cost)


@torch.no_grad()
def test_a_long_prompt_loses_its_beginning():
    model, tokenizer = bert(1)
    reward = ClassifierReward(model, tokenizer)
    assert reward.max_tokens == 64
    rewards, cost = reward.read_texts(["weather in paris " * 50], ["play"], [True])
    assert (rewards.isfinite().all(), cost) == (True, 64)


def test_what_is_no_classifier_is_refused(make_model_folder, tmp_path):
    with pytest.raises(ModelError, match="3 labels"):
        ClassifierReward(*bert(3))
    with pytest.raises(ModelError, match="no model here"):
        load_classifier(tmp_path)
    with pytest.raises(ModelError, match="no trained classifier"):
        load_classifier(make_model_folder("gpt2", tmp_path / "gpt2"))
