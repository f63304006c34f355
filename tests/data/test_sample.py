from collections import Counter
from itertools import pairwise

import pytest

from groot.data import read_examples, read_splits
from groot.data.sample import MAX_WORDS, MIN_WORDS, SIZES, read_sample, share_fillers, write_sample
from groot.data.sample_grammar import LABELS, LEXICONS, RULES
from groot.errors import DataError


def test_sizes_labels_and_lengths():
    splits = read_splits("sample")
    assert len(splits.train.examples) == SIZES["train"] >= 2000
    assert len(splits.dev.examples) == SIZES["dev"]
    assert splits.test is not None
    assert len(splits.test.examples) == SIZES["test"]
    for result in (splits.train, splits.dev, splits.test):
        assert not result.problems
        assert not result.notes
        labels = Counter(span.label for example in result.examples for span in example.spans)
        assert set(labels) == set(LABELS)
        assert min(labels.values()) >= 10
        assert all(MIN_WORDS <= len(example.words) <= MAX_WORDS for example in result.examples)


def test_same_seed_same_bytes_other_seed_others(tmp_path):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_sample(tmp_path / folder, seed=seed)
    for split in SIZES:
        name = f"{split}.conll"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()


def test_written_files_read_back_as_the_sample(tmp_path):
    write_sample(tmp_path)
    splits = read_splits(tmp_path)
    for split in SIZES:
        read = getattr(splits, split).examples
        assert [(e.text, e.spans) for e in read] == [
            (e.text, e.spans) for e in read_sample(split).examples
        ]


def test_no_sentence_is_in_two_splits():
    texts = [example.text for split in SIZES for example in read_sample(split).examples]
    assert len(set(texts)) == len(texts)


def words_of_people(split):
    """The words of all persons in a split."""
    return {
        word
        for example in read_sample(split).examples
        for span in example.spans
        if span.label == "person"
        for word in span.text.split()
    }


def test_fillers_are_held_out():
    fillers = share_fillers(0)
    own = {split: {f for lexicon in fillers.values() for f in lexicon[split]} for split in SIZES}
    assert not own["train"] & own["test"]
    assert not own["train"] & own["dev"]
    assert not own["dev"] & own["test"]
    # a given name of test is never a person in train, whatever list it also stands in
    people = words_of_people("train")
    assert people
    assert not people & {f for f in fillers["given"]["test"] if " " not in f}
    test_people = words_of_people("test")
    assert len(test_people - people) > 20


def test_words_are_ambiguous_and_spans_touch():
    labels_of: dict[str, set[str]] = {}
    touching = 0
    for example in read_sample("train").examples:
        for span in example.spans:
            labels_of.setdefault(span.text, set()).add(span.label)
        touching += sum(
            a.label == b.label and b.start == a.end + 1 for a, b in pairwise(example.spans)
        )
    assert sum(len(labels) > 1 for labels in labels_of.values()) > 50
    assert touching > 50
    assert sum(not example.spans for example in read_sample("train").examples) > 100


def test_every_rule_that_a_pattern_names_exists_and_is_used():
    named = set()
    for lines in RULES.values():
        for line in lines:
            for part in line.split():
                assert ("{" in part) == ("}" in part)
                if part.startswith("{"):
                    label, _, name = part[1:-1].rpartition(":")
                    assert name in RULES or name in LEXICONS
                    assert not label or label in LABELS
                    named.add(name)
    assert named | {"sentence"} == set(RULES) | set(LEXICONS)


def test_by_name_and_split():
    assert read_examples("sample:test").examples == read_sample("test").examples
    with pytest.raises(DataError, match=r"no split 'devel'.*\n.*train, dev, test"):
        read_sample("devel")
