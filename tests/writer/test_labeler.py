"""What a labeler promises of any text (D3, D6, S12), and of hostile folders (M1, M2)."""

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import groot
from groot.config import load_config
from groot.data.sample import read_sample
from groot.errors import ModelError
from groot.models.loading import load_model
from groot.recipes.make_writer import make_labeler
from groot.studies.evaluate_folder import EvaluationSettings, evaluate_folder
from groot.studies.labelled_data import LabelledData

EXAMPLES = read_sample("train").examples[:60]


def new_labeler(window_words: int = 16):
    """An untrained one: its labels are as good as random, so nothing hides behind 'O'."""
    names = {
        "model.width": 32,
        "model.feed_forward": 32,
        "model.encoder_layers": 1,
        "model.vocabulary_size": 400,
        "model.window_words": window_words,
        "model.window_overlap": 5,
    }
    config = load_config(settings=[f"{name}={value}" for name, value in names.items()])
    labeler = make_labeler(config, EXAMPLES)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():  # all labels near each other, so that ranks hold many spans
        for weight in labeler.model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return labeler


@pytest.fixture(scope="module")
def labeler():
    return new_labeler()


def spans_fit(labeler, text: str, ranked) -> int:
    """Check all that holds of the candidates of a text; gives how many spans they have."""
    assert len(ranked) >= 1
    log_p = [candidate.log_p for candidate in ranked]
    assert log_p == sorted(log_p, reverse=True)
    assert all(value <= 1e-4 for value in log_p)
    assert len({candidate.output for candidate in ranked}) == len(ranked)
    for candidate in ranked:
        end = 0
        for span in candidate.spans:
            assert text[span.start : span.end] == span.text
            assert span.start >= end
            assert span.end > span.start
            assert span.label in labeler.form.labels
            assert 0 <= span.probability <= 1
            end = span.end
    return sum(len(candidate.spans) for candidate in ranked)


ANYTHING = st.text(max_size=60)
ODD = ["play", "é", "e\u0301", "👩\u200d👧", "\u200b", "\ufeff", "東京", "ﬁ", "İ", "ß"]
ODD += ["a\u00a0b", "١٢"]
ODD += ["<s0>", "</s>", "<tag:O>", "<unk>", "<pad>", "\u2028", "\x85", "\x00", "\U0001f600"]
GAPS = st.sampled_from([" ", "  ", "\t", "\n"])
WORDS = st.builds(lambda gap, words: gap.join(words), GAPS, st.lists(st.sampled_from(ODD)))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.lists(ANYTHING | WORDS, min_size=1, max_size=4), st.integers(1, 4))
def test_every_span_is_a_slice_of_its_text(labeler, texts, top_k):
    found = labeler(texts, top_k=top_k)
    assert len(found) == len(texts)
    for text, ranked in zip(texts, found, strict=True):
        assert len(ranked) <= top_k
        spans_fit(labeler, text, ranked)


def test_the_labeler_of_these_tests_finds_spans(labeler):
    texts = [example.text for example in EXAMPLES]
    found = labeler(texts, top_k=4)
    many = sum(spans_fit(labeler, *pair) for pair in zip(texts, found, strict=True))
    assert many > 100


@pytest.mark.parametrize("text", ["", " ", "\t\n  \u00a0", "\ufeff", "\u200b"])
@pytest.mark.parametrize("choose", ["top", "mbr"])
def test_no_words(labeler, text, choose):
    (alone,) = labeler(text, top_k=3, choose=choose)
    assert spans_fit(labeler, text, alone) == 0 or text.strip()
    between = labeler(["play it", text, "play it"], top_k=3, choose=choose)
    assert [c.output for c in between[1]] == [c.output for c in alone]


def test_no_texts(labeler):
    assert labeler([]) == []


def test_a_prediction_says_whether_it_is_proven(labeler):
    examples = [groot.writer.writer.example_of(" ".join(one.words[:2])) for one in EXAMPLES[:12]]
    long = groot.writer.writer.example_of(" ".join(one.text for one in EXAMPLES[:4]))
    proven = labeler.predict([*examples, long], top_k=2, probability_candidates=0)
    once = labeler.predict([*examples, long], top_k=2, probability_candidates=0, exact=False)
    for one in (*proven, *once):
        assert one.exact == all(found.exact for found in one.searches)
    for example, one in zip([*examples, long], proven, strict=True):
        assert len(one.searches) == len(labeler.windows(example))
    assert len(proven[-1].searches) > 1
    assert sum(bool(one.exact) for one in once) < sum(bool(one.exact) for one in proven)
    for sure, first in zip(proven, once, strict=True):
        assert sure.candidates[0].log_p >= first.candidates[0].log_p - 1e-4
        if first.exact:
            assert [c.output for c in first.candidates] == [c.output for c in sure.candidates]


@pytest.mark.parametrize("choose", ["top", "mbr"])
def test_alone_and_in_batches_of_32_the_labels_are_the_same(labeler, choose):
    texts = [example.text for example in EXAMPLES[:30]]
    texts += ["", "play", " ".join(texts[:4]), " ".join(texts[:9])]  # the last are cut to windows
    alone = [labeler(text, top_k=3, choose=choose)[0] for text in texts]
    for size in (1, 32):
        together = labeler(texts, top_k=3, choose=choose, batch_size=size)
        for one, other in zip(alone, together, strict=True):
            assert [c.output for c in one] == [c.output for c in other]
            for a, b in zip(one, other, strict=True):
                assert a.log_p == pytest.approx(b.log_p, abs=1e-4)


def test_a_saved_labeler_is_the_same(labeler, tmp_path):
    labeler.save(tmp_path / "model")
    texts = [example.text for example in EXAMPLES[:8]]
    again = groot.load(tmp_path / "model")
    assert again(texts, top_k=3) == labeler(texts, top_k=3)
    assert groot.load(tmp_path)(texts, top_k=3) == labeler(texts, top_k=3)  # a run's folder


# Hostile folders


class Payload:
    """Whatever unpickles it writes the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return (os.system, (f"touch {self.canary}",))


def in_file(name: str) -> Callable[[Path, Path], None]:
    def write(folder: Path, canary: Path) -> None:
        if name.endswith(".py"):
            (folder / name).write_text(f"import os; os.system('touch {canary}')\n")
        elif name.endswith(".zip.bin"):
            torch.save({"w": Payload(canary)}, folder / name)
        else:
            (folder / name).write_bytes(pickle.dumps(Payload(canary)))

    return write


def in_settings(name: str, **values) -> Callable[[Path, Path], None]:
    def write(folder: Path, canary: Path) -> None:
        path = folder / name
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**before, **values}))

    return write


def instead_of_weights(folder: Path, canary: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({**weights, "evil": Payload(canary)}, folder / "pytorch_model.bin")


def as_safetensors(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Payload(canary)))


def linked_out(folder: Path, canary: Path) -> None:
    target = folder.parent / "elsewhere.safetensors"
    shutil.move(folder / "model.safetensors", target)
    (folder / "model.safetensors").symlink_to(target)


HOSTILE = {
    "weights as a pickle": instead_of_weights,
    "a pickle called safetensors": as_safetensors,
    "weights behind a link": linked_out,
    "pytorch_model.bin": in_file("pytorch_model.bin"),
    "a zip": in_file("extra.zip.bin"),
    "training_args.bin": in_file("training_args.bin"),
    "optimizer.pt": in_file("optimizer.pt"),
    "rng_state.pth": in_file("rng_state.pth"),
    "head.pkl": in_file("head.pkl"),
    "head.joblib": in_file("head.joblib"),
    "model code": in_file("modeling_evil.py"),
    "auto_map": in_settings("config.json", auto_map={"AutoConfig": "modeling_evil.Config"}),
    "tokenizer auto_map": in_settings(
        "tokenizer_config.json", auto_map={"AutoTokenizer": ["modeling_evil.Tok", None]}
    ),
    "auto_map in groot.json": in_settings("groot.json", auto_map={"AutoModel": "a.b"}),
    "adapter": in_settings("adapter_config.json", auto_mapping={"parent_library": "antigravity"}),
    "attention from the Hub": in_settings("config.json", _attn_implementation="a/kernel"),
    "index that leads out": in_settings(
        "model.safetensors.index.json", weight_map={"w": "../../w.safetensors"}
    ),
}


@pytest.fixture(scope="module")
def good_folder(labeler, tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "model"
    labeler.save(folder)
    return folder


@pytest.fixture
def folder(good_folder, tmp_path):
    return Path(shutil.copytree(good_folder, tmp_path / "run" / "model"))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_folder_is_refused_and_runs_nothing(folder, tmp_path, kind):
    canary = tmp_path / "canary"
    HOSTILE[kind](folder, canary)
    for load in (groot.load, load_model, lambda place: groot.load(place.parent)):
        with pytest.raises(ModelError) as caught:
            load(folder)
        assert str(folder) in str(caught.value)
    assert not canary.exists()


def test_the_commands_refuse_it_too(folder, tmp_path):
    canary = tmp_path / "canary"
    in_file("training_args.bin")(folder, canary)
    (tmp_path / "in.jsonl").write_text('{"text": "play it"}\n')
    done = subprocess.run(
        [
            *(sys.executable, "-m", "groot.cli", "predict", str(folder.parent)),
            *("--in", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out.jsonl")),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2
    assert "training_args.bin: may hold a pickle" in done.stderr
    assert "Traceback" not in done.stderr
    assert not canary.exists()
    assert not (tmp_path / "out.jsonl").exists()


def cut(share: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return damage


def changed(change: Callable[[dict], dict]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        save_file(change(load_file(path)), path, {"format": "pt"})

    return damage


def first_name(weights: dict) -> str:
    return sorted(name for name, weight in weights.items() if weight.ndim == 2)[0]


def with_nan(weights: dict) -> dict:
    weights[first_name(weights)][0, 0] = torch.nan
    return weights


def with_other_shape(weights: dict) -> dict:
    name = first_name(weights)
    return {**weights, name: weights[name][:-1].clone()}


def without_one(weights: dict) -> dict:
    name = first_name(weights)
    return {key: value for key, value in weights.items() if key != name}


DAMAGE = {
    "a header of 2^63 bytes": lambda path: path.write_bytes(struct.pack("<Q", 1 << 63) + b"{}"),
    "a header of 100 MB": lambda path: path.write_bytes(struct.pack("<Q", 100_000_001) + b"{" * 99),
    "nothing": lambda path: path.write_bytes(b""),
    "half of it": cut(0.5),
    "all but its end": cut(0.999),
    "NaN": changed(with_nan),
    "a weight of another shape": changed(with_other_shape),
    "a weight less": changed(without_one),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_weights_are_refused(folder, kind):
    DAMAGE[kind](folder / "model.safetensors")
    with pytest.raises(ModelError) as caught:
        groot.load(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"version": 2},
        {"format": "unheard-of"},
        {"format": 3},
        {"labels": "artist"},
        {"labels": [1, 2]},
        {"labels": []},
        {"labels": ["artist", "artist"]},
        {"labels": ["artist", "never seen in training"]},
        {"label_style": "loud"},
        {"window_words": 0},
        {"window_words": 3, "window_overlap": 3},
        {"window_overlap": -1},
        {"window_words": 10_000},
        {"reward": [1]},
        {"reward": [""]},
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused(folder, tmp_path, values):
    canary = tmp_path / "canary"
    in_settings("groot.json", **values)(folder, canary)
    with pytest.raises(ModelError) as caught:
        groot.load(folder)
    assert str(folder) in str(caught.value)


CODE = """
import pathlib
pathlib.Path({canary!r}).touch()
def reward(example, candidates):
    return [float(len(candidate.output)) for candidate in candidates]
"""


def test_code_that_a_folder_names_as_its_reward_is_not_run_unasked(folder, tmp_path):
    canary = tmp_path / "canary"
    (tmp_path / "mine.py").write_text(CODE.format(canary=str(canary)))
    (tmp_path / "test.jsonl").write_text('{"text": "play it", "spans": []}\n')
    spec = f"{tmp_path / 'mine.py'}:reward"
    in_settings("groot.json", reward=[f"{spec}=0.5", "f1=0.5"])(folder, canary)
    labeler = groot.load(folder)
    labeler("play it", top_k=3)
    with pytest.raises(ModelError, match="no code is run because a folder says so"):
        labeler("play it", choose="mbr")
    with pytest.raises(ModelError, match="name it again"):
        evaluate_folder(folder, LabelledData(tmp_path / "test.jsonl"))
    assert not canary.exists()
    (best,) = labeler("play it", choose="mbr", reward=[spec])[0]
    assert canary.exists()
    assert len(best.spans) == max(len(c.spans) for c in labeler("play it", top_k=16)[0])
    settings = EvaluationSettings(reward=(spec,), choose="mbr")
    found = evaluate_folder(folder, LabelledData(tmp_path / "test.jsonl"), settings)
    assert len(found.examples) == 1


def test_a_loaded_labeler_does_not_learn_and_prepares_its_weights_once(labeler, tmp_path):
    labeler.save(tmp_path)
    loaded = groot.load(tmp_path)
    assert not any(module.training for module in loaded.model.modules())
    loaded("play nina simone")
    decoder = loaded.model._parts[2]
    prepared = loaded.model._prepared.of(decoder)
    loaded(["play nina simone", "a table for two"], top_k=3)
    assert loaded.model._prepared.of(decoder) is prepared  # 10 ms a call, if it were made anew
