"""groot calibrate and groot threshold with a labeler that says what the texts tell it to."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import groot.studies.probability_settings as settings_module
import groot.work.predictor as predictor_module
from groot.engine.ledger import Ledger, read_ledger
from groot.evaluation.calibration_map import Calibration, Map, read_calibration
from groot.models.model_folder import SETTINGS_FILE
from groot.outputs.marginals import Marginal, Marginals
from groot.types import Candidate, Span
from groot.writer.labeler import Labeler
from groot.writer.prediction import Prediction, PredictSettings

LABELS = ("good", "bad")


class Told(Labeler):
    """The word good97 is a span of that label with probability 0.97; under 0.5 of candidates only.

    With mbr nothing is said first.
    """

    def __init__(self, calibration: Calibration | None = None) -> None:
        self.model = SimpleNamespace(to=lambda dtype: None)
        self.notation = SimpleNamespace(task="spans", labels=LABELS, has_proofs=True)
        self.ledger = Ledger()
        self.calibration = calibration
        self.reward_specs = ("f1",)

    def predict(self, examples, settings=None, **changes):
        settings = dataclasses.replace(settings or PredictSettings(), **changes)
        calibrated, choose = settings.calibrated, settings.choose
        found = []
        for example in examples:
            values: dict = {}
            for word, start in zip(example.words, example.word_starts, strict=True):
                label = word.rstrip("0123456789")
                if label in LABELS:
                    values[Span(start, start + len(word), label)] = float(f"0.{word[len(label) :]}")
            own = Marginals(0.9, {span: Marginal(p, p, p) for span, p in values.items()})
            if self.calibration is not None and calibrated is not False:
                ones = [True] * len(values)
                mapped = self.calibration(list(values.values()), ones).tolist()
                values = dict(zip(values, mapped, strict=True))
            said = tuple(span for span in values if own.probability(span) >= 0.5)
            first = Candidate("", () if choose == "mbr" else said, -0.1)
            found.append(Prediction([first], 0.9, values, own))
        return found


def rows(*words: str, gold: str = "good", repeat: int = 1):
    """Texts of these words; those of the label `gold` are gold."""
    for number in range(repeat):
        text, spans = " ".join(words), []
        for word in words:
            if word.startswith(gold):
                start = text.index(word)
                spans.append({"start": start, "end": start + len(word), "label": gold})
        yield {"id": f"{text}-{number}", "text": text, "spans": spans}


def write(path: Path, *some) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in some))
    return path


@pytest.fixture
def dev(tmp_path):
    """100 spans of 0.9, all right; 40 of 0.8, all wrong."""
    return write(
        tmp_path / "dev.jsonl",
        *rows("good90", repeat=100),
        *rows("bad80", repeat=40),
        *rows("play", "it", repeat=3),
    )


@pytest.fixture
def labeler(monkeypatch, tmp_path):
    found = Told()
    monkeypatch.setattr(settings_module, "load_labeler", lambda folder: found)
    monkeypatch.setattr(predictor_module, "load", lambda folder: found)
    (tmp_path / SETTINGS_FILE).write_text("{}")
    return found


def test_a_threshold_for_all(groot, labeler, dev, tmp_path):
    out = tmp_path / "thresholds.json"
    told = groot(
        "threshold", tmp_path, "--data", dev, "--target", "precision=0.95", "--json", "--out", out
    )
    assert told.code == 0
    found = json.loads(told.out)
    assert found == json.loads(out.read_text())
    assert (found["target"], found["n_texts"], found["labels"]) == ("precision=0.95", 143, {})
    row = found["all"]
    assert row["threshold"] == pytest.approx(0.85)
    assert (row["n_kept"], row["n_predicted"], row["n_gold"]) == (100, 140, 100)
    assert (row["precision"], row["recall"], row["kept"]) == (1.0, 1.0, 100 / 140)
    assert 0.95 <= row["bound"] < 1
    told = groot("threshold", tmp_path, "--data", dev, "--target", "precision=0.95")
    assert "0.8500" in told.out
    assert "100 of 140" in told.out


def test_thresholds_for_labels(groot, labeler, dev, tmp_path):
    words = ("threshold", tmp_path, "--data", dev, "--target", "precision=0.9", "--per-label")
    found = json.loads(groot(*words, "--json").out)
    assert found["labels"]["good"]["threshold"] == 0.0
    assert found["labels"]["bad"]["threshold"] is None
    assert "0 of the" in found["labels"]["bad"]["reason"]
    assert found["combined"]["n_kept"] == 100
    told = groot(*words).out
    assert "bad: precision=0.9 is not reachable" in told
    assert "each with its own" in told
    kept = json.loads(groot(*words, "--json", "--unreachable", "keep").out)
    assert kept["combined"]["n_kept"] == 140


def test_recall_and_f1(groot, labeler, dev, tmp_path):
    words = ("threshold", tmp_path, "--data", dev, "--json", "--target")
    assert json.loads(groot(*words, "recall=0.9").out)["all"]["threshold"] == pytest.approx(0.85)
    best = json.loads(groot(*words, "f1").out)["all"]
    assert (best["n_kept"], best["f1"], best["bound"]) == (100, 1.0, None)
    assert best["f1_held_out"] == 1.0
    out = groot("threshold", tmp_path, "--data", dev, "--target", "f1=max").out
    assert "F1 of texts without part in the choice: 1.000" in out


def test_predict_drops_what_is_below(groot, labeler, dev, tmp_path):
    thresholds = tmp_path / "thresholds.json"
    groot(
        *("threshold", tmp_path, "--data", dev, "--target", "precision=0.9"),
        *("--per-label", "--out", thresholds),
    )
    of_one = tmp_path / "one.json"
    groot("threshold", tmp_path, "--data", dev, "--target", "precision=0.9", "-o", of_one)
    source = write(tmp_path / "in.jsonl", {"text": "good97 bad99 good60 good84"})
    out = tmp_path / "out.jsonl"
    predict = ("predict", tmp_path, "-i", source, "-o", out, "--force", "--json", "--thresholds")
    told = groot(*predict, thresholds)
    assert told.code == 0
    (line,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert [span["start"] for span in line["candidates"][0]["spans"]] == [0, 13, 20]
    assert line["covered"] == 0.9
    assert (
        "dropped 1 of 4 spans: 0 below their threshold, 1 of labels without one (bad)" in told.err
    )
    done = json.loads(told.out)
    assert (done["spans"], done["dropped"], done["dropped_labels"]) == (4, 1, {"bad": 1})
    told = groot(*predict, of_one)
    assert "dropped 2 of 4 spans: 2 below their threshold" in told.err


@pytest.mark.parametrize(
    ("more", "advice"),
    [
        (("--choose", "mbr"), "Give --choose top"),
        (("--candidates", "8"), "Give --candidates 16"),
        (("--top-k", "20"), "candidates is 20, there it was 16"),
        (("--top-k", "2"), "Give --top-k 1"),
        (("--no-exact",), "Give --exact"),
        (("--dtype", "bfloat16"), "Give --dtype float32"),
    ],
)
def test_thresholds_of_other_predictions_are_refused(groot, labeler, dev, tmp_path, more, advice):
    thresholds = tmp_path / "thresholds.json"
    words = ("threshold", tmp_path, "--data", dev, "--target", "precision=0.9", "-o", thresholds)
    groot(*words)
    source = write(tmp_path / "in.jsonl", {"text": "good97"})
    out = tmp_path / "out.jsonl"
    told = groot("predict", tmp_path, "-i", source, "-o", out, "--thresholds", thresholds, *more)
    assert told.code == 2
    assert advice in told.err
    assert not out.exists()


def test_thresholds_of_another_model_are_refused(groot, labeler, dev, tmp_path):
    thresholds = tmp_path / "thresholds.json"
    words = ("threshold", tmp_path, "--data", dev, "--target", "precision=0.9", "-o", thresholds)
    groot(*words)
    source = write(tmp_path / "in.jsonl", {"text": "good97"})
    predict = ("predict", tmp_path, "-i", source, "-o", "-", "--thresholds", thresholds)
    assert groot(*predict).code == 0
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    told = groot(*predict)
    assert told.code == 2
    assert "the model is another one" in told.err
    groot(*words)
    assert groot(*predict).code == 0


def test_thresholds_are_of_the_models_own_probabilities(groot, labeler, dev, tmp_path):
    """A calibration changes what is told, and neither the thresholds nor what they keep."""
    thresholds = tmp_path / "thresholds.json"
    words = ("threshold", tmp_path, "--data", dev, "--target", "precision=0.9", "-o", thresholds)
    groot(*words)
    before = thresholds.read_text()
    source = write(tmp_path / "in.jsonl", {"text": "good97 good90 bad80"})
    predict = ("predict", tmp_path, "-i", source, "-o", "-", "--thresholds", thresholds)
    for temperature in (3.0, 0.2):
        labeler.calibration = Calibration(Map("temperature", temperature=temperature))
        groot(*words)
        assert thresholds.read_text() == before
        for how in ("--calibrated", "--raw"):
            (line,) = groot(*predict, how).out.splitlines()
            spans = json.loads(line)["candidates"][0]["spans"]
            assert [span["start"] for span in spans] == [0, 7]


def test_nothing_reachable_is_an_answer_but_no_filter(groot, labeler, tmp_path):
    dev = write(tmp_path / "dev.jsonl", *rows("good90", "bad80", repeat=20))
    thresholds = tmp_path / "thresholds.json"
    told = groot(
        "threshold", tmp_path, "--data", dev, "--target", "precision=0.99", "-o", thresholds
    )
    assert told.code == 0
    assert "precision=0.99 is not reachable: 40 predicted; at least 299" in told.out
    source = write(tmp_path / "in.jsonl", {"text": "good97"})
    told = groot("predict", tmp_path, "-i", source, "-o", "-", "--thresholds", thresholds)
    assert told.code == 2
    assert "nothing would be left" in told.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--target", "precision=1.5"), "precision must lie between 0 and 1"),
        (("--target", "accuracy=0.9"), "Targets: precision=0.95, recall=0.8, f1=max"),
        (("--target", "precision=0.9", "--confidence", "95"), "confidence is 95"),
        (("--target", "precision=0.9", "--choose", "mbr"), "nothing is predicted"),
    ],
    ids=str,
)
def test_mistakes(groot, labeler, dev, tmp_path, words, complaint):
    told = groot("threshold", tmp_path, "--data", dev, *words)
    assert told.code == 2
    assert complaint in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize("command", [("threshold", "--target", "f1"), ("calibrate",)])
@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ([{"text": "play it", "label": "x"}], "none of the 1 texts has gold spans"),
        ([*rows("ugly90", gold="ugly")], "the labeler knows no label of the data: ugly"),
        ([*rows("good90"), {"text": "x", "spans": [{"start": 1}]}], "1 of 2 rows cannot be used"),
    ],
)
def test_data_that_cannot_be_used(groot, labeler, tmp_path, command, data, complaint):
    dev = write(tmp_path / "dev.jsonl", *data)
    told = groot(command[0], tmp_path, "--data", dev, *command[1:])
    assert told.code == 2
    assert complaint in told.err


def test_labels_that_the_labeler_does_not_know_are_named(groot, labeler, tmp_path):
    dev = write(
        tmp_path / "dev.jsonl", *rows("good90", repeat=40), *rows("ugly90", gold="ugly", repeat=2)
    )
    told = groot("threshold", tmp_path, "--data", dev, "--target", "precision=0.9", "--per-label")
    assert told.code == 0
    assert "1 labels that the labeler does not know are never found: ugly" in told.err
    assert "ugly: precision=0.9 is not reachable: 0 predicted" in told.out


def test_calibrate(groot, labeler, tmp_path):
    rng = np.random.default_rng(0)
    some = []
    for number in range(400):  # what is said with 0.95 is right 6 times in 10
        gold = ["good", "bad"][rng.random() < 0.4]
        some += rows("good95", "good10", f"x{number}", gold=gold)
        some[-1]["spans"] = [span for span in some[-1]["spans"] if span["start"] == 0]
    dev = write(tmp_path / "dev.jsonl", *some)
    told = groot("calibrate", tmp_path, "--data", dev, "--json")
    assert told.code == 0
    report = json.loads(told.out)
    found = read_calibration(tmp_path)
    assert found is not None
    assert (found.likeliest.kind, found.candidates, found.data) == ("temperature", 16, str(dev))
    assert found([0.95], [True])[0] == pytest.approx(0.6, abs=0.06)
    assert read_ledger(tmp_path).seen([row["text"] for row in some]) == {"calibrated_on": 400}
    counts = (report["n_texts"], report["n_likeliest"], report["n_others"])
    assert counts == (400, 400, 400)
    assert report["likeliest"]["kind"] == "temperature"
    for kind, low, high in (("none", 0.2, 0.5), ("temperature", 0.0, 0.08)):
        assert low <= report["scores"]["likeliest"][kind]["calibration_error"] <= high
    told = groot("calibrate", tmp_path, "--data", dev)
    assert "temperature, chosen" in told.out
    assert str(tmp_path / "calibration.json") in told.out


def test_texts_that_the_model_has_seen_are_told(groot, labeler, dev, tmp_path):
    seen = ["good90", "Play  it"]
    labeler.ledger = Ledger().with_texts("learnt_from", seen).with_texts("tested_on", ["bad80"])
    for command in (("threshold", "--target", "f1"), ("calibrate",)):
        told = groot(command[0], tmp_path, "--data", dev, *command[1:])
        assert told.code == 0, told.err
        assert "103 of 143 texts stand among those that the model learnt from" in told.err
        assert "tested on" not in told.err  # that does no harm here


def test_nothing_to_calibrate(groot, labeler, tmp_path):
    dev = write(tmp_path / "dev.jsonl", *rows("good90", repeat=5))
    told = groot("calibrate", tmp_path, "--data", dev)
    assert told.code == 2
    assert "5 of 5 spans right" in told.err
    assert not (tmp_path / "calibration.json").exists()
