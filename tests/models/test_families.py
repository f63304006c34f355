"""Every supported architecture: no leak, agreement with a plain pass, padding invariance."""

from __future__ import annotations

import dataclasses
import random

import pytest
import torch

from groot.errors import ModelError
from groot.models.families import family_of
from groot.models.loading import add_lora, add_symbols, load_model, save_model
from groot.models.scoring import candidate_log_p, collate_targets, decision_log_p
from groot.search.label_search import Effort, label_search
from groot.targets import SentinelTags
from groot.targets.grammar import EncodedTarget
from groot.writer.labeler import Labeler
from groot.writer.writer import example_of

LABELS = ("artist", "city name", "date")


@pytest.fixture(scope="module", params=["token", "words"])
def labeler(model_folder, request) -> Labeler:
    model = load_model(model_folder)
    form = SentinelTags(LABELS)
    add_symbols(model, form, label_style=request.param, max_words=16)
    model.eval()
    return Labeler(model, form, label_style=request.param, window_words=16, window_overlap=4)


EXAMPLES = [
    example_of("play nina simone in paris"),
    example_of("may"),
    example_of("what is the weather in may please"),
]


def random_paths(labeler: Labeler, example, count: int, seed: int = 0) -> list[tuple[str, ...]]:
    rng = random.Random(seed)
    grammar, paths = labeler.form.grammar, set()
    for _ in range(count):
        state, path = 0, []
        for _ in example.words:
            choice = rng.choice(grammar.choices[state])
            path.append(choice.symbol)
            state = choice.state
        paths.add(tuple(path))
    return sorted(paths)


def targets_of(labeler: Labeler, count: int = 4):
    return [
        [labeler.codec.encode_path(e, path) for path in random_paths(labeler, e, count)]
        for e in EXAMPLES
    ]


def plain_logits(labeler: Labeler, input_ids: list[int], tokens: tuple[int, ...]) -> torch.Tensor:
    """Logits [T, V] of one target by one ordinary call of the transformers model."""
    model = labeler.model
    target = torch.tensor([tokens])
    prompt = torch.tensor([input_ids])
    if model.is_causal:
        logits = model.model(input_ids=torch.cat([prompt, target], dim=1)).logits
        return logits[0, len(input_ids) - 1 : -1]
    start = torch.full((1, 1), model.config.decoder_start_token_id)
    shifted = torch.cat([start, target[:, :-1]], dim=1)
    return model.model(input_ids=prompt, decoder_input_ids=shifted).logits[0]


@torch.no_grad()
def test_agrees_with_a_plain_forward_pass_over_the_vocabulary(labeler):
    inputs = [labeler.codec.input_ids(e) for e in EXAMPLES]
    texts = [[EncodedTarget.free(target.tokens) for target in some] for some in targets_of(labeler)]
    log_p, is_real = candidate_log_p(labeler.model, None, inputs, texts)
    for row, targets in enumerate(texts):
        assert is_real[row].sum() == len(targets)
        for column, target in enumerate(targets):
            logits = plain_logits(labeler, inputs[row], target.tokens)
            chosen = torch.tensor(target.tokens)[:, None]
            plain = logits.log_softmax(-1).gather(1, chosen).sum()
            torch.testing.assert_close(log_p[row, column], plain, atol=2e-4, rtol=1e-5)


@torch.no_grad()
def test_agrees_with_a_plain_forward_pass_over_what_the_grammar_allows(labeler):
    codec = labeler.codec
    inputs = [codec.input_ids(e) for e in EXAMPLES]
    candidates = targets_of(labeler)
    log_p, _ = candidate_log_p(labeler.model, codec, inputs, candidates)
    for row, targets in enumerate(candidates):
        for column, target in enumerate(targets):
            logits = plain_logits(labeler, inputs[row], target.tokens)
            plain = torch.zeros(())
            for position, state in zip(target.decisions, target.states, strict=True):
                allowed = list(codec.grammar.tokens[state])
                place = allowed.index(target.tokens[position])
                plain += logits[position, allowed].log_softmax(0)[place]
            torch.testing.assert_close(log_p[row, column], plain, atol=2e-4, rtol=1e-5)


@pytest.mark.parametrize("is_free", [False, True], ids=["grammar", "free text"])
@torch.no_grad()
def test_a_later_token_never_moves_an_earlier_log_p(labeler, is_free):
    example, codec = EXAMPLES[2], labeler.codec
    inputs = [codec.input_ids(example)]
    target = codec.encode_path(example, random_paths(labeler, example, 1)[0])
    if is_free:
        target = EncodedTarget.free(target.tokens)

    def log_p_of(tokens: list[int]) -> torch.Tensor:
        # alone in its batch: two rows of one product may be rounded differently on some processors
        batch = collate_targets(
            labeler.model, [dataclasses.replace(target, tokens=tuple(tokens))], [0]
        )
        log_p, _ = decision_log_p(labeler.model, None if is_free else codec, inputs, batch)
        return log_p[0]

    plain = log_p_of(list(target.tokens))
    moves = 0
    for place, (position, state) in enumerate(zip(target.decisions, target.states, strict=True)):
        written = target.tokens[position]
        others = [(written + 5) % len(labeler.model.tokenizer)]
        if not is_free:
            others = [token for token in codec.grammar.tokens[state] if token != written]
        for other in others[:1]:
            changed = list(target.tokens)
            changed[position] = other
            moved = log_p_of(changed)
            assert torch.equal(plain[:place], moved[:place])
            assert not torch.equal(plain[place:], moved[place:])
            moves += 1
    assert moves >= len(example.words)


@torch.no_grad()
def test_padding_changes_nothing(labeler):
    inputs = [labeler.codec.input_ids(e) for e in EXAMPLES]
    targets = targets_of(labeler)
    together, _ = candidate_log_p(labeler.model, labeler.codec, inputs, targets)
    for row in range(len(inputs)):
        alone, _ = candidate_log_p(
            labeler.model, labeler.codec, inputs[row : row + 1], targets[row : row + 1]
        )
        n = len(targets[row])
        torch.testing.assert_close(together[row, :n], alone[0, :n], atol=1e-4, rtol=1e-5)


@torch.no_grad()
def test_legal_targets_share_probability_one(labeler):
    example = example_of("may paris")
    grammar = labeler.form.grammar
    paths = [
        (first.symbol, second.symbol)
        for first in grammar.choices[0]
        for second in grammar.choices[first.state]
    ]
    targets = [[labeler.codec.encode_path(example, path) for path in paths]]
    log_p, _ = candidate_log_p(
        labeler.model, labeler.codec, [labeler.codec.input_ids(example)], targets
    )
    torch.testing.assert_close(log_p.exp().sum(), torch.tensor(1.0), atol=1e-4, rtol=0)


@torch.no_grad()
def test_search_finds_the_top_k_of_all_targets(labeler):
    for example in (example_of("may"), example_of("may paris"), example_of("o may paris")):
        paths = [()]
        grammar = labeler.form.grammar
        for _ in example.words:
            paths = [
                (*path, choice.symbol)
                for path in paths
                for choice in grammar.choices[0 if not path or path[-1] == "O" else 1]
            ]
        inputs = [labeler.codec.input_ids(example)]
        targets = [[labeler.codec.encode_path(example, path) for path in paths]]
        log_p, _ = candidate_log_p(labeler.model, labeler.codec, inputs, targets)
        k = min(5, len(paths))
        best = log_p[0].topk(k)
        (found,) = label_search(labeler.model, labeler.codec, inputs, [len(example.words)], k=k)
        assert found.exact
        torch.testing.assert_close(torch.tensor(found.log_p), best.values, atol=2e-4, rtol=1e-4)
        assert found.paths[0] == paths[int(best.indices[0])]


@torch.no_grad()
def test_a_batch_gives_what_single_texts_give(labeler):
    inputs = [labeler.codec.input_ids(e) for e in EXAMPLES]
    slots = [len(e.words) for e in EXAMPLES]
    together = label_search(
        labeler.model, labeler.codec, inputs, slots, k=3, effort=Effort(max_width=16)
    )
    for i, found in enumerate(together):
        (alone,) = label_search(
            labeler.model, labeler.codec, [inputs[i]], [slots[i]], k=3, effort=Effort(max_width=16)
        )
        assert found.paths == alone.paths
        torch.testing.assert_close(
            torch.tensor(found.log_p), torch.tensor(alone.log_p), atol=2e-4, rtol=1e-4
        )


def test_the_gradient_reaches_the_weights(labeler):
    inputs = [labeler.codec.input_ids(e) for e in EXAMPLES]
    log_p, _ = candidate_log_p(labeler.model, labeler.codec, inputs, targets_of(labeler))
    labeler.model.zero_grad()
    log_p.sum().backward()
    grads = [p.grad for p in labeler.model.parameters() if p.grad is not None]
    assert len(grads) > 5
    assert all(g.isfinite().all() for g in grads)
    assert sum(float(g.abs().sum()) for g in grads) > 0


@torch.no_grad()
def test_saved_and_loaded_it_writes_the_same(labeler, tmp_path):
    from groot.writer.folders import load_labeler

    before = labeler.candidates(EXAMPLES, k=3)
    labeler.save(tmp_path / "saved")
    after = load_labeler(tmp_path / "saved").candidates(EXAMPLES, k=3)
    for one, other in zip(before, after, strict=True):
        assert [c.target for c in one] == [c.target for c in other]
        for a, b in zip(one, other, strict=True):
            assert a.log_p == pytest.approx(b.log_p, abs=1e-5)


def test_lora_trains_few_weights_and_merges_on_saving(model_folder, tmp_path):
    model = load_model(model_folder)
    form = SentinelTags(LABELS)
    add_symbols(model, form, label_style="token", max_words=8)
    wrapped = add_lora(model, r=2, alpha=4, dropout=0.0)
    trained = [n for n, p in wrapped.named_parameters() if p.requires_grad]
    assert any("lora_" in name for name in trained)
    assert len(trained) < len(list(wrapped.named_parameters()))
    labeler = Labeler(wrapped, form, window_words=8, window_overlap=2)
    example = example_of("play nina simone")
    inputs = [labeler.codec.input_ids(example)]
    path = random_paths(labeler, example, 1)[0]
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
        wrapped.eval()
        targets = [[labeler.codec.encode_path(example, path)]]
        before, _ = candidate_log_p(wrapped, labeler.codec, inputs, targets)
        save_model(wrapped, tmp_path)
        after, _ = candidate_log_p(load_model(tmp_path).eval(), labeler.codec, inputs, targets)
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)


def test_an_architecture_outside_the_list_is_refused():
    with pytest.raises(ModelError, match=r"'bert' are not supported.*\n.*t5"):
        family_of("bert")
