"""A newcomer's reward: one file, one line in the table, and the commands know it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import groot

FILE = '''
"""Reward of saying little."""

def few_spans(example, candidates):
    """1 where nothing is said, less for each span; malformed is 0.0."""
    return [
        0.0 if candidate.is_malformed else 1.0 / (1 + len(candidate.spans))
        for candidate in candidates
    ]
'''
LINE = '        "few_spans": "groot.rewards.few_spans:few_spans",\n'
FIRST = '        "f0.5": FBeta(0.5),\n'
TINY = {
    **dict.fromkeys(("model.width", "model.feed_forward"), 32),
    **dict.fromkeys(("optimise.num_candidates", "evaluation.mbr_candidates"), 2),
    **dict.fromkeys(("model.encoder_layers", "fit.passes", "optimise.rounds", "evaluation.k"), 1),
    "model.vocabulary_size": 300,
    "output.report": "false",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The package with the newcomer's file and line in it."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(Path(groot.__file__).parent, folder / "groot")
    (folder / "groot" / "rewards" / "few_spans.py").write_text(FILE)
    table = folder / "groot" / "rewards" / "__init__.py"
    text = table.read_text()
    assert text.count(FIRST) == 1
    table.write_text(text.replace(FIRST, FIRST + LINE))
    words = ("play nina simone", "play jazz", "stop", "play tom waits now")
    rows = "".join(f"{word} {'O' if word in ('play', 'stop', 'now') else 'B-x'}\n" if word else "\n"
                   for text in words for word in (*text.split(), ""))  # fmt: skip
    (folder / "data.conll").write_text(rows * 4)
    return folder


def run(copy, *arguments):
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "groot", *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_a_new_reward_is_trained_for_and_measured(copy):
    settings = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]
    run(copy, "train", "data.conll", "--reward", "few_spans", "--out", "run", *settings)
    results = json.loads((copy / "run" / "results.json").read_text())
    assert results["reward"] == "few_spans"
    assert 0 < results["optimised"]["reward"]["by_rank"][0] <= 1
    named = ("--data", "data.conll", "--reward", "few_spans", "--top-k", "1", "--json")
    measured = json.loads(run(copy, "evaluate", "run", *named))
    assert 0 < measured["reward"]["by_rank"][0] <= 1


def test_a_name_near_it_is_told(copy):
    code = "from groot.rewards import parse_rewards\nparse_rewards(['few_span'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Did you mean 'few_spans'?" in done.stderr
