"""Probabilities of a real labeler: with and without calibration, in windows, saved and loaded."""

import numpy as np
import pytest
import torch

import groot
from groot.config import load_config
from groot.data.sample import read_sample
from groot.errors import ModelError
from groot.evaluation.calibration_map import CALIBRATION_FILE, Calibration, Map
from groot.recipes.make_writer import make_labeler
from groot.studies.predicted_items import predicted_items
from groot.studies.probability_settings import ProbabilitySettings
from groot.writer.writer import example_of

EXAMPLES = read_sample("dev").examples[:20]
FLATTER = Calibration(Map("temperature", temperature=3.0), Map("temperature", temperature=9.0))


@pytest.fixture(scope="module")
def labeler():
    """An untrained one: its labels are as good as random, so that it is wrong nearly always."""
    small = ["width=32", "feed_forward=32", "encoder_layers=1", "vocabulary_size=400"]
    small += ["window_words=16", "window_overlap=5"]
    made = make_labeler(load_config(settings=[f"model.{name}" for name in small]), EXAMPLES)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in made.model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return made


@pytest.fixture
def folder(labeler, tmp_path):
    labeler.save(tmp_path / "model")
    return tmp_path / "model"


def spans_of(found):
    return [span for one in found for span in one.candidates[0].spans]


def test_probabilities_rest_on_more_than_the_candidates_that_are_given(labeler):
    some = EXAMPLES[:10]
    one, five = labeler.predict(some), labeler.predict(some, top_k=5)
    alone = labeler.predict(some, probability_candidates=0)
    for a, b, c in zip(one, five, alone, strict=True):
        assert a.candidates[0].output == b.candidates[0].output == c.candidates[0].output
        assert 0 < c.covered <= a.covered + 1e-6 <= 1 + 1e-6
        assert c.probabilities == {}
    assert any(span.probability < 0.99 for span in spans_of(one))
    assert all(span.probability is None for span in spans_of(alone))
    assert all(0 < span.probability <= 1 for span in spans_of(five))


def test_spans_of_a_long_text_have_the_probability_of_their_window(labeler):
    text = " ".join(example.text for example in EXAMPLES[:6])
    (found,) = labeler.predict([example_of(text)])
    assert len(labeler.windows(example_of(text))) > 2
    assert found.candidates[0].spans
    for span in found.candidates[0].spans:
        assert text[span.start : span.end] == span.text
        assert 0 < span.probability <= 1
        marginal = found.marginals.of[span]
        assert marginal.low <= marginal.probability <= marginal.high
        assert marginal.high - marginal.low < 1 - found.covered  # its window's, not the text's


def test_calibrated_and_raw(labeler, folder):
    FLATTER.save(folder)
    some = EXAMPLES[:10]
    mapped = groot.load(folder)
    raw = spans_of(labeler.predict(some))
    assert mapped.calibration == FLATTER
    expected = FLATTER([span.probability for span in raw], [True] * len(raw))
    for settings in ({}, {"calibrated": True}):
        found = [span.probability for span in spans_of(mapped.predict(some, **settings))]
        assert found == pytest.approx(expected.tolist(), abs=1e-4)
    for one, own in zip(mapped.predict(some), labeler.predict(some), strict=True):
        said = one.candidates[0].output
        other = {item: p for item, p in own.probabilities.items() if item not in said}
        expected = dict(zip(other, FLATTER.others(list(other.values())), strict=True))
        assert {item: one.probabilities[item] for item in other} == pytest.approx(
            expected, abs=1e-4
        )
    found = [span.probability for span in spans_of(mapped.predict(some, calibrated=False))]
    assert found == pytest.approx([span.probability for span in raw], abs=1e-4)
    with pytest.raises(ModelError, match="groot calibrate"):
        labeler.predict(some, calibrated=True)


def test_a_calibration_goes_with_its_model_only(labeler, folder, tmp_path):
    FLATTER.save(folder)
    again = groot.load(folder)
    again.save(tmp_path / "copy")
    assert groot.load(tmp_path / "copy").calibration == FLATTER
    assert again.with_model(again.model).calibration is None
    labeler.save(folder)  # another model in the place of the calibrated one
    assert not (folder / CALIBRATION_FILE).exists()
    (folder / CALIBRATION_FILE).write_text("{}")
    with pytest.raises(ModelError, match="no calibration"):
        groot.load(folder)


def test_items_against_the_gold(labeler):
    items = predicted_items(labeler, EXAMPLES, ProbabilitySettings(candidates=8))
    gold = [(n, span) for n, one in enumerate(EXAMPLES) for span in one.spans or ()]
    assert sum(items.n_gold.values()) == len(gold)
    assert items.n_texts == len(EXAMPLES)
    found = labeler.predict(EXAMPLES, probability_candidates=8)
    said = {(n, span) for n, one in enumerate(found) for span in one.candidates[0].spans}
    own = [p.probability for one in found for p in one.marginals.of.values()]
    assert items.probabilities.tolist() == pytest.approx(own, abs=1e-6)
    assert items.is_first.sum() == len(said)
    assert items.is_right.sum() == len(
        set(gold) & {(n, item) for n, one in enumerate(found) for item in one.probabilities}
    )
    assert set(items.labels) <= set(labeler.form.labels)
    assert len(items.probabilities) == len(items.texts) == len(items.labels)


def test_classes_have_probabilities_too():
    rows = [example_of(text) for text in ("play it", "buy it", "sell it now")]
    with_gold = [
        type(one)(one.text, one.words, one.word_starts, classes=(name,), id=name)
        for one, name in zip(rows, ("play", "buy", "sell"), strict=True)
    ]
    small = ["width=32", "feed_forward=32", "encoder_layers=1", "vocabulary_size=300"]
    made = make_labeler(load_config(settings=[f"model.{name}" for name in small]), with_gold)
    (found,) = made.predict(rows[:1])
    assert found.covered == pytest.approx(1.0, abs=1e-5)  # three targets, all of them seen
    assert sum(found.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
    items = predicted_items(made, with_gold)
    assert len(items.probabilities) == 9
    assert items.is_right.sum() == 3
    assert items.n_gold == {"play": 1, "buy": 1, "sell": 1}
    assert np.bincount(items.texts[items.is_first]).tolist() == [1, 1, 1]
