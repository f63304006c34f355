"""groot train: what the words on the line become, and what it prints. The recipe is a stand-in."""

import json
import sys
from types import ModuleType

import pytest

from groot.cli.reward_option import spread_rewards
from groot.config import load_config
from groot.engine.events import Note, StageFinished, StageStarted, StepDone
from groot.recipes.plan import Plan, PlannedStage

MEASURED = {
    "precision": 0.75,
    "recall": 0.5,
    "f1": 0.6,
    "exact": 0.25,
    "malformed": 1,
    "metric": 0.68,
    "intervals": {"metric": [0.61, 0.74]},
    "reward": {"by_rank": [0.7, 0.6, None], "mean_top_k": 0.65, "oracle": 0.9},
    "calibration_error": None,
    "proofs": {"texts": 8, "proven": 6, "by_width": []},
}
RESULTS = {
    **dict.fromkeys(("fit", "fit_mbr", "optimised", "optimised_mbr"), MEASURED),
    "paired": {
        "reward_rank_1": {"difference": 0.02, "low": 0.01, "high": 0.03, "p_value": 0.0004},
        "metric": {"difference": None, "low": None, "high": None, "p_value": None},
    },
    "split": "test",
    "k": 3,
    "reward": "f0.5",
    "seconds": {"fit": 10.0, "optimise": 5.0},
}


class Recipe(ModuleType):
    """groot.recipes.run without the training."""

    def __init__(self) -> None:
        super().__init__("groot.recipes.run")
        self.given: dict = {}
        self.ends_with: BaseException | None = None
        self.reported: list = []

    def train_run(self, config, *, out, events, force):
        self.given = {"config": config, "out": out, "force": force}
        events(Note("continuing from step 2 of fit"))
        events(StageStarted("fit", 4, first_step=2))
        events(StepDone("fit", 3, 4, 1.5, {"dev f0.5": 0.5}))
        if self.ends_with is not None:
            raise self.ends_with
        events(StageFinished("fit", 61.0, {"dev f0.5": 0.6}))
        return RESULTS

    def write_report(self, folder):
        self.reported.append(folder)
        folder.mkdir(exist_ok=True)
        (folder / "report.html").touch()

    def plan_run(self, config):
        self.given = {"config": config}
        stages = (PlannedStage("fit", 100, 60.0, "10 x 10"), PlannedStage("optimise", 5, None))
        return Plan(
            {"train": 10}, stages, 1000, 2**20, 2**21, 50, {"model": "embedded"}, ("f:3: bad",)
        )


@pytest.fixture
def recipe(monkeypatch) -> Recipe:
    found = Recipe()
    report = ModuleType("groot.report")
    report.write_report = found.write_report  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "groot.recipes.run", found)
    monkeypatch.setitem(sys.modules, "groot.recipes.plan_run", found)
    monkeypatch.setitem(sys.modules, "groot.report", report)
    return found


def test_words_become_settings(groot, recipe, tmp_path):
    stored = tmp_path / "c.parquet"
    stored.touch()
    told = groot(
        *("train", "data.conll", "--dev", "dev.conll", "--test", "test.conll"),
        *("--reward", "f0.5=0.8", "exact=0.2", "--out", tmp_path / "run", "--seed", 3),
        *("--model", "t5", "--label-style", "words", "--task", "spans", "--format", "columns"),
        *("--on-bad-lines", "skip", "--candidates", stored, "--reward-timeout", 5),
        *("--reader", "scheme=IOB1", "--reader", "tag_column=0"),
        *("--reward-workers", 2, "--on-reward-error", "skip", "--set", "fit.passes=7", "--force"),
    )
    assert told.code == 0, told.err
    assert recipe.given["out"] == tmp_path / "run"
    assert recipe.given["force"] is True
    assert recipe.given["config"] == load_config(
        settings=[
            "seed=3",
            "data.train=data.conll",
            "data.dev=dev.conll",
            "data.test=test.conll",
            "data.task=spans",
            "data.format=columns",
            "data.on_bad_lines=skip",
            "reward.specs=[f0.5=0.8, exact=0.2]",
            "reward.timeout_s=5",
            "reward.workers=2",
            "reward.on_error=skip",
            "model.name=t5",
            "model.label_style=words",
            f"optimise.candidates_file={stored}",
            "data.reader={scheme: IOB1, tag_column: 0}",
            "fit.passes=7",
        ]
    )


def test_flags_win_over_the_file_and_set_over_both(groot, recipe, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("seed: 1\ndata: {train: from_file}\nreward: {specs: [exact]}\n")
    groot("train", "--config", path, "--out", tmp_path / "run", "--seed", 2)
    config = recipe.given["config"]
    assert (config.seed, config.data.train, config.reward.specs) == (2, "from_file", ["exact"])
    groot("train", "--config", path, "--out", "r", "--seed", 2, "--set", "seed=5")
    assert recipe.given["config"].seed == 5


def test_all_mistakes_at_once_and_nothing_runs(groot, recipe, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("fit:\n  pases: 3\n")
    told = groot("train", "x", "--config", path, "--out", "r", "--seed", -1, "--set", "sed=1")
    assert told.code == 2
    assert told.err.startswith("error: 3 mistakes in the settings:")
    assert f"{path}:2: fit.pases" in told.err
    assert "command line seed: -1" in told.err
    assert "--set sed: no such setting. Did you mean 'seed'?" in told.err
    assert recipe.given == {}


def test_what_is_missing_is_asked_for(groot, recipe):
    told = groot("train", "--seed", 1)
    assert told.code == 2
    assert "no training data" in told.err
    assert "--out" in told.err


@pytest.fixture(autouse=True)
def in_an_empty_folder(monkeypatch, tmp_path):
    """Runs named "r" stay in the test's own folder."""
    monkeypatch.chdir(tmp_path)


def test_the_report_is_written_once(groot, recipe, tmp_path):
    groot("train", "x", "--out", tmp_path / "run", "--set", "output.report=false")
    assert recipe.reported == []
    for _ in range(2):  # the second time the run is finished, and its report there
        told = groot("train", "x", "--out", tmp_path / "run")
        assert f"report: {tmp_path / 'run' / 'report.html'}" in told.out
    assert recipe.reported == [tmp_path / "run"]


def test_the_table_and_the_progress(groot, recipe, tmp_path):
    told = groot("train", "x", "--out", tmp_path)
    assert told.code == 0
    for part in ("fitted + MBR", "optimised", "0.610 to 0.740", "f0.5", "best of the top 3"):
        assert part in told.out
    assert "0.020 [0.010, 0.030]" in told.out
    assert "0.0004" in told.out
    (shares,) = (line.split() for line in told.out.splitlines() if "share proven" in line)
    assert shares == ["share", "proven", *4 * ["0.750"]]
    assert f"report: {tmp_path / 'report.html'}" in told.out
    assert "continuing from step 2 of fit" in told.err
    assert "fit done in 1:01, dev f0.5 0.600" in told.err


def test_json_is_all_that_is_on_standard_output(groot, recipe):
    assert json.loads(groot("train", "x", "--out", "r", "--json").out) == RESULTS


def test_a_dry_run_prints_the_plan(groot, recipe, tmp_path):
    told = groot("train", "x", "--out", tmp_path / "run", "--dry-run")
    assert told.code == 0
    for part in ("train examples", "100 steps at most", "about 1:00", "1.0 MiB", "2.0 MiB"):
        assert part in told.out
    assert "f:3: bad" in told.err
    assert not (tmp_path / "run").exists()
    found = json.loads(groot("train", "x", "--out", "r", "--dry-run", "--json").out)
    assert found["stages"][0]["steps"] == 100
    assert found["seconds"] is None


def test_print_config_is_a_config(groot, recipe, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(groot("train", "--print-config", "--seed", 9).out)
    assert load_config(path) == load_config(settings=["seed=9"])
    assert recipe.given == {}


@pytest.mark.parametrize(
    ("ending", "code"), [(KeyboardInterrupt(), 130), (SystemExit(130), 130), (SystemExit(143), 143)]
)
def test_interruptions(groot, recipe, ending, code):
    recipe.ends_with = ending
    told = groot("train", "x", "--out", "r")
    assert told.code == code
    assert ("the same command again continues" in told.err) == isinstance(ending, KeyboardInterrupt)
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("words", "spread"),
    [
        (["--reward", "f1", "data"], ["--reward", "f1", "data"]),
        (["--reward", "f1", "a=1"], ["--reward", "f1", "a=1"]),
        (["--reward", "a=1", "b=-.5", "c=2e-1"], "--reward a=1 --reward b=-.5 --reward c=2e-1"),
        (["--reward=a=1", "b=2", "data"], "--reward=a=1 --reward b=2 data"),
        (["--reward", "a=1", "data", "b=2"], ["--reward", "a=1", "data", "b=2"]),
        (["--reward", "a=1", "--set", "b=2"], ["--reward", "a=1", "--set", "b=2"]),
        (["--reward", "a=1", "--", "b=2"], ["--reward", "a=1", "--", "b=2"]),
        (["--reward", "m.py:f=1", "g=2"], "--reward m.py:f=1 --reward g=2"),
    ],
)
def test_several_weighted_rewards_after_one_option(words, spread):
    assert spread_rewards(words) == (spread.split() if isinstance(spread, str) else spread)


def test_the_other_processes_of_a_launch_print_nothing(groot, recipe, monkeypatch, tmp_path):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(recipe, "train_run", lambda config, **more: {})
    told = groot("train", "x", "--out", tmp_path)
    assert (told.code, told.out, told.err) == (0, "", "")
    assert recipe.reported == []
