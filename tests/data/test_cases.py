"""Files of the kinds that people have: each is read rightly, or stops with what decides.

The inputs are written here. Where GROOT_CASES names a folder of such files, those are read as well.
"""

import json
import os
import unicodedata
from pathlib import Path

import pytest

from groot.data import read_examples
from groot.data.doctor import examine
from groot.data.result import Splits
from groot.errors import DataError

PEOPLE = ("anna berg", "tom li", "ruth okoro", "ben cole", "ida sand", "leo marsh")
PLACES = ("oslo", "lima", "cairo", "porto", "quito", "turin")
TRIPS = [(PEOPLE[i % 6], PLACES[i * 5 % 6]) for i in range(24)]


TEXT = "anna berg flew to oslo ."


def ls_result(start, end, text, label):
    value = {"start": start, "end": end, "text": text, "labels": [label]}
    return {"value": value, "from_name": "label", "to_name": "text", "type": "labels"}


def ls_task(person, place):
    text = f"{person} flew to {place} ."
    at = text.index(place)
    results = [
        ls_result(0, len(person), person, "Full name"),
        ls_result(at, at + len(place), place, "Home town"),
    ]
    return {"data": {"text": text}, "annotations": [{"result": results}]}


def ls_minimal(person, place):
    task = ls_task(person, place)
    values = [result["value"] for result in task["annotations"][0]["result"]]
    return {"text": task["data"]["text"], "ner": values}


@pytest.mark.parametrize("row", [ls_task, ls_minimal])
@pytest.mark.parametrize("form", ["lines", "array", "one line"])
def test_12_label_studio(tmp_path, row, form, write, labels):
    rows = [row(*trip) for trip in TRIPS]
    if form == "lines":
        path = write(tmp_path / "a.json", rows)
    else:
        path = write(tmp_path / "a.json", json.dumps(rows, indent=1 if form == "array" else None))
    result = read_examples(path)
    assert result.reading.format == "labelstudio"
    assert result.examples[0].text == TEXT
    assert labels(result) == {"Full name": 24, "Home town": 24}


@pytest.mark.parametrize("name", ["label", "labels", "entities"])
def test_13_an_empty_list_beside_spans_is_no_span(tmp_path, name, write):
    rows = [
        {"id": 1, "text": "play nina simone please", name: [[5, 16, "song"]]},
        {"id": 2, "text": "play hey jude by elvis", name: []},
        {"id": 3, "text": "hello there friend", name: []},
    ]
    result = read_examples(write(tmp_path / "a.jsonl", rows))
    assert [example.spans is not None for example in result.examples] == [True] * 3
    assert [example.classes for example in result.examples] == [None] * 3


def test_13_an_empty_list_beside_classes_is_no_class(tmp_path, write):
    rows = [{"text": "a b", "label": ["x"]}, {"text": "c d", "label": []}]
    result = read_examples(write(tmp_path / "a.jsonl", rows))
    assert [example.classes for example in result.examples] == [("x",), ()]
    assert [example.spans for example in result.examples] == [None, None]


def test_13_empty_lists_alone_and_gold_of_two_kinds_stop_with_the_setting(tmp_path, write):
    empty = write(tmp_path / "a.jsonl", [{"text": "a b", "label": []}] * 3)
    with pytest.raises(DataError, match=r"an empty list in each row(.|\n)*task=spans"):
        read_examples(empty)
    assert read_examples(empty, task="spans").examples[0].spans == ()
    rows = [{"text": "a b", "label": [[0, 1, "x"]]}] * 3 + [{"text": "c d", "label": ["x"]}] * 3
    mixed = write(tmp_path / "b.jsonl", rows)
    with pytest.raises(DataError, match=r"several kinds: .*spans in 3 .*b\.jsonl:1.*classes in 3"):
        read_examples(mixed)
    result = read_examples(mixed, task="spans")
    assert (len(result.examples), len(result.problems)) == (3, 3)
    rows = [{"text": "a b", "spans": []}] * 3 + [{"text": "c d", "class": "x"}] * 3
    with pytest.raises(DataError, match="gold of several kinds"):
        read_examples(write(tmp_path / "c.jsonl", rows))


def test_13_a_lone_row_of_another_kind_is_a_problem(tmp_path, write):
    rows = [{"text": f"a b {i}", "label": [[0, 1, "x"]]} for i in range(40)]
    result = read_examples(write(tmp_path / "a.jsonl", [*rows, {"text": "c", "label": "x"}]))
    (problem,) = result.problems
    assert problem.reason == "'label' is 'x', where the other rows have spans"


@pytest.mark.parametrize("one", [1, 1.0])
def test_14_lists_of_0_and_1_are_told_and_read_with_their_names(tmp_path, one, write, labels):
    rows = [{"text": f"item {i}", "labels": [one * (i % 2), 0 * one, one]} for i in range(8)]
    path = write(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=r"lists of 0 and 1.*\n.*label_names="):
        read_examples(path)
    result = read_examples(path, label_names=["toxic", "obscene", "threat"])
    assert labels(result) == {"threat": 8, "toxic": 4}


@pytest.mark.parametrize("indent", [None, 2])
def test_21_a_json_array(tmp_path, indent, write, labels):
    rows = [{"text": f"hello {i}", "label": ["greet", "bye"][i % 2]} for i in range(6)]
    path = write(tmp_path / "a.json", json.dumps(rows, indent=indent))
    result = read_examples(path)
    assert labels(result) == {"greet": 3, "bye": 3}
    assert len({example.id for example in result.examples}) == 6
    wrapped = write(tmp_path / "b.json", json.dumps({"version": 1, "data": rows}, indent=indent))
    assert labels(read_examples(wrapped)) == {"greet": 3, "bye": 3}


def test_21_a_broken_row_of_an_array_is_named_and_the_next_is_read(tmp_path, write):
    text = json.dumps([{"text": f"hello {i}", "label": "x"} for i in range(4)], indent=1)
    lines = text.replace('"hello 1"', "hello 1").split("\n")
    result = read_examples(write(tmp_path / "a.json", "\n".join(lines)))
    assert [example.text for example in result.examples] == ["hello 0", "hello 2", "hello 3"]
    (problem,) = result.problems
    assert problem.source == f"{tmp_path / 'a.json'}:6"
    cut = read_examples(write(tmp_path / "b.json", text[:-20]))
    assert (len(cut.examples), len(cut.problems)) == (3, 1)


@pytest.mark.filterwarnings("ignore")  # of the datasets library itself
def test_25_features_anywhere(tmp_path, labels):
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=["PER", "LOC"])
    span = {"start": datasets.Value("int32"), "end": datasets.Value("int32"), "label": names}
    texts = [f"{person} flew to {place} ." for person, place in TRIPS]
    spans = [
        [
            {"start": 0, "end": len(person), "label": 0},
            {"start": text.index(place), "end": text.index(place) + len(place), "label": 1},
        ]
        for text, (person, place) in zip(texts, TRIPS, strict=True)
    ]
    by_name = [{key: [one[key] for one in row] for key in row[0]} for row in spans]
    shapes = {
        "list of dicts": (spans, [span]),
        "dict of lists": (by_name, {key: datasets.Sequence(value) for key, value in span.items()}),
    }
    for name, (rows, feature) in shapes.items():
        features = datasets.Features({"text": datasets.Value("string"), "entities": feature})
        dataset = datasets.Dataset.from_dict({"text": texts, "entities": rows}, features=features)
        dataset.save_to_disk(tmp_path / name)
        result = read_examples(tmp_path / name)
        assert labels(result) == {"PER": 24, "LOC": 24}
        dataset.to_parquet(tmp_path / f"{name}.parquet")
        assert labels(read_examples(tmp_path / f"{name}.parquet")) == {"PER": 24, "LOC": 24}


@pytest.mark.filterwarnings("ignore")
def test_25_a_number_without_a_name_is_no_gold_and_many_classes_are_names(tmp_path):
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=["joy", "anger"])
    for values, feature, golds in (
        ([0, -1, 1], names, [("joy",), None, ("anger",)]),
        ([[0, 1], [], [1]], datasets.Sequence(names), [("joy", "anger"), (), ("anger",)]),
    ):
        features = datasets.Features({"text": datasets.Value("string"), "label": feature})
        dataset = datasets.Dataset.from_dict(
            {"text": ["a", "b", "c"], "label": values}, features=features
        )
        dataset.save_to_disk(tmp_path / str(len(golds[0])))
        result = read_examples(tmp_path / str(len(golds[0])))
        assert [example.classes for example in result.examples] == golds


def test_25_numbers_of_tags_need_their_names(tmp_path, write, labels):
    path = write(tmp_path / "a.jsonl", [{"tokens": ["a", "b"], "ner_tags": [0, 1]}] * 3)
    with pytest.raises(DataError, match=r"label_names=\[O, B-first"):
        read_examples(path)
    assert labels(read_examples(path, label_names=["O", "B-x"])) == {"x": 3}


def test_28_hangul_in_nfd_is_reached_as_in_nfc(tmp_path, write):
    rows = []
    for form in ("NFC", "NFD"):
        text = unicodedata.normalize(form, "김철수는 1월에 서울에서 살았다")
        person, place = (unicodedata.normalize(form, word) for word in ("김철수", "서울"))
        at = text.index(place)
        rows.append(
            {"text": text, "spans": [[0, len(person), "PER"], [at, at + len(place), "LOC"]]}
        )
    result = read_examples(write(tmp_path / "a.jsonl", rows))
    diagnosis = examine(Splits(result, result))
    assert sum(diagnosis.splits["train"].lost.counts.values()) == 0


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "1 + 1 =", "completion": "2", "answer": "2"},
        {"text": "is water wet", "label": "yes", "answer": "because"},
        {"text": "nina sings", "spans": [[0, 4, "x"]], "answer": "a person sings"},
    ],
)
def test_32_a_column_named_answer_is_the_users(tmp_path, row, write):
    rows = [{**row, "id": i} for i in range(3)] + [{**row, "id": 3, "answer": "reject"}]
    result = read_examples(write(tmp_path / "a.jsonl", rows))
    assert [example.columns["answer"] for example in result.examples] == [row["answer"]] * 3 + [
        "reject"
    ]


@pytest.mark.parametrize("more", [{"_input_hash": 5}, {}])
def test_32_rows_of_prodigy_are_filtered(tmp_path, more, write):
    rows = [
        {"text": "nina", "spans": [[0, 4, "x"]], "answer": answer, **more}
        for answer in ("accept", "reject", "ignore", "accept")
    ]
    result = read_examples(write(tmp_path / "a.jsonl", rows))
    assert result.reading.format == "prodigy"
    assert (len(result.examples), len(result.problems)) == (2, 2)
    assert result.problems[0].kind == "answer"


def test_45_rows_without_tokens_are_reported(tmp_path, write):
    rows = [{"tokens": [], "ner_tags": []}, {"tokens": ["anna", "w"], "ner_tags": ["B-PER", "O"]}]
    result = read_examples(write(tmp_path / "a.jsonl", rows))
    (problem,) = result.problems
    assert (problem.source, problem.reason) == (f"{tmp_path / 'a.jsonl'}:1", "the row has no token")


def test_a_key_that_stands_twice_is_reported(tmp_path, write):
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": "x", "label": "y"}\n{"text": "b"}\n')
    result = read_examples(path)
    (problem,) = result.problems
    assert problem.reason == "the key 'label' stands twice in one object"
    array = '[{"text": "a", "text": "c"}, {"text": "b", "label": "x"}]'
    result = read_examples(write(tmp_path / "a.json", array))
    assert (len(result.examples), len(result.problems)) == (1, 1)


@pytest.mark.parametrize(
    ("overlap", "kept"),
    [
        ("outermost", ["org"]),
        ("innermost", ["city", "name"]),
        ("longest", ["org"]),
    ],
)
def test_spans_that_overlap_are_counted_and_made_flat(tmp_path, overlap, kept, write):
    spans = [[0, 15, "org"], [0, 4, "city"], [5, 15, "name"]]
    path = write(tmp_path / "a.jsonl", [{"text": "oslo philharmonic", "spans": spans}] * 2)
    with pytest.raises(DataError, match="overlap"):
        read_examples(path)
    result = read_examples(path, overlap=overlap)
    assert [span.label for span in result.examples[0].spans] == kept
    assert [note.n_spans for note in result.notes] == [3 - len(kept)] * 2
    diagnosis = examine(Splits(result, result))
    assert diagnosis.splits["train"].gold == 6
    assert {"changed gold", "gold out of reach"} <= {f.what for f in diagnosis.findings}


def test_offsets_that_count_tokens_are_told_and_read_by_a_setting(tmp_path, write):
    row = {"tokens": ["anna", "berg", "flew"], "entities": [{"start": 0, "end": 2, "type": "PER"}]}
    path = write(tmp_path / "a.jsonl", [row] * 3)
    with pytest.raises(DataError, match="set token_offsets=true"):
        read_examples(path)
    result = read_examples(path, token_offsets=True)
    assert [span.text for span in result.examples[0].spans] == ["anna berg"]
    row["entities"][0]["end"] = 9
    beyond = write(tmp_path / "b.jsonl", [row])
    with pytest.raises(DataError, match="is none of the 3 tokens"):
        read_examples(beyond, token_offsets=True)


@pytest.mark.parametrize(
    ("span", "hint"),
    [([2, 5, "PER"], "ends='inclusive'"), ([3, 7, "PER"], "if offsets count from 1")],
)
def test_offsets_in_another_convention_are_asked_about(tmp_path, write, span, hint):
    path = write(tmp_path / "a.jsonl", [{"text": "x anna flew", "entities": [span]}] * 6)
    (doubt,) = read_examples(path).reading.doubts
    assert hint in doubt


@pytest.mark.parametrize("name", ["entity", "entity_group", "type", "labels"])
def test_other_names_of_a_label(tmp_path, write, name):
    span = {"start": 0, "end": 4, name: ["PER"] if name == "labels" else "PER"}
    result = read_examples(write(tmp_path / "a.jsonl", [{"text": "anna", "entities": [span]}]))
    assert [span.label for span in result.examples[0].spans] == ["PER"]


def test_tags_named_ner(tmp_path, write):
    row = {"words": ["anna", "flew"], "ner": ["B-PER", "O"]}
    result = read_examples(write(tmp_path / "a.jsonl", [row]))
    assert [span.label for span in result.examples[0].spans] == ["PER"]


def test_a_list_written_as_text_is_no_class(tmp_path, write):
    rows = [{"text": "anna flew", "label": '[[0, 4, "PER"]]'}] * 3
    with pytest.raises(DataError, match="is a list written as text"):
        read_examples(write(tmp_path / "a.jsonl", rows))


def test_labels_that_look_like_texts_or_like_several_are_asked_about(tmp_path, write):
    rows = [{"text": ["pos", "neg"][i % 2], "label": f"a nice text {i}"} for i in range(20)]
    result = read_examples(write(tmp_path / "a.jsonl", rows))
    assert "20 of 20 examples have a label that no other has" in result.reading.doubts[0]
    rows = [{"text": f"hello {i}", "label": ["a|b", "a", "b"][i % 3]} for i in range(6)]
    path = write(tmp_path / "b.jsonl", rows)
    assert "class_separator='|'" in read_examples(path).reading.doubts[0]
    assert read_examples(path, class_separator="|").reading.doubts == ()


CASES = os.environ.get("GROOT_CASES")
COUNTS = {
    "02_germeval/train.tsv": {"PER": 24, "LOC": 24, "ORG": 24},
    "03_numbered/train.conll": {"PER": 24, "LOC": 24},
    "06_suffix/train.conll": {"PER": 24, "LOC": 24},
    "12_labelstudio/full.jsonl": {"PER": 24, "LOC": 24},
    "12_labelstudio/min.jsonl": {"PER": 24, "LOC": 24},
    "12_labelstudio/project.json": {"PER": 24, "LOC": 24},
    "12_labelstudio/project_min.json": {"PER": 24, "LOC": 24},
    "12_labelstudio/project.conll": {"PER": 24, "LOC": 24},
    "12_labelstudio/spaces.conll": {"Full name": 24, "Home town": 24},
    "13_doccano_empty/train.jsonl": {"PER": 16, "LOC": 16},
    "13_doccano_empty/train_labels.jsonl": {"PER": 16, "LOC": 16},
    "13_doccano_empty/train_rel.jsonl": {"PER": 16, "LOC": 16},
    "21_jsonarray/train.json": {"greet": 12, "bye": 12},
    **{
        f"23_csv/{name}": {"Order status": 12, "Refund": 6, "Cancel": 6}
        for name in (
            *("comma.csv", "cp1252.csv", "header_other.csv", "index_col.csv", "semi_bom.csv"),
            *("semi_nohead.csv", "sepline.csv", "trailing.csv", "utf16.txt"),
        )
    },
    "23_csv/multi.csv": {"a": 24, "b": 12},
    "25_hf/dd": {"PER": 24, "LOC": 24},
    "25_hf/emo": {"anger": 12, "joy": 12, "fear": 12},
    "25_hf/listdict": {"PER": 24, "LOC": 24},
    "25_hf/seqdict": {"PER": 24, "LOC": 24},
    "25_hf/minus1": {"joy": 8, "anger": 8},
    "28_scripts/korean_nfd.jsonl": {"PER": 12, "LOC": 12},
    "32_answer/spans.jsonl": {"PER": 36, "LOC": 36},
    "43_tsv/merge.tsv": {"pos": 13, "neg": 11},
    "43_tsv/merge2.tsv": {"pos": 12, "neg": 12},
    "45_emptytok/train.jsonl": {"PER": 20},
}


@pytest.mark.skipif(not CASES, reason="GROOT_CASES names no folder of cases")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", COUNTS)
def test_the_cases_of_the_folder(name, labels):
    assert labels(read_examples(Path(CASES) / name)) == COUNTS[name]
