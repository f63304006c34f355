"""The report's sections on guides, from files as the commands write them."""

import json

import pytest

from groot.errors import DataError
from groot.evaluation.guide_table import GuideRun, guide_table, pairs_of
from groot.evaluation.prefixes import continuations, mean_reciprocal_rank, order_reversals, spread
from groot.report import write_report
from groot.report.guides import read_guides

TEXT = '<script>alert("no")</script>'


def run(rewards):
    return GuideRun(
        texts=[[TEXT, "play it"] for _ in rewards],
        rewards=[[value, value] for value in rewards],
        log_p=[[-2.0, -3.0] for _ in rewards],
        n_tokens=[[2, 2] for _ in rewards],
        seconds=1.0,
    )


@pytest.fixture
def folder(tmp_path):
    runs = {"top_k": run([0.0, 0.5, 0.0]), "args": run([0.1, 0.5, 0.2]), "pargs": run([1.0] * 3)}
    compared = {
        "n_prompts": 3,
        "n_samples": 2,
        "reward": "length:1-2",
        "baseline": "top_k",
        "titles": {"top_k": "top-k sampling", "args": "ARGS", "pargs": "PARGS"},
        "rows": guide_table(runs),
        "claims": pairs_of(runs, [("pargs", "args")]),
        "examples": [{"prompt": TEXT, "texts": {"top_k": TEXT, "args": "", "pargs": "play"}}],
    }
    won, lost = [[0.1, 0.2, 0.9]] * 3, [[0.3, 0.1, 0.0]] * 3
    diagnosis = {
        "n_pairs": 3,
        "n_prompts": 3,
        "n_samples": 16,
        "rollouts": 2,
        "reward": "length:1-2",
        "continuations": continuations([[[1.0, 0.5]] * 10] * 3, [[[0.0, 0.7]] * 10] * 3),
        "order": {"partial": order_reversals(won, lost)},
        "spread": {"partial": spread(won)},
        "ranks": {"none": mean_reciprocal_rank([[1, 2]])},
    }
    (tmp_path / "guides.json").write_text(json.dumps(compared), encoding="utf-8")
    (tmp_path / "diagnosis.json").write_text(json.dumps(diagnosis), encoding="utf-8")
    return tmp_path


def test_both_sections_with_their_numbers(folder):
    page = write_report(folder).read_text(encoding="utf-8")
    for shown in ("PARGS", "pargs &gt; args", "Gini", "unguided", "log p per token"):
        assert shown in page
    assert page.count("<svg") == 5
    assert page.count("<figure>") == 5


def test_texts_are_escaped_and_nothing_is_loaded(folder):
    page = write_report(folder).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_each_file_alone(folder):
    (folder / "diagnosis.json").unlink()
    assert write_report(folder).read_text(encoding="utf-8").count("<svg") == 1
    assert read_guides(folder).diagnosis is None


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": {}}'])
def test_broken_files_are_named(folder, text):
    (folder / "guides.json").write_text(text)
    with pytest.raises(DataError, match=r"guides\.json"):
        write_report(folder)


def test_a_folder_without_anything_says_so(tmp_path):
    assert not read_guides(tmp_path)
    with pytest.raises(DataError):
        write_report(tmp_path)
