import pytest

from groot.data import read_examples, read_splits
from groot.errors import DataError

datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the datasets library itself


@pytest.fixture
def tagged():
    names = datasets.ClassLabel(names=["O", "B-artist", "I-artist"])
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(names),
        }
    )
    rows = {
        "id": [str(i) for i in range(12)],
        "tokens": [["play", "nina", "simone"]] * 12,
        "ner_tags": [[0, 1, 2]] * 11 + [[0, 1]],
    }
    return datasets.Dataset.from_dict(rows, features=features)


def test_label_names_come_from_the_features(tmp_path, tagged):
    tagged.save_to_disk(tmp_path / "set")
    result = read_examples(tmp_path / "set")
    assert result.scheme == "IOB2"
    assert [(s.text, s.label) for s in result.examples[0].spans] == [("nina simone", "artist")]
    assert result.examples[3].id == "3"
    (problem,) = result.problems
    assert problem.source.endswith("set:train:12")
    assert "3 words but 2 tags" in problem.reason


def test_splits_and_classes(tmp_path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    one = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features=features)
    datasets.DatasetDict({"train": one, "validation": one}).save_to_disk(tmp_path / "set")
    splits = read_splits(tmp_path / "set")
    assert [example.classes for example in splits.dev.examples] == [("neg",), ("pos",)]
    assert splits.test is None
    assert not splits.is_dev_cut
    with pytest.raises(DataError, match=r"no split 'test'.\n  It has: train, validation"):
        read_examples(tmp_path / "set", split="test")


def test_a_dataset_that_is_not_there_is_one_message(monkeypatch):
    def load(*_args, **_more):
        raise ConnectionError("no network\nmuch more")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(DataError, match="'owner/name' cannot be loaded: ConnectionError: no net"):
        read_examples("hub:owner/name")
