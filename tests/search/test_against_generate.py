"""The same top k as transformers' beam search under the same grammar, at the same width.

Both share probability one among the allowed tokens (`renormalize_logits`).
"""

from __future__ import annotations

import random
import warnings

import pytest
import torch

from groot.models.loading import add_symbols, load_model
from groot.search.label_search import Effort, label_search
from groot.targets import MultiClass, SentinelTags, SingleClass
from groot.writer.labeler import Labeler
from groot.writer.writer import example_of

TEXTS = ("may", "play may", "paris", "nina may", "o paris", "play paris")
K, BEAMS = 3, 8


def make_labeler(folder, form, style: str) -> Labeler:
    torch.manual_seed(3)
    model = load_model(folder)
    add_symbols(model, form, label_style=style, max_words=8)
    with torch.no_grad():  # far from uniform, as a trained model is
        model.model.get_output_embeddings().weight.mul_(6.0)
    model.eval()
    return Labeler(model, form, label_style=style, window_words=8, window_overlap=2)


def legal_targets(labeler: Labeler, example) -> list[tuple[int, ...]]:
    """Token ids of every target of a text."""
    grammar, n_slots = labeler.form.grammar, labeler.form.slots(example)
    open_, paths = [((), 0, 0)], []
    while open_:
        path, state, slot = open_.pop()
        if slot == n_slots:
            paths.append(path)
            continue
        for choice in grammar.choices[state]:
            open_.append(((*path, choice.symbol), choice.state, slot + choice.closes))
    return [labeler.codec.encode_path(example, path).tokens for path in paths]


def generated(labeler: Labeler, example) -> list[tuple[tuple[int, ...], float]]:
    """What generate returns: targets with log_p."""
    follows: dict[tuple[int, ...], set[int]] = {}
    targets = legal_targets(labeler, example)
    for tokens in targets:
        for place, token in enumerate(tokens):
            follows.setdefault(tokens[:place], set()).add(token)
    ids = labeler.codec.input_ids(example)

    def allowed(_: int, prefix: torch.Tensor) -> list[int]:
        return sorted(follows.get(tuple(prefix.tolist()[1:]), {labeler.model.end_id}))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = labeler.model.model.generate(
            torch.tensor([ids]),
            num_beams=BEAMS,
            num_return_sequences=K,
            length_penalty=0.0,
            early_stopping="never",
            prefix_allowed_tokens_fn=allowed,
            max_new_tokens=max(map(len, targets)) + 1,
            do_sample=False,
            output_scores=True,
            renormalize_logits=True,
            return_dict_in_generate=True,
        )
    found = []
    for row, score in zip(out.sequences.tolist(), out.sequences_scores.tolist(), strict=True):
        tokens = row[1:]
        end = tokens.index(labeler.model.end_id) + 1
        found.append((tuple(tokens[:end]), score))
    return found


@pytest.mark.parametrize("family", ["t5", "bart"])
@pytest.mark.parametrize(
    ("form", "style"),
    [
        (SentinelTags(("artist", "city name")), "token"),
        (SentinelTags(("artist", "city name")), "words"),
        (SingleClass(("buy it", "sell it", "hold", "wait")), "words"),
        (MultiClass(("buy it", "sell it", "hold")), "words"),
    ],
    ids=["tags, one token", "tags in words", "one class", "several classes"],
)
def test_lists_equal_those_of_generate_or_are_better(
    family, form, style, tmp_path, make_model_folder
):
    labeler = make_labeler(make_model_folder(family, tmp_path), form, style)
    examples = [example_of(text) for text in TEXTS]
    found = label_search(
        labeler.model,
        labeler.codec,
        [labeler.codec.input_ids(example) for example in examples],
        [labeler.form.slots(example) for example in examples],
        k=K,
        effort=Effort(width=BEAMS, max_width=0),
    )
    equal = 0
    for example, ours in zip(examples, found, strict=True):
        theirs = generated(labeler, example)
        tokens = [labeler.codec.encode_path(example, path).tokens for path in ours.paths]
        if tokens == [target for target, _ in theirs]:
            equal += 1
            log_p = [score for _, score in theirs]
            assert ours.log_p == pytest.approx(log_p, abs=2e-3, rel=1e-4)
        elif ours.exact:
            assert all(a > b - 2e-3 for a, (_, b) in zip(ours.log_p, theirs, strict=True))
            assert sum(ours.log_p) > sum(score for _, score in theirs)
    assert equal >= 3


@pytest.mark.parametrize("k", [1, 5])
def test_batches_of_any_size_give_the_same_labels(k, tmp_path, make_model_folder):
    labeler = make_labeler(
        make_model_folder("t5", tmp_path), SentinelTags(("artist", "city name")), "token"
    )
    rng = random.Random(7)
    words = " ".join(TEXTS).split()
    lengths = [1, 2, 3, 5, 8, 40, 200, 1, 4]  # the longest in many windows
    examples = [example_of(" ".join(rng.choices(words, k=n))) for n in lengths]
    together = labeler.candidates(examples, k=k, max_width=0, batch_size=64)
    alone = labeler.candidates(examples, k=k, max_width=0, batch_size=1)
    for some, others in zip(together, alone, strict=True):
        assert [c.target for c in some] == [c.target for c in others]
        for one, other in zip(some, others, strict=True):
            assert one.log_p == pytest.approx(other.log_p, abs=1e-3)
