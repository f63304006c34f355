"""What every notation promises: one distribution, whether it is scored, searched or learnt."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
import torch

import groot
from groot.config import load_config
from groot.data.sample import read_sample
from groot.outputs.items import items_of
from groot.recipes.make_writer import make_writer
from groot.targets.grammar import EncodedTarget
from groot.types import Example, Gold
from groot.writer.notation import Asked
from groot.writer.writer import Writer, example_of

TEXTS = ["play nina", "in Paris tomorrow", "", "now"]
SPANS = [
    example
    for example in read_sample("train").examples
    if {span.label for span in example.spans or ()} <= {"artist", "city", "date"}
][:40]
CLASSES = [
    Example(text, tuple(text.split()), (), classes=(name,), id=text)
    for text, name in [("buy it now", "buy"), ("sell that", "sell"), ("wait a bit", "wait")]
]
KINDS = {
    "words, spans": ("words", SPANS, "spans"),
    "words, classes": ("words", CLASSES, "classes"),
    "tokens, spans": (None, SPANS, "spans"),
    "tokens, classes": (None, CLASSES, "classes"),
}
SMALL = ["model.width=32", "model.feed_forward=32", "model.encoder_layers=1"]


@pytest.fixture(scope="module", params=KINDS)
def writer(request: pytest.FixtureRequest) -> Writer:
    """An untrained one with large random scores, so that no output is as good as certain."""
    name, examples, task = KINDS[request.param]
    given = [] if name is None else [f"model.name={name}"]
    config = load_config(settings=[*SMALL, "model.vocabulary_size=400", *given])
    writer = make_writer(config, examples, task)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in writer.model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return writer


def every_output(writer: Writer, example: Example) -> Iterator[Gold]:
    """All that the format can say of a text, written out."""
    form = writer.notation.format
    symbols = {choice.symbol for state in form.grammar.choices for choice in state}
    for path in itertools.product(sorted(symbols), repeat=form.slots(example)):
        output = form.output(example, path)
        if output is not None:
            yield output


def scored(writer: Writer, example: Example) -> dict[Gold, float]:
    """log_p of every output."""
    outputs = list(every_output(writer, example))
    (scores,) = writer.score([example], [outputs])
    return dict(zip(outputs, scores, strict=True))


@pytest.mark.parametrize("text", TEXTS)
def test_all_outputs_together_have_probability_one(writer, text):
    assert math.fsum(map(math.exp, scored(writer, example_of(text)).values())) == pytest.approx(
        1.0, abs=1e-5
    )


@pytest.mark.parametrize("text", TEXTS)
def test_the_top_k_are_the_best_of_all_outputs_and_their_log_p_is_the_score(writer, text):
    example = example_of(text)
    scores = scored(writer, example)
    (answer,) = writer.answers([example], Asked(5))
    best = sorted(scores.values(), reverse=True)[:5]
    assert [c.log_p for c in answer.candidates] == pytest.approx(best, abs=1e-4)
    for candidate in answer.candidates:
        assert candidate.log_p == pytest.approx(scores[candidate.output], abs=1e-4)
        assert writer.notation.format.decode(candidate.target, example) == candidate.output
    assert all(search.exact for search in answer.searches)


@pytest.mark.parametrize("text", TEXTS)
def test_marginals_hold_what_all_outputs_say(writer, text):
    example = example_of(text)
    (answer,) = writer.answers([example], Asked(3, searched=8, with_marginals=True))
    assert answer.marginals is not None
    truth: dict[object, float] = {}
    for output, log_p in scored(writer, example).items():
        for item in items_of(output):
            truth[item] = truth.get(item, 0.0) + math.exp(log_p)
    for candidate in answer.candidates:
        assert set(items_of(candidate.output)) <= set(answer.marginals.of)
    for item, marginal in answer.marginals.of.items():
        assert marginal.low - 1e-5 <= truth[item] <= marginal.high + 1e-5
    if writer.notation.settings().get("model") == "aligned":
        assert answer.marginals.covered == 1.0
        assert {item for item, p in truth.items() if p > 2e-3} <= set(answer.marginals.of)
        for item, marginal in answer.marginals.of.items():
            assert marginal.probability == pytest.approx(truth[item], abs=1e-5)


def test_answers_are_the_same_alone_and_in_batches(writer):
    examples = [example_of(text) for text in [*TEXTS, "what is on in Paris and Rome next week"]]
    asked = Asked(4, with_marginals=True)
    together = writer.answers(examples, asked)
    alone = [writer.answers([example], asked)[0] for example in examples]
    if writer.notation.settings().get("model") == "aligned":
        assert alone == together  # to the last bit
    for one, other in zip(alone, together, strict=True):
        assert [c.output for c in one.candidates] == [c.output for c in other.candidates]
        log_p = [candidate.log_p for candidate in other.candidates]
        assert [c.log_p for c in one.candidates] == pytest.approx(log_p, abs=1e-4)


def test_candidates_share_an_input_and_padding_has_no_log_p(writer):
    notation, examples = writer.notation, [example_of("play nina"), example_of("in Paris now")]
    targets: list[list[EncodedTarget]] = []
    for example, count in zip(examples, (1, 3), strict=True):
        outputs = itertools.islice(every_output(writer, example), count)
        encoded = [notation.target(example, output) for output in outputs]
        targets.append([target for target in encoded if target is not None])
    inputs = [notation.input_ids(example) for example in examples]
    writer.model.eval()
    log_p, is_real = notation.log_p(writer.model, inputs, targets)
    assert is_real.sum(1).tolist() == [1, 3]
    assert log_p[0, 1:].tolist() == [0.0, 0.0]
    for place, input_ids in enumerate(inputs):
        own, _ = notation.log_p(writer.model, [input_ids], [targets[place]])
        torch.testing.assert_close(own[0], log_p[place][is_real[place]], atol=1e-4, rtol=1e-4)


def test_saved_and_loaded_it_answers_the_same(writer, tmp_path):
    writer.save(tmp_path / "saved")
    loaded = groot.load(tmp_path / "saved")
    examples = [example_of(text) for text in TEXTS]
    assert loaded.notation.settings() == writer.notation.settings()
    before, after = (each.answers(examples, Asked(4)) for each in (writer, loaded))
    assert before == after
