"""A newcomer's addition is one file, one line in its room's table and one test.

Each case writes the file and the line into a copy of the source, and uses the new part from the
command line of that copy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.json_lines import read_lines, write_lines

SOURCE = Path(__file__).parents[1] / "src" / "groot"

# Runs commands of `groot` one after the other, at the price of one import of torch.
RUN_ALL = """
import json, sys
from groot.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["groot", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            sys.exit(f"groot {' '.join(words)} ended with {end.code}")
"""


@dataclass(frozen=True)
class Copy:
    """A copy of the source that may be changed."""

    folder: Path

    def add_file(self, name: str, text: str) -> None:
        """Write a new file of the package."""
        path = self.folder / "groot" / name
        assert not path.exists()
        path.write_text(text, encoding="utf-8")

    def add_line(self, name: str, line: str, *, after: str) -> None:
        """Put a line into a table, behind the only line that holds some words."""
        path = self.folder / "groot" / name
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (place,) = [number for number, text in enumerate(lines) if after in text]
        lines.insert(place + 1, line + "\n")
        path.write_text("".join(lines), encoding="utf-8")

    def groot(self, *commands: tuple[object, ...]) -> str:
        """Run commands of the copy; their standard output."""
        words = json.dumps([[str(word) for word in command] for command in commands])
        ended = subprocess.run(
            [sys.executable, "-c", RUN_ALL, words],
            env={**os.environ, "PYTHONPATH": str(self.folder), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A fresh copy of the source."""
    folder = tmp_path / "src"
    shutil.copytree(SOURCE, folder / "groot", ignore=shutil.ignore_patterns("__pycache__"))
    return Copy(folder)


GUIDE = '''"""Rewards of prefixes, cut to one nat."""

from groot.guides.rewarded import RewardGuide


class Gentle(RewardGuide):
    """log p, with at most one nat more or less for the reward of the grown prefix."""

    name = "gentle"
    title = "a gentle guide"
    kinds = ("partial",)

    def rescore(self, log_p, tokens, prefixes, state):
        return log_p + (self.weight * state.score(tokens)).clamp(-1.0, 1.0), state
'''


@pytest.fixture
def writers(tmp_path: Path, tiny_generator: Any) -> Path:
    """A generator and a labeler, each with a reward model of prefixes, and inputs for both."""
    from groot.config import load_config
    from groot.data.sample import read_sample
    from groot.recipes.make_writer import make_labeler
    from groot.reward_models.prefix_model import RewardModel

    generator = tiny_generator("causal")
    generator.save(tmp_path / "generator")
    RewardModel(generator.model, "partial").save(tmp_path / "generator-reward")
    small = ["model.width=32", "model.feed_forward=32", "model.vocabulary_size=300"]
    labeler = make_labeler(load_config(settings=small), read_sample("train").examples[:60])
    labeler.save(tmp_path / "labeler")
    RewardModel(labeler.model, "partial").save(tmp_path / "labeler-reward")
    rows = [{"id": 1, "text": "play"}, {"id": 2, "text": "book"}]
    write_lines(tmp_path / "texts.jsonl", rows)
    write_lines(tmp_path / "prompts.jsonl", [{"prompt": row["text"]} for row in rows])
    return tmp_path


def test_a_guide(copy: Copy, writers: Path) -> None:
    copy.add_file("guides/gentle.py", GUIDE)
    copy.add_line(
        "guides/__init__.py",
        '        "gentle": "groot.guides.gentle:Gentle",',
        after='"farma": Farma,',
    )
    at = writers
    steered = ("predict", at / "generator", "--in", at / "texts.jsonl", "--out")
    by_name = ("--guide", "gentle", "--reward-model", at / "generator-reward", "--weight", 3)
    labelled = ("predict", at / "labeler", "--in", at / "texts.jsonl", "--out")
    compared = ("compare-guides", at / "generator", "--prompts", at / "prompts.jsonl")
    answer = copy.groot(
        (*steered, at / "written.jsonl", *by_name, "--save-guide", at / "saved"),
        (*steered, at / "again.jsonl", "--guide", at / "saved"),
        (*labelled, at / "labels.jsonl", *by_name[:3], at / "labeler-reward"),
        (*compared, "--reward", "length:1-3", "--reward-model", at / "generator-reward", "--json"),
    )
    written = read_lines(at / "written.jsonl")
    assert [line["id"] for line in written] == [1, 2]
    assert read_lines(at / "again.jsonl") == written  # saved, and opened again
    saved = json.loads((at / "saved" / "guide.json").read_text())
    assert (saved["name"], saved["settings"]["weight"]) == ("gentle", 3.0)
    assert len(read_lines(at / "labels.jsonl")) == 2
    numbers = json.loads(answer)
    assert numbers["titles"]["gentle"] == "a gentle guide"
    assert numbers["rows"]["gentle"]["reward_tokens_per_token"] > 5
    assert list(numbers["rows"])[-1] == "gentle"  # where its line stands in the table


OBJECTIVE = '''"""Push down what has less than the mean reward."""

from torch import Tensor


def below_mean(log_p: Tensor, rewards: Tensor, is_real: Tensor, *, slope: float = 1.0) -> Tensor:
    """Mean of slope * (mean reward - reward) * log_p over the real candidates [B]."""
    count = is_real.sum(1, keepdim=True).clamp(min=1)
    mean = (rewards * is_real).sum(1, keepdim=True) / count
    return (slope * (mean - rewards) * log_p.masked_fill(~is_real, 0.0)).sum(1) / count[:, 0]
'''


def test_an_objective(copy: Copy, tmp_path: Path) -> None:
    copy.add_file("objectives/below_mean.py", OBJECTIVE)
    copy.add_line(
        "objectives/__init__.py",
        '        "below_mean": "groot.objectives.below_mean:below_mean",',
        after='"mrt": mrt,',
    )
    sizes = {"model.width": 32, "model.feed_forward": 32, "model.vocabulary_size": 300}
    sizes |= {"fit.passes": 1, "data.max_train": 40, "optimise.rounds": 1, "distil.rounds": 0}
    sizes |= {"optimise.objective": "below_mean", "evaluation.bootstrap_samples": 10}
    settings = [f"--set={name}={value}" for name, value in sizes.items()]
    words = ("train", "sample", "--reward", "f1", *settings, "--set=output.report=false", "--out")
    slope = "--set=optimise.objective_settings.slope="
    copy.groot(
        (*words, tmp_path / "gentle", f"{slope}0"),
        (*words, tmp_path / "steep", f"{slope}50"),
    )
    logs = [read_lines(tmp_path / run / "log.jsonl") for run in ("gentle", "steep")]
    losses = [[line["contrast"] for line in log if "contrast" in line] for log in logs]
    assert losses[0]
    assert not any(losses[0])  # a slope of nothing teaches nothing
    assert all(losses[1])
