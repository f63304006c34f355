"""One small run through every command, and the contracts that others build on."""

import json
from collections.abc import Callable

import pytest

from groot.evaluation.records import read_records
from groot.search.label_search import first_width
from groot.search.proofs import proofs
from groot.studies.evaluate_folder import EvaluationSettings, evaluate_folder
from groot.studies.labelled_data import LabelledData
from groot.writer.folders import load_labeler
from groot.writer.notation import Asked

SMALL = {
    "fit.passes": 2,
    "optimise.rounds": 1,
    "distil.rounds": 1,
    "distil.variations": 1,
    "model.width": 32,
    "model.feed_forward": 32,
    "model.encoder_layers": 1,
    "evaluation.k": 3,
    "evaluation.bootstrap_samples": 50,
    "evaluation.mbr_candidates": 4,
    "search.width": 1,
}
SETTINGS = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
M_KEYS = {"precision", "recall", "f1", "exact", "malformed", "reward", "calibration_error"}


def conll(n: int, first: int) -> str:
    rows = []
    for i in range(first, first + n):
        rows.append(f"play O\nsinger{i % 7} B-artist\n" + ("now B-time\n" if i % 2 else "") + "\n")
    return "".join(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the data and the run are."""
    place = tmp_path_factory.mktemp("end_to_end")
    (place / "train.conll").write_text(conll(40, 0))
    (place / "dev.conll").write_text(conll(8, 3))
    (place / "test.conll").write_text(conll(12, 5))
    return place


def train(groot: Callable, folder, *more):
    data = (folder / "train.conll", "--dev", folder / "dev.conll", "--test", folder / "test.conll")
    return groot("train", *data, "--reward", "f0.5", "--out", folder / "run", *SETTINGS, *more)


def test_a_dry_run_writes_nothing(groot, folder):
    told = train(groot, folder, "--dry-run", "--json")
    assert told.code == 0, told.err
    plan = json.loads(told.out)
    assert plan["examples"] == {"train": 40, "dev": 8, "test": 12}
    assert plan["memory_bytes"] > 0
    assert plan["disk_bytes"] > 0
    assert not (folder / "run").exists()


def test_the_run_and_its_contract(groot, folder):
    told = train(groot, folder, "--json")
    assert told.code == 0, told.err
    results = json.loads(told.out)
    assert results == json.loads((folder / "run" / "results.json").read_text())
    for stage in ("fit", "fit_mbr", "optimised", "optimised_mbr"):
        assert set(results[stage]) >= M_KEYS
        assert len(results[stage]["reward"]["by_rank"]) == 3
        assert set(results[stage]["reward"]) >= {"by_rank", "mean_top_k", "oracle"}
    for name in ("reward_rank_1", "reward_top_k_mean", "metric", "f1"):
        assert set(results["paired"][name]) >= {"difference", "low", "high", "p_value"}
    assert (results["split"], results["k"], results["reward"]) == ("test", 3, "f0.5")
    assert set(results["seconds"]) >= {"fit", "optimise"}
    for name in ("model/groot.json", "model/config.json", "fitted/groot.json", "config.yaml"):
        assert (folder / "run" / name).is_file()
    assert list((folder / "run" / "candidates").glob("*.parquet"))
    html = (folder / "run" / "report.html").read_text()
    assert "http://" not in html.replace("http://www.w3.org", "")
    for line in (folder / "run" / "log.jsonl").read_text().splitlines():
        assert isinstance(json.loads(line), dict)


def test_the_run_says_what_was_proven_of_each_model(groot, folder):
    results = json.loads((folder / "run" / "results.json").read_text())
    examples, _ = read_records(folder / "run" / "evaluation" / "fit.jsonl")
    for stage, name in (("fit", "fitted"), ("optimised", "model")):
        labeler = load_labeler(folder / "run" / name)
        answers = labeler.answers(examples, Asked(4, max_width=64))
        told = proofs([search for answer in answers for search in answer.searches]).as_json()
        assert results[stage]["proofs"] == results[f"{stage}_mbr"]["proofs"] == told
        assert (told["texts"], told["proven"]) == (12, 12)
        (width,) = told["by_width"]
        assert width["searched"] < width["followed"]


def test_a_finished_run_says_so_and_prints_its_table(groot, folder):
    before = (folder / "run" / "results.json").read_bytes()
    told = train(groot, folder)
    assert told.code == 0
    assert "this run is finished" in told.err
    assert "optimised + MBR" in told.out
    assert (folder / "run" / "results.json").read_bytes() == before


def test_other_settings_are_refused(groot, folder):
    told = train(groot, folder, "--seed", 7)
    assert told.code == 2
    assert "seed" in told.err
    assert "--force" in told.err


def test_evaluate_gives_an_m_and_agrees_with_the_run(groot, folder):
    told = groot(
        *("evaluate", folder / "run", "--data", folder / "test.conll", "--json", "--top-k", 3),
        *("--bootstrap-samples", 50),
    )
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert set(found) >= M_KEYS
    stored = json.loads((folder / "run" / "results.json").read_text())["optimised"]
    for name in ("precision", "recall", "f1", "exact", "metric"):
        assert found[name] == pytest.approx(stored[name], abs=1e-6)
    assert found["reward"]["by_rank"] == pytest.approx(stored["reward"]["by_rank"], abs=1e-6)
    stored_again = json.loads(groot("evaluate", folder / "run", "--json", "-k", 3).out)
    assert stored_again["f1"] == pytest.approx(stored["f1"])
    assert stored_again["metric"] == pytest.approx(stored["metric"])


def test_evaluate_says_what_is_proven(groot, folder):
    words = ("evaluate", folder / "run" / "fitted", "--data", folder / "test.conll", "--top-k", 3)
    words = (*words, "--bootstrap-samples", 0)
    exact = json.loads(groot(*words, "--json").out)
    assert exact["proofs"]["proven"] == exact["proofs"]["texts"] == 12
    assert exact["proofs"]["by_width"][0]["width"] == first_width(3)
    assert exact["proofs"]["by_width"][-1]["followed"] == 1.0
    once = json.loads(groot(*words, "--json", "--no-exact").out)["proofs"]
    (only,) = once["by_width"]  # nothing was searched again, or followed up
    assert only["searched"] == only["followed"] == once["proven"] / 12
    assert only["searched"] == exact["proofs"]["by_width"][0]["searched"]
    assert "proven: 12 of 12 texts; " in groot(*words).out
    assert groot(*words, folder / "run").out.count("proven: 12 of 12 texts; ") == 2
    stored = json.loads(groot("evaluate", folder / "run", "--json").out)
    assert stored["proofs"] is None


def test_evaluate_compares_two_runs(groot, folder):
    two = (folder / "run", folder / "run")
    told = groot("evaluate", *two, "--json", "--bootstrap-samples", 20)
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert found["before"]["f1"] == found["after"]["f1"]
    assert found["paired"]["f1"]["difference"] == 0
    shown = groot("evaluate", *two, "--data", folder / "test.conll", "--bootstrap-samples", 20)
    assert shown.code == 0, shown.err
    assert "12 examples, each predicted by both; reward: f0.5" in shown.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--data", "BROKEN"], "BROKEN:2"),
        (["--reward", "f1"], "--reward needs --data"),
        (["--no-exact"], "--no-exact needs --data"),
        (["MISSING"], "MISSING"),
        (["RUN", "RUN"], "3 folders"),
    ],
)
def test_bad_input_to_evaluate(groot, folder, words, complaint):
    broken = folder / "broken.jsonl"
    broken.write_text('{"text": "a", "spans": []}\nbad\n')
    places = {"BROKEN": broken, "RUN": folder / "run", "MISSING": folder / "missing"}
    told = groot("evaluate", folder / "run", *(places.get(word, word) for word in words))
    assert told.code == 2
    for name, place in places.items():
        complaint = complaint.replace(name, str(place))
    assert complaint in told.err
    assert "Traceback" not in told.err


def test_predict_keeps_its_contract(groot, folder):
    texts = ["play singer3 now", "", "singer1 " * 200]
    source, out = folder / "in.jsonl", folder / "out.jsonl"
    lines = [json.dumps({"id": f"t{n}", "text": text}) for n, text in enumerate(texts)]
    source.write_text("\n".join(lines) + "\n")
    told = groot("predict", folder / "run", "--in", source, "--out", out, "--top-k", 3)
    assert told.code == 0, told.err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["t0", "t1", "t2"]
    for row, text in zip(rows, texts, strict=True):
        assert set(row) == {"id", "text", "exact", "covered", "candidates"}
        assert 0 < row["covered"] <= 1
        assert row["text"] == text
        log_p = [one["log_p"] for one in row["candidates"]]
        assert 1 <= len(log_p) <= 3
        assert log_p == sorted(log_p, reverse=True)
        for one in row["candidates"]:
            assert set(one) == {"spans", "log_p", "probability"}
            assert 0 <= one["probability"] <= 1
            for span in one["spans"]:
                assert set(span) == {"start", "end", "text", "label", "probability"}
                assert text[span["start"] : span["end"]] == span["text"]
    again = out.read_bytes()
    out.write_bytes(again[: len(again) // 2])
    assert groot("predict", folder / "run", "--in", source, "--out", out, "-k", 3).code == 0
    assert out.read_bytes() == again


def test_the_report_again(groot, folder):
    path = folder / "run" / "report.html"
    path.unlink()
    told = groot("report", folder / "run", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out) == {"report": str(path)}
    assert path.is_file()
    told = groot("report", folder)
    assert told.code == 2
    assert "Traceback" not in told.err


def test_evaluate_folder_by_another_reward_and_choice(folder):
    settings = EvaluationSettings(reward=("exact",), k=2, choose="mbr")
    found = evaluate_folder(folder / "run", LabelledData(folder / "test.conll"), settings)
    numbers = found.measurement.summary(n_resamples=0)
    assert numbers["reward"]["by_rank"][0] == pytest.approx(numbers["exact"])
    assert numbers["metric"] is None
    assert all(len(ranked) <= 2 for ranked in found.candidates)
