"""Aligned labelers: log-probabilities, tables for the search, folders."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from groot.errors import DataError, ModelError
from groot.models.aligned.folders import SHAPE_FILE, WEIGHTS_FILE, load_aligned, save_aligned
from groot.models.aligned.label_decoder import NO_LABEL
from groot.models.aligned.labeler import AlignedLabeler
from groot.models.aligned.word_encoder import WordEncoder, WordEncoderSettings
from groot.models.aligned.word_features import WordTable
from groot.search.chain import Chains, path_log_p
from groot.search.joint_chain import JointChains, best_outputs

TAGS = ("O", "B-x", "I-x", "B-y", "I-y")
TEXTS = (("play", "Nina", "Simone", "now"), ("東京", "now"), ("Naïve", "-"))


def labeler(classes: tuple[str, ...] = (), seed: int = 0) -> AlignedLabeler:
    """Random weights, transitions and class scores too, so that all of them count."""
    torch.manual_seed(seed)
    encoder = WordEncoder(WordTable.of_texts(TEXTS), WordEncoderSettings())
    made = AlignedLabeler(encoder, TAGS, classes, hidden=128)
    for weight in made.decoder.parameters():
        torch.nn.init.normal_(weight)
    return made.eval()


def test_log_p_of_all_legal_outputs_sums_to_one() -> None:
    made = labeler(("a", "b"))
    paths = list(itertools.product(range(len(TAGS)), repeat=2))
    outputs = [(path, class_) for path in paths for class_ in range(2)]
    log_p = made.log_p(
        [TEXTS[1]],
        torch.tensor([[path for path, _ in outputs]]),
        torch.tensor([[class_ for _, class_ in outputs]]),
    )
    torch.testing.assert_close(log_p.exp().sum(), torch.tensor(1.0))
    is_illegal = [path[0] in (2, 4) or (path[0], path[1]) in {(1, 4), (3, 2), (0, 2), (0, 4)}
                  for path, _ in outputs]  # fmt: skip
    assert bool((log_p[0, torch.tensor(is_illegal)] == -torch.inf).all())
    assert bool((log_p[0, ~torch.tensor(is_illegal)] > -torch.inf).all())


def test_a_later_label_never_moves_an_earlier_ones_log_p() -> None:
    made = labeler()
    scores = made.decoder.scores(made.encoder([TEXTS[0]]))
    paths = torch.tensor([[[0, 1, 2, 2], [0, 1, 2, 0], [0, 1, 0, 3], [0, 0, 0, 0]]])
    by_word = made.decoder.path_log_p(scores, paths)[0]
    assert torch.equal(by_word[0, :3], by_word[1, :3])
    assert torch.equal(by_word[0, :2], by_word[2, :2])
    assert torch.equal(by_word[0, :1], by_word[3, :1])
    assert by_word[0, 1] != by_word[3, 1]  # while its own label counts


def test_the_search_over_the_tables_agrees_with_log_p() -> None:
    made = labeler(("a", "b", "c"))
    tables = made.tables(TEXTS)
    chains = Chains(tables.scores, tables.follows, tables.lengths)
    found = best_outputs(JointChains(chains, tables.class_log_p, tables.in_class), k=5)
    paths, classes = torch.from_numpy(found.labels), torch.from_numpy(found.classes)
    scored = made.log_p(TEXTS, paths, classes).detach()
    np.testing.assert_allclose(scored.numpy(), found.log_p, rtol=1e-5, atol=1e-5)
    alone = path_log_p(chains.take(np.array([1])), found.labels[1:2, :, :2])
    assert np.isfinite(alone).all()


def test_padding_gives_no_probability_and_takes_no_gradient() -> None:
    made = labeler()
    tags = [["O", "B-x", "I-x", "O"], ["B-y", "O"], ["O", "O"]]
    paths = made.paths(tags)
    assert paths[1].tolist() == [3, 0, NO_LABEL, NO_LABEL]
    together = made.log_p(TEXTS, paths[:, None])
    for row, words in enumerate(TEXTS):
        alone = made.log_p([words], paths[row : row + 1, None, : len(words)])
        torch.testing.assert_close(alone[0], together[row])
    together.sum().backward()
    gradients = [weight.grad.to_dense() for weight in made.parameters() if weight.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="sums in another order")
def test_a_text_gets_the_same_bits_alone_and_in_a_batch() -> None:
    rng = random.Random(0)
    words = [word for text in TEXTS for word in text]
    texts = [[rng.choice(words) for _ in range(rng.randint(1, 24))] for _ in range(40)]
    made = labeler(("a", "b", "c"))
    together = made.tables(texts)
    for row, text in enumerate(texts):
        for batch in ([text], [text, texts[0], texts[-1]]):
            tables = made.tables(batch)
            assert np.array_equal(tables.scores[0, : len(text)], together.scores[row, : len(text)])
            assert np.array_equal(tables.class_log_p[0], together.class_log_p[row])


def test_unknown_tags_and_classes_are_named() -> None:
    made = labeler(("a",))
    with pytest.raises(DataError, match="'B-z' is none of"):
        made.paths([["B-z"]])
    with pytest.raises(DataError, match="'b' is none of"):
        made.class_ids(["b"])


def test_a_saved_labeler_comes_back_bit_for_bit(tmp_path: Path) -> None:
    made = labeler(("a", "b"))
    save_aligned(made, tmp_path / "model")
    again = load_aligned(tmp_path / "model")
    assert not again.training
    assert (again.tags, again.classes) == (made.tags, made.classes)
    texts = [*TEXTS, ("never", "seen")]
    for before, after in zip(made.tables(texts), again.tables(texts), strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize("damage", ["fewer", "other", "shape"])
def test_files_that_do_not_belong_together_are_refused(tmp_path: Path, damage: str) -> None:
    save_aligned(labeler(), tmp_path)
    weights = load_file(tmp_path / WEIGHTS_FILE)
    if damage == "fewer":
        del weights["decoder.behind"]
    elif damage == "other":
        weights["surplus"] = torch.zeros(1)
    else:
        shape = json.loads((tmp_path / SHAPE_FILE).read_text())
        shape["tags"] = shape["tags"][:3]
        (tmp_path / SHAPE_FILE).write_text(json.dumps(shape))
    save_file(weights, tmp_path / WEIGHTS_FILE)
    with pytest.raises(ModelError, match="not the weights of"):
        load_aligned(tmp_path)


def test_a_folder_without_its_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=SHAPE_FILE):
        load_aligned(tmp_path)
    save_aligned(labeler(), tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(b"no tensors")
    with pytest.raises(ModelError, match=WEIGHTS_FILE):
        load_aligned(tmp_path)
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(ModelError, match=WEIGHTS_FILE):
        load_aligned(tmp_path)
