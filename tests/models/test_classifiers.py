"""Sequence classifiers are told from other models, and opened only whole and safe."""

import pytest
import torch

from groot.errors import ModelError
from groot.models.classifiers import holds_classifier, open_classifier, open_for_rewards


def test_classifiers_and_bare_encoders_are_told_from_models_that_write(
    make_encoder_folder, make_model_folder, tmp_path
):
    assert holds_classifier(make_encoder_folder("bert", tmp_path / "encoder"))
    assert holds_classifier(make_encoder_folder("bert", tmp_path / "five", num_labels=5))
    for family in ("gpt2", "t5", "bart"):
        assert not holds_classifier(make_model_folder(family, tmp_path / family))
    assert not holds_classifier(tmp_path)
    assert not holds_classifier(tmp_path / "missing")


def test_a_head_of_one_or_two_labels_is_kept_and_any_other_made_anew(make_encoder_folder, tmp_path):
    two = make_encoder_folder("bert", tmp_path / "two", num_labels=2)
    kept = open_for_rewards(two).model
    assert torch.equal(kept.classifier.weight, open_classifier(two).model.classifier.weight)
    five = make_encoder_folder("bert", tmp_path / "five", num_labels=5)
    fresh = [open_for_rewards(five).model for _ in range(2)]
    assert fresh[0].config.num_labels == 1
    assert torch.equal(fresh[0].classifier.weight, fresh[1].classifier.weight)


def test_opening_leaves_the_random_numbers_alone(make_encoder_folder, tmp_path):
    folder = make_encoder_folder("bert", tmp_path)
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    open_for_rewards(folder)
    assert torch.equal(torch.rand(1), wanted)


def test_an_encoder_lacks_its_head_and_weights_that_are_no_numbers_are_refused(
    make_encoder_folder, tmp_path
):
    folder = make_encoder_folder("bert", tmp_path / "encoder")
    model, _, lacking = open_classifier(folder)
    assert {"classifier.weight", "classifier.bias"} <= set(lacking)
    with torch.no_grad():
        model.classifier.weight[0, 0] = torch.nan
    model.save_pretrained(folder)
    with pytest.raises(ModelError, match="NaN or infinite"):
        open_classifier(folder)
    with pytest.raises(ModelError, match="no model here"):
        open_classifier(tmp_path)
