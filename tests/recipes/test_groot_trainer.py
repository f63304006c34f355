"""GrootTrainer as a user of TRL would use it."""

import importlib.util
import json
import sys
from pathlib import Path

import datasets
import pytest
from peft import LoraConfig
from safetensors.torch import load_file

import groot
from groot import GrootConfig, GrootTrainer
from groot.data.sample import read_sample
from groot.engine.files import sha256_of
from groot.errors import ConfigError, DataError, GrootError, OutputError
from groot.targets.schemes import tags_of_spans
from groot.targets.words import split_words

EXAMPLES = read_sample("train").examples[:48]
DEV = read_sample("dev").examples[:10]


def tag_rows(examples):
    rows = []
    for example in examples:
        by_start = {start: index for index, start in enumerate(example.word_starts)}
        spans = []
        for span in example.spans:
            first = by_start[span.start]
            spans.append((first, first + len(split_words(span.text)[0]), span.label))
        tags = tags_of_spans(spans, len(example.words), "IOB2")
        rows.append({"tokens": list(example.words), "ner_tags": tags})
    return rows


def as_dicts(examples):
    return [
        {
            "text": example.text,
            "spans": [{"start": s.start, "end": s.end, "label": s.label} for s in example.spans],
            "hint": len(example.spans),
        }
        for example in examples
    ]


def as_dataset(examples):
    rows = tag_rows(examples)
    names = sorted({tag for row in rows for tag in row["ner_tags"]})
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=names)),
        }
    )
    return datasets.Dataset.from_list(rows, features=features)


FUNCTIONS = """
def native(example, candidates):
    return [float(candidate.output == example.spans) for candidate in candidates]


def count_like_the_hint(prompts, completions, hint, spans, **columns):
    assert len(prompts) == len(completions) == len(hint) == len(spans)
    return [
        1.0 / (1 + abs(len(gold) - number)) for gold, number in zip(spans, hint, strict=True)
    ]


def is_exact(completions, completion, **kwargs):
    return [float(got == gold) for got, gold in zip(completions, completion, strict=True)]


def brevity(completions, **kwargs):
    return [-len(completion) / 1000 for completion in completions]
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    """Functions as users write them: in a module of theirs, here one that imports nothing slow."""
    path = tmp_path_factory.mktemp("functions") / "functions_of_a_user.py"
    path.write_text(FUNCTIONS)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[path.stem]


def config_of(out, small_settings, **more):
    # proven top candidates, so that one search finds what another found
    settings = {**small_settings, "search.max_width": 256, "optimise.rounds": 1, "fit.passes": 1}
    settings |= more.pop("settings", {})
    return GrootConfig(output_dir=str(out), k=3, settings=settings, **more)


@pytest.mark.parametrize("form", [list, as_dicts, as_dataset, tag_rows])
def test_every_form_of_a_dataset_gives_the_same_examples(form, small_settings, tmp_path):
    args = config_of(tmp_path / "run", small_settings)
    trainer = GrootTrainer(None, "f0.5", args, form(EXAMPLES), form(DEV))
    for got, wanted in ((trainer.data.train, EXAMPLES), (trainer.data.dev, DEV)):
        assert [e.words for e in got] == [e.words for e in wanted]
        assert [e.spans for e in got] == [e.spans for e in wanted]
    assert not (tmp_path / "run").exists()
    alone = GrootTrainer(None, "f0.5", args, form(EXAMPLES))
    assert (len(alone.data.train), len(alone.data.dev)) == (44, 4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_settings, functions):
    """A trainer with rewards of all kinds, mentions swapped, that has trained."""
    out = tmp_path_factory.mktemp("trainer") / "run"
    args = config_of(
        out,
        small_settings,
        reward_weights=[0.4, 0.3, 0.2, 0.1],
        settings={"fit.mention_swap": 0.5, "optimise.mention_swap": 0.5},
    )
    trainer = GrootTrainer(
        None,
        [functions.native, functions.count_like_the_hint, functions.is_exact, "f0.5"],
        args,
        as_dicts(EXAMPLES),
        as_dicts(DEV),
    )
    assert trainer.log_history == []
    return trainer, trainer.train()


def test_rewards_of_every_kind_with_weights(trained):
    trainer, results = trained
    assert results == trainer.results
    names = ["native", "count_like_the_hint", "is_exact", "f0.5"]
    assert list(results["rewards_missing"]) == names
    for counts in results["rewards_missing"].values():
        assert counts["asked"] > 0
        assert sum(counts.values()) == counts["asked"]  # none missing
    assert results["k"] == 3
    assert results["split"] == "dev"


def test_the_log_has_the_keys_of_trl(trained):
    trainer, _ = trained
    fit = [line for line in trainer.log_history if line["stage"] == "fit"]
    contrast = [line for line in trainer.log_history if line["stage"] == "round 1"]
    contrast = [line for line in contrast if line["step"] > 0]
    assert len(fit) == 6
    assert contrast
    for line in fit + contrast:
        assert {"step", "epoch", "loss", "grad_norm", "learning_rate"} <= set(line)
    for line in contrast:
        assert {"reward", "reward_std", "frac_reward_zero_std"} <= set(line)
        parts = {"native": 0.4, "count_like_the_hint": 0.3, "is_exact": 0.2, "f0.5": 0.1}
        means = {name: line[f"rewards/{name}/mean"] for name in parts}
        assert line["reward"] == pytest.approx(
            sum(weight * means[name] for name, weight in parts.items())
        )
        assert means["native"] == pytest.approx(means["is_exact"])  # the same in both forms
        # the hint came with every example, those with swapped mentions too
        assert means["count_like_the_hint"] == pytest.approx(1.0)


def test_evaluate_save_and_load(trained, tmp_path):
    trainer, results = trained
    measured = trainer.evaluate()
    for name in ("f1", "precision", "exact"):
        assert measured[name] == pytest.approx(results["optimised"][name], abs=1e-6)
    assert measured["reward"]["mean_top_k"] == pytest.approx(
        results["optimised"]["reward"]["mean_top_k"], abs=1e-6
    )
    other = trainer.evaluate(as_dicts(EXAMPLES[:5]))
    assert len(other["reward"]["by_rank"]) == 3
    trainer.save_model(tmp_path / "saved" / "model")
    texts = [example.text for example in DEV]
    expected = trainer.labeler(texts, top_k=3)
    assert groot.load(tmp_path / "saved" / "model")(texts, top_k=3) == expected
    assert groot.load(trainer.args.output_dir)(texts, top_k=3) == expected
    for text, ranked in zip(texts, expected, strict=True):
        assert 1 <= len(ranked) <= 3
        for candidate in ranked:
            for span in candidate.spans:
                assert text[span.start : span.end] == span.text


def test_resuming(trained, small_settings, tmp_path):
    trainer, results = trained
    out = trainer.args.output_dir
    before = sha256_of(trainer_weights(out))
    again = GrootTrainer(
        None, trainer.reward_funcs, trainer.args, as_dicts(EXAMPLES), as_dicts(DEV)
    )
    for path in (None, True, out):
        assert again.train(resume_from_checkpoint=path) == json.loads(json.dumps(results))
    assert sha256_of(trainer_weights(out)) == before
    with pytest.raises(OutputError, match="in use already"):
        again.train(resume_from_checkpoint=False)
    with pytest.raises(OutputError, match="is not output_dir"):
        again.train(resume_from_checkpoint=tmp_path)
    other_data = GrootTrainer(
        None, trainer.reward_funcs, trainer.args, as_dicts(EXAMPLES[:40]), as_dicts(DEV)
    )
    with pytest.raises(GrootError, match="the training data: changed"):
        other_data.train()


def trainer_weights(out):
    return Path(out) / "model" / "model.safetensors"


class Stop(Exception):
    pass


def test_a_run_that_an_exception_ended_is_resumed(small_settings, tmp_path):
    """Errors of the user's own callback end the run; the next train() goes on from the step."""
    settings = {"output.checkpoint_every_s": 0, "fit.passes": 2, "optimise.rounds": 0}

    def fail_at_7(event):
        if getattr(event, "stage", "") == "fit" and getattr(event, "step", 0) == 7:
            raise Stop

    def trainer(name, **more):
        args = config_of(tmp_path / name, small_settings, settings=settings)
        return GrootTrainer(None, "f1", args, EXAMPLES, DEV, **more)

    with pytest.raises(Stop):
        trainer("a", events=fail_at_7).train()
    notes = []
    broken = trainer("a", events=lambda event: notes.append(str(event)))
    results = broken.train()
    assert any("continuing from step 6" in note for note in notes)
    whole = trainer("b")
    assert without_seconds(whole.train()) == without_seconds(results)
    assert sha256_of(trainer_weights(tmp_path / "a")) == sha256_of(trainer_weights(tmp_path / "b"))
    steps = [line["step"] for line in broken.log_history]
    assert steps == list(range(1, 13))


def without_seconds(results):
    return {key: value for key, value in results.items() if key != "seconds"}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, small_settings):
    args = config_of(
        tmp_path_factory.mktemp("fitted") / "run",
        small_settings,
        settings={"optimise.rounds": 0},
    )
    trainer = GrootTrainer(None, "f1", args, EXAMPLES, DEV)
    trainer.train()
    return trainer.labeler


@pytest.mark.parametrize("start", ["labeler", "transformers"])
def test_lora_on_a_model_in_memory(fitted, small_settings, functions, tmp_path, start):
    settings = {"fit.passes": 0, "optimise.selects_on": "reward", "optimise.learning_rate": 0.01}
    args = config_of(tmp_path / "run", small_settings, settings=settings)
    model, tokenizer = fitted, None
    if start == "transformers":
        model, tokenizer = fitted.model.model, fitted.model.tokenizer
    trainer = GrootTrainer(
        model,
        functions.brevity,
        args,
        EXAMPLES,
        DEV,
        processing_class=tokenizer,
        peft_config=LoraConfig(r=2, lora_alpha=4, lora_dropout=0.0),
    )
    trainer.train()
    first = load_file(tmp_path / "run" / "start" / "model.safetensors")
    last = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert sorted(first) == sorted(last)
    changed = {name for name in first if not first[name].equal(last[name])}
    assert {name.rsplit(".", 2)[-2] for name in changed} <= {"q", "v", "shared", "embed_tokens"}
    assert any(".q." in name for name in changed)
    assert len(changed) < len(first) / 2
    trained = [key for line in trainer.log_history for key in line if key.startswith("rewards/")]
    assert "rewards/brevity/mean" in trained
    assert len(groot.load(tmp_path / "run")("play something", top_k=2)[0]) == 2


def test_what_cannot_be_used_is_said_before_anything_is_written(fitted, small_settings, tmp_path):
    args = config_of(tmp_path / "run", small_settings)
    with pytest.raises(DataError, match="train_dataset is missing"):
        GrootTrainer(None, "f1", args)
    with pytest.raises(ConfigError, match="reward_funcs is empty"):
        GrootTrainer(None, [], args, EXAMPLES)
    with pytest.raises(ConfigError, match="processing_class is missing"):
        GrootTrainer(fitted.model.model, "f1", args, EXAMPLES)
    with pytest.raises(GrootError, match="exact"):
        GrootTrainer(None, "exat", args, EXAMPLES, DEV).train()
    weights = config_of(tmp_path / "run", small_settings, reward_weights=[1.0, 2.0])
    with pytest.raises(GrootError, match="weight"):
        GrootTrainer(None, "f1", weights, EXAMPLES, DEV).train()
    misspelt = GrootConfig(output_dir=str(tmp_path / "run"), settings={"fit.pases": 1})
    with pytest.raises(GrootError, match=r"fit\.pases"):
        GrootTrainer(None, "f1", misspelt, EXAMPLES)
    assert not (tmp_path / "run").exists()
