import pytest

from groot.models.embedded import train_tokenizer
from groot.models.embedded_text import train_text_tokenizer
from groot.models.prompts import SEPARATOR, Prompts

TEXTS = ["play nina simone in the kitchen", "two  lines\nof text"]
HARD = ["", " ", "a\n\n  b ", "é😀 नमस्ते", "say </s> <sep> <pad>", "play  nina simone"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_text_tokenizer(TEXTS, vocabulary_size=300)


@pytest.mark.parametrize("text", HARD)
@pytest.mark.parametrize("is_causal", [True, False])
def test_texts_come_back_as_they_were(tokenizer, text, is_causal):
    prompts = Prompts(tokenizer, is_causal=is_causal)
    tokens = prompts.target_ids(text)
    assert tokens.index(prompts.end_id) == len(tokens) - 1  # a typed </s> is not the end
    assert prompts.text(tokens) == text


def test_prompts_end_with_the_separator_or_the_end_token(tokenizer):
    causal = Prompts(tokenizer, is_causal=True)
    assert causal.separator == SEPARATOR
    assert causal.input_ids("") == list(causal.tail) == [tokenizer.get_vocab()[SEPARATOR]]
    other = Prompts(tokenizer, is_causal=False)
    assert other.input_ids("") == [tokenizer.eos_token_id]
    assert other.input_ids("play")[-1] == tokenizer.eos_token_id


def test_of_a_long_prompt_the_end_is_read(tokenizer):
    prompts = Prompts(tokenizer, is_causal=True)
    whole = prompts.input_ids("play nina simone in the kitchen")
    assert prompts.input_ids("play nina simone in the kitchen", limit=3) == whole[-4:]


def test_a_tokenizer_without_separator_spells_one(tmp_path):
    plain = train_tokenizer(TEXTS, vocabulary_size=300)
    prompts = Prompts(plain, is_causal=True)
    assert prompts.separator == "=>"
    assert plain.decode(list(prompts.tail)).strip() == "=>"
    assert Prompts(plain, is_causal=True, separator="\\n##").separator == "\\n##"
