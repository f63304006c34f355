"""Settings: YAML, overrides, and messages that name every mistake at once."""

import ast
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import groot
from groot.config import (
    Config,
    Section,
    config_from,
    describe,
    list_settings,
    load_config,
    to_yaml,
)
from groot.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes_in(*args, **more) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(*args, **more)
    return str(caught.value)


def test_an_empty_file_is_the_defaults(tmp_path):
    assert load_config(write(tmp_path, "")) == Config() == load_config()


def test_a_file_is_read_and_an_empty_section_keeps_its_defaults(tmp_path):
    found = load_config(write(tmp_path, "seed: 7\nfit:\noptimise:\n  rounds: 3\n"))
    assert (found.seed, found.fit, found.optimise.rounds) == (7, Config().fit, 3)


def test_later_sources_win(tmp_path):
    path = write(tmp_path, "seed: 1\nfit: {passes: 1, batch_size: 1}\n")
    found = load_config(
        path, ["fit.passes=3", "fit.passes=4"], flags={"fit.passes": 2, "fit.batch_size": 2}
    )
    assert (found.seed, found.fit.passes, found.fit.batch_size) == (1, 4, 2)


def test_numbers_that_yaml_takes_for_text_are_numbers():
    # YAML 1.1 wants 3.0e-4: without the point, 3e-4 is a string to PyYAML
    assert load_config(settings=["fit.learning_rate=3e-4"]).fit.learning_rate == 0.0003


def test_names_that_other_trainers_use(tmp_path):
    found = load_config(write(tmp_path, "training:\n  lr: 0.5\n"), ["optimise.lr=0.25"])
    assert (found.fit.learning_rate, found.optimise.learning_rate) == (0.5, 0.25)


def test_lists_null_and_nested_settings():
    found = load_config(
        settings=["reward.specs=[f0.5=0.8, exact=0.2]", "data.dev=null", "data.reader.tag_column=0"]
    )
    assert found.reward.specs == ["f0.5=0.8", "exact=0.2"]
    assert found.data.dev is None
    assert found.data.reader == {"tag_column": 0}


def test_all_mistakes_at_once_with_file_line_and_the_nearest_name(tmp_path):
    path = write(
        tmp_path,
        "sed: 3\nfit:\n  pases: 4\n  dropout: 1.5\noptimise:\n  selects_on: bth\n  passes: 2\n",
    )
    told = mistakes_in(path, ["reward.workers=none", "evaluation"])
    assert told.startswith("7 mistakes in the settings:")
    for part in (
        f"{path}:1: sed: no such setting. Did you mean 'seed'?",
        f"{path}:3: fit.pases: no such setting. Did you mean 'passes'?",
        f"{path}:4: fit.dropout: 1.5 will not do: input should be less than 1",
        f"{path}:6: optimise.selects_on: 'bth' will not do: input should be 'both'",
        f"{path}:7: optimise.passes: no such setting. Did you mean 'passes_per_round'?",
        "--set reward.workers: 'none' will not do",
        "--set evaluation: write section.name=value",
    ):
        assert part in told


def test_a_setting_in_the_wrong_place_is_shown_the_right_one():
    assert "Did you mean 'fit.dropout'?" in mistakes_in(settings=["dropout=0.1"])
    assert "Did you mean 'optimise.rounds'?" in mistakes_in(settings=["reward.rounds=1"])


def test_settings_that_do_not_fit_each_other():
    told = mistakes_in(settings=["model.window_overlap=64", "model.heads=3"])
    assert told.startswith("2 mistakes")
    assert "model.window_overlap: 64 must be below model.window_words (64)" in told
    assert "model.width: 128 must be a multiple of model.heads (3)" in told


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("fit: {passes: 1\n", ":2: not valid YAML"),
        ("- 1\n- 2\n", ":1: the file must hold sections"),
        ("seed: 1\nseed: 2\n", ":2: seed: given twice"),
        ("fit:\n  passes: 1\n  passes: 2\n", ":3: fit.passes: given twice"),
        ("training: {lr: 1}\nfit: {passes: 1}\n", ":2: fit: given twice"),
        ("seed: !!python/object/apply:os.getcwd []\n", ":1: seed: could not determine"),
        ("fit: 3\n", ":1: fit: 3 will not do"),
        ("seed: \x00\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_settings(tmp_path, text, complaint):
    path = write(tmp_path, text)
    told = mistakes_in(path)
    assert str(path) in told
    assert complaint in told


def test_a_missing_or_unreadable_file(tmp_path):
    assert "no such file" in mistakes_in(tmp_path / "none.yaml")
    assert "cannot be read" in mistakes_in(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("model: {name: caf\xe9}".encode("latin-1"))
    assert "cannot be read" in mistakes_in(tmp_path / "latin.yaml")


@pytest.mark.parametrize("is_explained", [False, True])
def test_yaml_comes_back_equal(tmp_path, is_explained):
    config = config_from(
        {
            "data": {"train": "a: b # c", "reader": {"tag_column": -1}},
            "reward": {"specs": ["f0.5=0.8", "file.py:f"]},
            "fit": {"learning_rate": 3e-05},
        }
    )
    assert load_config(write(tmp_path, to_yaml(config, explained=is_explained))) == config


@given(
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    rate=st.floats(min_value=1e-12, max_value=1e6),
    seed=st.integers(min_value=0, max_value=2**40),
)
def test_any_value_comes_back_equal(tmp_path_factory, name, rate, seed):
    config = config_from({"seed": seed, "model": {"name": name}, "fit": {"learning_rate": rate}})
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(path) == config


def test_every_setting_is_explained_and_written():
    shown = yaml.safe_load(to_yaml(Config(), explained=True))
    for name, default, description in list_settings():
        section, _, inner = name.rpartition(".")
        assert description, name
        assert (shown[section] if section else shown)[inner] == default
        assert description in describe(name)


def test_settings_do_not_change_after_the_check():
    with pytest.raises(ValueError, match="frozen"):
        Config().fit.passes = 3  # type: ignore[misc]


def test_every_section_refuses_what_it_does_not_know():
    for name, info in Config.model_fields.items():
        if isinstance(info.default, Section):
            with pytest.raises(ConfigError, match="no such setting"):
                config_from({name: {"no_such_setting_at_all": 1}})


def test_every_setting_is_read_by_somebody():
    # a setting that changes nothing is a lie; two settings of one name are seen as one here
    source = Path(groot.__file__).parent
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for path in source.rglob("*.py")
        if path.relative_to(source).parts[0] != "config"
    ]
    read = {
        node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)
    }
    assert [name for name, _, _ in list_settings() if name.rpartition(".")[2] not in read] == []


def test_settings_of_older_versions_keep_their_meaning(tmp_path):
    path = write(
        tmp_path,
        "optimise:\n  objective: pair_square\n  margin: 3.0\n  beta: 1.0\n  sharpness: 0.5\n"
        "generation:\n  fit_selects_on: reward\n",
    )
    config = load_config(path)
    assert config.optimise.objective_settings == {"margin": 3.0}
    assert config.fit.selects_on == "reward"
    path = write(tmp_path, "generation:\n  fit_selects_on: likelihood\n")
    assert load_config(path) == load_config()
    assert load_config(settings=["optimise.margin=2"]).optimise.objective_settings == {"margin": 2}
