"""Training inputs: varied, repeatable, and their gold always true."""

from __future__ import annotations

import dataclasses
import random

import pytest

from groot.config import load_config
from groot.recipes.make_writer import fit_passes, make_labeler
from groot.rollouts.instances import (
    Instance,
    Variation,
    VariationRates,
    blend,
    example_of_words,
    training_instances,
)
from groot.types import Example, Span

TEXTS = [
    example_of_words(["play", "nina", "simone", "now"], [(1, 3, "artist")]),
    example_of_words(["play", "abba"], [(1, 2, "artist")]),
    example_of_words(["fly", "to", "new", "york", "in", "may"], [(2, 4, "city"), (5, 6, "date")]),
    example_of_words(["nothing", "here"], []),
]


@pytest.fixture(scope="module")
def labeler():
    config = load_config(
        settings=["model.width=32", "model.window_words=8", "model.window_overlap=2"]
    )
    return make_labeler(config, TEXTS)


@pytest.fixture(scope="module")
def instances(labeler) -> list[Instance]:
    return training_instances(labeler.notation, TEXTS)[0]


def test_swapped_mentions_keep_their_labels_and_places(labeler, instances):
    variation = Variation(
        labeler.notation, instances, VariationRates(mention_swap=1.0, word_blend=0.5)
    )
    seen = set()
    for seed in range(50):
        for instance in instances:
            varied = variation.example(instance, random.Random(seed))
            spans = varied.spans
            assert [s.label for s in spans] == [s.label for s in instance.example.spans]
            assert all(varied.text[s.start : s.end] == s.text for s in spans)
            assert labeler.codec.encode(varied, spans) is not None
            outside = [w for w in varied.words if w in ("play", "now", "fly", "to", "in")]
            assert outside == [w for w in instance.example.words if w in outside]
            seen.add(varied.text)
    assert "play abba now" in seen
    assert len(seen) > len(instances) + 3


def test_a_blended_word_is_new_and_made_of_both():
    assert blend("boston", "denver") == "bosver"
    assert blend("a", "b") == "ab"
    assert blend("", "ab") == "b"


def test_the_same_generator_gives_the_same_input(labeler, instances):
    variation = Variation(
        labeler.notation,
        instances,
        VariationRates(word_dropout=0.3, mention_swap=0.5, word_blend=0.5, word_cuts=0.5),
    )
    one = [variation(instance, random.Random("1:0:7")) for instance in instances]
    other = [variation(instance, random.Random("1:0:7")) for instance in instances]
    assert one == other
    later = [variation(instance, random.Random("1:1:7")) for instance in instances]
    assert one != later


def test_hidden_words_are_unknown_and_sentinels_stay(labeler, instances):
    variation = Variation(labeler.notation, instances, VariationRates(word_dropout=1.0))
    ids = variation.input_ids(instances[0].example, random.Random(0))
    tokenizer = labeler.model.tokenizer
    assert ids.count(tokenizer.unk_token_id) == 4
    assert [tokenizer.convert_ids_to_tokens(i) for i in ids[::2][:4]] == [
        f"<s{i}>" for i in range(4)
    ]


def test_a_cut_word_has_the_same_letters(labeler):
    tokenizer = labeler.model.tokenizer
    for word in ("simone", "nothing", "a\u0301b"):
        for at in range(1, len(word)):
            ids = labeler.codec.cut_word_ids(word, at)
            assert tokenizer.decode(ids).strip() == word


def test_what_cannot_be_written_is_left_out_and_named(labeler):
    cut = Example("playnina", ("playnina",), (0,), spans=(Span(4, 8, "artist"),), source="f:3")
    instances, missed = training_instances(labeler.notation, [cut])
    assert instances[0].example.spans == ()
    assert missed == ["f:3: span 4:8 'artist' cannot be written"]
    no_gold = Example("play", ("play",), (0,), source="f:4")
    assert training_instances(labeler.notation, [no_gold]) == ([], ["f:4: no gold"])


def test_long_texts_become_windows(labeler):
    long = example_of_words([f"w{i}" for i in range(20)], [(17, 19, "city")])
    instances, missed = training_instances(labeler.notation, [long])
    assert not missed
    assert len(instances) > 2
    assert max(len(instance.example.words) for instance in instances) == 8
    assert any(span.text == "w17 w18" for instance in instances for span in instance.example.spans)


def test_passes_follow_the_size_of_the_data():
    config = load_config()
    assert fit_passes(config, 100) == 40
    assert fit_passes(config, 50_000) == 29
    assert fit_passes(config, 1_000_000) == 12
    assert fit_passes(load_config(settings=["fit.passes=3"]), 100) == 3
    assert fit_passes(load_config(settings=["model.name=t5-small"]), 100) == 5


def test_gold_longer_than_any_window_is_named(labeler):
    words = [f"w{at}" for at in range(20)]
    long = example_of_words(words, [(0, 2, "city"), (5, 14, "artist")])
    instances, missed = training_instances(
        labeler.notation, [dataclasses.replace(long, source="train.conll:7")]
    )
    (line,) = missed
    assert line.startswith("train.conll:7: span ")
    assert "'artist' fits in no window" in line
    assert [span.label for instance in instances for span in instance.example.spans] == ["city"]
