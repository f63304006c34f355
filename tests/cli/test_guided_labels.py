"""groot predict --guide on a labeler: a guide by name or from its folder, and what is refused."""

import json
import shlex

import pytest
import torch

import groot as package
from fixtures.json_lines import read_lines, write_lines
from groot.config import load_config
from groot.data.sample import read_sample
from groot.guides.making import make_guide
from groot.guides.saved_guides import save_guide
from groot.models.embedded_text import make_text_model
from groot.recipes.make_writer import make_labeler
from groot.reward_models.folders import open_reward_model
from groot.reward_models.prefix_model import RewardModel
from groot.types import Span

TEXTS = ["play nina simone in paris", "book a table in may", ""]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    at = tmp_path_factory.mktemp("guided")
    small = ["model.width=32", "model.feed_forward=32", "model.vocabulary_size=300"]
    labeler = make_labeler(load_config(settings=small), read_sample("train").examples[:60])
    with torch.no_grad():  # untrained, it finds all labels alike
        table = labeler.model.model.get_input_embeddings().weight
        table += torch.randn(table.shape, generator=torch.Generator().manual_seed(1))
    labeler.save(at / "labeler")
    RewardModel(labeler.model, "partial").save(at / "partial")
    other = make_text_model(["other words"], shape="encoder-decoder", vocabulary_size=280)
    RewardModel(other, "partial").save(at / "other")
    write_lines(at / "texts.jsonl", TEXTS)
    return at


def predict(groot, folders, out, *more):
    return groot(
        "predict", folders / "labeler", "--in", folders / "texts.jsonl", "--out", out, *more
    )


def read(path):
    return [[one["spans"] for one in line["candidates"]] for line in read_lines(path)]


def test_a_guide_steers_labels_and_is_saved_with_its_weight(groot, folders, tmp_path):
    words = ("--guide", "pargs", "--reward-model", folders / "partial", "--weight", 6, "-k", 2)
    told = predict(groot, folders, tmp_path / "one", *words, "--save-guide", tmp_path / "guide")
    assert told.code == 0, told.err
    assert predict(groot, folders, tmp_path / "plain", "-k", 2).code == 0
    steered, plain = read(tmp_path / "one"), read(tmp_path / "plain")
    assert [len(some) for some in steered] == [2, 2, 1]
    assert steered[:2] != plain[:2]
    again = predict(groot, folders, tmp_path / "two", "--guide", tmp_path / "guide", "-k", 2)
    assert again.code == 0, again.err
    assert read(tmp_path / "two") == steered
    # probabilities stay the labeler's own
    found, own = read_lines(tmp_path / "one")[0], read_lines(tmp_path / "plain")[0]
    assert found["covered"] == pytest.approx(own["covered"], abs=0.05)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--guide", "pargs"), "needs a reward model"),
        (("--guide", "deal", "--reward-model", "{at}/partial"), "'deal' does not steer labels"),
        (("--guide", "mbr"), "--choose mbr"),
        (("--guide", "args", "--reward-model", "{at}/partial"), "of kind sequence"),
        (("--guide", "pargs", "--reward-model", "{at}/other"), "other tokens than the labeler"),
        (
            ("--guide", "pargs", "--reward-model", "{at}/partial", "--thresholds", "{at}/limits"),
            "leave out --guide",
        ),
    ],
)
def test_mistakes(words, said, groot, folders, tmp_path):
    words = [word.replace("{at}", str(folders)) for word in words]
    told = predict(groot, folders, tmp_path / "out", *words)
    assert told.code != 0
    assert said in " ".join(told.err.split())
    assert not (tmp_path / "out").exists()


def test_steer_learns_a_guide_that_predict_takes(groot, folders, tmp_path):
    lines = []
    for example in read_sample("dev").examples[:30]:
        spans = [{"start": s.start, "end": s.end, "label": s.label} for s in example.spans]
        lines.append(json.dumps({"text": example.text, "spans": spans}) + "\n")
    (tmp_path / "dev.jsonl").write_text("".join(lines))
    words = ("steer", folders / "labeler", "--data", tmp_path / "dev.jsonl", "--reward", "f0.5")
    told = groot(*words, "--candidates", 4, "--out", tmp_path / "steered")
    assert told.code == 0, told.err
    assert "most probable first" in told.out
    assert "guided against unguided, best expected first" in told.out
    advice = shlex.split(told.out.splitlines()[-1].removeprefix("use it: groot "))
    guide = str(tmp_path / "steered" / "guide")
    asked = ["predict", str(folders / "labeler"), "--in", "texts.jsonl", "--guide", guide]
    assert advice[:6] == asked
    advice[3] = folders / "texts.jsonl"
    found = groot(*advice, "--out", tmp_path / "out")
    assert found.code == 0, found.err
    assert [len(some) for some in read(tmp_path / "out")] == [1, 1, 1]
    results = json.loads((tmp_path / "steered" / "results.json").read_text())
    again = predict(groot, folders, tmp_path / "again", "--guide", guide,
                    "--choose", results["choose"], "--reward", "f0.5")  # fmt: skip
    assert again.code == 0, again.err
    assert read(tmp_path / "again") == read(tmp_path / "out")


def test_what_comes_first_is_as_the_guide_says_unless_told_otherwise(groot, folders, tmp_path):
    labeler = package.load(folders / "labeler")
    reward_model = open_reward_model(folders / "partial")
    guide = make_guide("pargs", labeler, reward_model=reward_model, weight=2.0)

    def found(name: str, *words: str):
        told = predict(groot, folders, tmp_path / name, "--guide", str(tmp_path / "guide"), *words)
        assert told.code == 0, told.err
        return read(tmp_path / name)

    save_guide(guide, tmp_path / "guide")
    top = found("plain")
    mbr = found("asked", "--choose", "mbr", "--reward", "precision")
    # MBR has to maximise what the guide learnt, which need not be what the labeler was trained for
    save_guide(guide, tmp_path / "guide", choose="mbr", reward=["precision"])
    assert found("saved") == mbr
    assert found("top", "--choose", "top") == top != mbr
    other = found("other", "--reward", "recall")
    assert other == found("recall", "--choose", "mbr", "--reward", "recall")
    few = predict(groot, folders, tmp_path / "few", "--guide", str(tmp_path / "guide"),
                  "--candidates", "0")  # fmt: skip
    assert few.code == 2
    assert "--choose top" in few.err

    save_guide(guide, tmp_path / "guide", choose="mbr", reward=["mine.py:function"])
    code = predict(groot, folders, tmp_path / "code", "--guide", str(tmp_path / "guide"))
    assert code.code == 2
    assert "no code is run because a folder says so" in " ".join(code.err.split())
    told = json.loads((tmp_path / "guide" / "guide.json").read_text())
    (tmp_path / "guide" / "guide.json").write_text(json.dumps({**told, "use": {"choose": "x"}}))
    damaged = predict(groot, folders, tmp_path / "bad", "--guide", str(tmp_path / "guide"))
    assert damaged.code == 2
    assert '"use" is damaged' in damaged.err


def test_steer_needs_texts(groot, folders, tmp_path):
    words = ("steer", folders / "labeler")
    empty = groot(*words, "--data", tmp_path / "none.jsonl", "--out", tmp_path / "steered")
    assert empty.code == 2


def test_with_a_guide_log_p_stays_the_labelers_own_whatever_comes_first(groot, folders, tmp_path):
    labeler = package.load(folders / "labeler")
    guide = ("--guide", "pargs", "--reward-model", folders / "partial", "--weight", 6, "-k", 2)
    for choose in ("top", "mbr"):
        out = tmp_path / choose
        told = predict(groot, folders, out, *guide, "--choose", choose, "--reward", "f1")
        assert told.code == 0, told.err
        for line in out.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            outputs = [
                tuple(Span(s["start"], s["end"], s["label"], s["text"]) for s in one["spans"])
                for one in row["candidates"]
            ]
            (own,) = labeler.score([row["text"]], [outputs])
            assert [one["log_p"] for one in row["candidates"]] == pytest.approx(own, abs=1e-3)
