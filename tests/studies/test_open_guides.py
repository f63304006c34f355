"""From folders to the models that a study of guides is about."""

import json

import pytest

from groot.errors import ConfigError, DataError, ModelError
from groot.reward_models.prefix_model import RewardModel
from groot.studies.guide_entries import EntrySettings
from groot.studies.open_guides import (
    open_contenders,
    open_generator,
    open_reward_models,
    read_prompts,
)


@pytest.fixture(scope="module")
def folders(generator, tmp_path_factory):
    at = tmp_path_factory.mktemp("folders")
    generator.save(at / "generator")
    for name, kind in (("first", "partial"), ("second", "partial"), ("whole", "sequence")):
        RewardModel(generator.model, kind).save(at / name)
    return at


def test_an_ensemble_is_made_as_was_asked(folders):
    names = [folders / name for name in ("first", "second", "whole")]
    models, places = open_reward_models(names, ensemble="uncertainty", penalty=0.7)
    assert (models["partial"].how, models["partial"].penalty) == ("uncertainty", 0.7)
    assert len(models["partial"].models) == 2
    assert models["sequence"].kind == "sequence"  # one of its kind stays as it is
    assert places == {"partial": tuple(names[:2]), "sequence": (names[2],)}
    with pytest.raises(ConfigError, match="--ensemble mean"):
        open_reward_models(names)
    with pytest.raises(ConfigError, match="name two or more"):
        open_reward_models(names[1:], ensemble="mean")


def test_contenders_are_what_was_named(folders):
    settings = EntrySettings(top_k=3)
    found = open_contenders(
        folders / "generator",
        reward_models=[folders / "whole"],
        tuned={"dpo": str(folders / "generator")},
        settings=settings,
    )
    assert list(found.reward_models) == ["sequence"]
    assert found.folders == {
        "sequence": (folders / "whole",),
        "dpo": (folders / "generator",),
    }
    assert found.settings is settings
    with pytest.raises(ConfigError, match="Known: dpo, grpo"):
        open_contenders(folders / "generator", tuned={"sft": str(folders / "generator")})
    with pytest.raises(ModelError):
        open_generator(folders / "whole")


def test_the_first_prompts_are_read_and_a_broken_row_is_named(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in "abc"))
    assert [example.text for example in read_prompts(path, limit=2)] == ["a", "b"]
    assert len(read_prompts(path)) == 3
    path.write_text('{"prompt": "a"}\n{"prompt": 3}\n')
    with pytest.raises(DataError, match=r"1 of 2 rows cannot be used"):
        read_prompts(path)
