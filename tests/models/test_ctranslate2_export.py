"""Exported models write what the models write, and held to a grammar what label search finds."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch

from groot.errors import ModelError, OutputError
from groot.models.codec import Codec
from groot.models.ctranslate2_export import (
    CTranslate2Model,
    convert_to_ctranslate2,
    grammar_rules,
)
from groot.models.loading import add_symbols, load_model
from groot.search.label_search import Effort, label_search
from groot.targets import MultiClass, SentinelTags, SingleClass
from groot.types import Example

TEXTS = ["play nina simone in the kitchen", "the weather in paris", "book", "the river in may"]


def example(text: str) -> Example:
    words = tuple(text.split())
    lengths = itertools.accumulate((len(word) + 1 for word in words), initial=0)
    return Example(text, words, tuple(lengths)[:-1])


def codec_of(model, form, *, label_style="token") -> Codec:
    add_symbols(model, form, label_style=label_style, max_words=8)
    return Codec(
        form, model.tokenizer, label_style=label_style, max_words=8, is_causal=model.is_causal
    )


def sharpened(model):
    """Random weights that prefer something, so that rounding changes no choice."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight *= 3
    return model.eval()


@pytest.fixture
def t5(make_model_folder, tmp_path):
    return sharpened(load_model(make_model_folder("t5", tmp_path / "t5")))


def test_greedy_targets_of_every_family_are_those_of_generate(model_folder, tmp_path):
    model = sharpened(load_model(model_folder))
    codec = codec_of(model, SentinelTags(("artist", "city")))
    convert_to_ctranslate2(model, tmp_path / "out", codec=codec)
    converted = CTranslate2Model(tmp_path / "out", codec)
    inputs = [codec.input_ids(example(text)) for text in TEXTS]
    found = converted.search(inputs, max_new_tokens=12, min_new_tokens=12)
    for ids, (target,) in zip(inputs, found, strict=True):
        tokens, mask = model.pad([ids])
        written = model.model.generate(
            input_ids=tokens,
            attention_mask=mask.long(),
            max_new_tokens=12,
            min_new_tokens=12,
            do_sample=False,
        )
        assert target == written[0].tolist()[len(ids) if model.is_causal else 1 :]
    assert converted.keeps_grammar is not model.is_causal


@pytest.mark.parametrize("form", [SentinelTags, SingleClass, MultiClass])
@pytest.mark.parametrize("k", [1, 4])
def test_held_to_a_grammar_it_finds_what_label_search_finds(t5, tmp_path, form, k):
    codec = codec_of(t5, form(("artist", "city", "time")))
    convert_to_ctranslate2(t5, tmp_path / "out", codec=codec)
    converted = CTranslate2Model(tmp_path / "out", codec)
    examples = [example(text) for text in TEXTS]
    inputs = [codec.input_ids(one) for one in examples]
    slots = [codec.form.slots(one) for one in examples]
    theirs = converted.search_legal(inputs, slots, k=k)
    ours = label_search(t5, codec, inputs, slots, k=k, effort=Effort(width=k, max_width=k))
    for one, found, written in zip(examples, ours, theirs, strict=True):
        paths = [codec.encode_path(one, path).tokens for path in found.paths]
        if form is not MultiClass or k == 1:  # there beams compare sets of different sizes
            assert [tuple(ids) for ids, _ in written] == paths[: len(written)]
            scores = [score for _, score in written]
            assert scores == pytest.approx(found.log_p[: len(written)], abs=1e-4)
        assert len(written) >= min(k, len(paths))
        for ids, score in written:
            if tuple(ids) in paths:
                assert score == pytest.approx(found.log_p[paths.index(tuple(ids))], abs=1e-4)


def test_the_rules_forbid_exactly_the_illegal_targets(t5):
    codec = codec_of(t5, SentinelTags(("artist",)))
    rules = grammar_rules(codec, 2)
    assert rules is not None
    forced = [ids[0] for ids in codec.glue_ids(2)]
    alphabet = [*codec.choice_ids.tolist(), *forced]
    legal = {
        codec.encode_path(example("a b"), path).tokens
        for path in itertools.product(("O", "I", "artist"), repeat=2)
        if codec.form.grammar.walk(path, 2)
    }
    assert len(legal) == 5  # OO, O artist, artist O, artist I, artist artist
    first = rules.begins[0]
    allowed = {
        target
        for rest in itertools.product(alphabet, repeat=rules.length - 1)
        if not holds(target := (first, *rest), rules.forbidden) and target[-1] == forced[-1]
    }
    assert allowed == legal


def holds(target: tuple[int, ...], sequences) -> bool:
    sizes = range(1, 4)
    parts = {target[i : i + n] for n in sizes for i in range(len(target) - n + 1)}
    return any(sequence in parts for sequence in sequences)


def test_labels_of_several_tokens_have_no_rules(t5, tmp_path):
    codec = codec_of(t5, SentinelTags(("artist", "the city")), label_style="words")
    assert grammar_rules(codec, 2) is None
    convert_to_ctranslate2(t5, tmp_path / "out", codec=codec)
    converted = CTranslate2Model(tmp_path / "out", codec)
    assert not converted.keeps_grammar
    with pytest.raises(ModelError, match="cannot be held"):
        converted.search_legal([codec.input_ids(example("a b"))], [2])


def test_weights_are_stored_as_asked_for(t5, tmp_path):
    sizes = []
    for quantization in ("float32", "int8"):
        folder = tmp_path / quantization
        convert_to_ctranslate2(t5, folder, quantization=quantization)
        sizes.append((folder / "model.bin").stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(t5, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        convert_to_ctranslate2(t5, tmp_path / "out")
    monkeypatch.setattr(t5.model.config, "dense_act_fn", "tanh")
    with pytest.raises(ModelError, match="cannot convert this t5 model"):
        convert_to_ctranslate2(t5, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir() if path.name != "t5"] == ["out"]


def test_without_ctranslate2_the_error_says_how_to_install_it(t5, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(ModelError, match=r"pip install 'groot-nlp\[ctranslate2\]'"):
        convert_to_ctranslate2(t5, tmp_path / "out")


def test_a_folder_that_holds_no_export_is_refused(t5, tmp_path):
    with pytest.raises(ModelError, match="cannot load"):
        CTranslate2Model(tmp_path, codec_of(t5, SentinelTags(("artist",))))
