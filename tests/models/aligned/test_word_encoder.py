"""The word encoder and its features: hiding, unseen words, padding, other scripts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from groot.errors import ShapeError
from groot.models.aligned import word_features
from groot.models.aligned.word_encoder import WordEncoder, WordEncoderSettings
from groot.models.aligned.word_features import ABSENT, MAX_FEATURES, WordTable, feature_names

TEXTS = (("play", "Nina", "now"), ("play", "playing"), ("now",))


def encoder(**settings: float) -> WordEncoder:
    torch.manual_seed(0)
    made = WordEncoder(
        WordTable.of_texts(TEXTS), WordEncoderSettings(size=12, hidden=8, **settings)
    )
    torch.nn.init.normal_(made.unknown)
    return made.eval()


def test_only_shared_features_have_rows() -> None:
    table = WordTable.of_texts(TEXTS)
    assert "p4=play" in table.features  # of play and playing
    assert "x3=ina" not in table.features  # of Nina alone
    rows = table.feature_rows(table.form_ids(["Nina", "zzz"]))
    assert (rows[1] != ABSENT).sum() == 1  # an unseen word keeps its shape only
    assert table.word_rows(table.form_ids(["NINA", "zzz"])).tolist()[1] == ABSENT
    assert table.word_counts(table.form_ids(["Play", "nina", "zzz"])).tolist() == [2, 1, 0]


def test_a_table_of_more_forms_than_it_was_made_for_keeps_them_apart() -> None:
    table = WordTable.of_texts([[f"w{n}" for n in range(3000)]])
    ids = table.form_ids([f"w{n}" for n in range(3000)])
    assert len(set(ids.tolist())) == 3000
    assert table.word_rows(ids).tolist() == list(range(1, 3001))


def test_a_table_that_begins_anew_finds_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    table = WordTable.of_texts(TEXTS)
    words = ["play", "Nina", "unseen", "playing", "now"]
    rows = table.feature_rows(table.form_ids(words))
    monkeypatch.setattr(word_features, "MAX_FORMS", 2)
    for _ in range(3):
        table.form_ids(["so", "many", "others"])
        assert np.array_equal(table.feature_rows(table.form_ids(words)), rows)
        assert len(table._forms) < 10


@pytest.mark.parametrize("word", ["a", "x" * 500, "ß", "東京", "नमस्ते", "🙂", "\u0301", "A\nb", "İ"])
def test_any_word_has_features(word: str) -> None:
    names = feature_names(word)
    assert 1 <= len(names) == len(set(names)) <= MAX_FEATURES
    assert bool(encoder()([(word,)]).isfinite().all())


def test_a_texts_states_do_not_depend_on_its_neighbours() -> None:
    made = encoder()
    together = made(TEXTS)
    for row, words in enumerate(TEXTS):
        torch.testing.assert_close(made([words])[0], together[row, : len(words)])
        assert not together[row, len(words) :].any()


def test_rare_words_are_hidden_more_often() -> None:
    texts = [["often"] * 50, ["once"]]
    made = WordEncoder(WordTable.of_texts(texts), WordEncoderSettings(hide_rare=1.0, hide_any=0.1))
    torch.manual_seed(1)
    n = 4000
    forms = made.table.form_ids(["often"] * n + ["once"] * n)
    hidden = made._is_hidden(forms).float()
    assert abs(hidden[:n].mean() - 0.1) < 0.03  # 1 / 51 is below the least
    assert abs(hidden[n:].mean() - 0.5) < 0.04


def test_a_hidden_word_is_an_unknown_one_with_its_features() -> None:
    made = encoder(hide_rare=1e9, hide_any=1.0, hide_features=0.0, drop_features=0.0, dropout=0.0)
    hidden = made.train()([("Nina",)])
    assert not torch.equal(hidden, made.eval()([("Nina",)]))
    torch.nn.init.zeros_(made.words.weight)
    made.words.weight.data += made.unknown  # so that a known word looks unknown
    torch.testing.assert_close(hidden, made([("Nina",)]))


def test_training_is_a_function_of_the_seed() -> None:
    made = encoder().train()
    torch.manual_seed(5)
    first = made(TEXTS)
    torch.manual_seed(5)
    assert torch.equal(first, made(TEXTS))
    assert not torch.equal(first, made(TEXTS))


def test_what_was_read_before_changes_no_training() -> None:
    states = []
    for read_before in ([], [("now", "simone", "nina", "play")]):
        torch.manual_seed(1)
        some = encoder(drop_features=0.5)
        some.table.form_ids(word for words in read_before for word in words)
        torch.manual_seed(2)
        states.append(some.train()(TEXTS))
    assert torch.equal(*states)


def test_json_keeps_every_row() -> None:
    table = WordTable.of_texts(TEXTS)
    again = WordTable.from_json(table.to_json())
    words = ["play", "Nina", "unseen", "playing"]
    for of_form in ("feature_rows", "word_rows", "word_counts"):
        rows = getattr(table, of_form)(table.form_ids(words))
        assert np.array_equal(rows, getattr(again, of_form)(again.form_ids(words)))


@pytest.mark.parametrize("texts", [[], [("a",), ()]])
def test_texts_without_words_are_refused(texts: list[tuple[str, ...]]) -> None:
    with pytest.raises(ShapeError, match="at least one word"):
        encoder()(texts)


def test_sparse_gradients_are_those_of_dense_tables() -> None:
    gradients = []
    for is_sparse in (True, False):
        made = encoder()
        made.words.sparse = made.features.sparse = is_sparse
        made(TEXTS).square().sum().backward()
        for vectors in (made.words, made.features):
            assert vectors.weight.grad is not None
            assert vectors.weight.grad.is_sparse == is_sparse
        gradients.append([made.words.weight.grad.to_dense(), made.features.weight.grad.to_dense()])
    for sparse, dense in zip(*gradients, strict=True):
        torch.testing.assert_close(sparse, dense)
        assert not sparse[ABSENT].any()
