"""Files as tools write them, by hand: brat, WebAnno, PubTator, CoNLL-U, CoNLL-2012, spaCy, ..."""

import json

import pytest

from fixtures.text_files import write_files
from groot.data import read_examples
from groot.data.conll2012 import tags_of_brackets
from groot.data.result import RowError
from groot.errors import DataError

TEXT = "play nina simone"
WANTED = [("nina simone", "artist")]


def spans(example):
    return [(span.text, span.label) for span in example.spans]


def rows(*values):
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def columns(*lines):
    return "".join("\t".join(line.split("  ")) + "\n" for line in lines) + "\n"


WEBANNO = (
    "#FORMAT=WebAnno TSV 3.3\n"
    "#T_SP=webanno.custom.Pos|value\n"
    "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value\n\n\n"
    "#Text=play nina simone\n"
    "1-1\t10-14\tplay\tVB\t_\t_\t\n"
    "1-2\t15-19\tnina\tNN\t*[3]\tartist[3]\t\n"
    "1-3\t20-26\tsimone\tNN\t*[3]\tartist[3]\t\n"
)
NESTED = {
    "paragraphs": [
        {
            "raw": TEXT,
            "sentences": [
                {
                    "tokens": [
                        {"orth": word, "ner": tag}
                        for word, tag in zip(
                            TEXT.split(), ("O", "B-artist", "L-artist"), strict=True
                        )
                    ]
                }
            ],
        }
    ]
}
FILES = {
    "webanno": ("a.tsv", WEBANNO),
    "pubtator": (
        "a.txt",
        f"7|t|{TEXT}\n7|a|\n7\t5\t16\tnina simone\tartist\tD1\n7\tCID\tD1\tD2\n",
    ),
    "conllu": (
        "a.conllu",
        f"# text = {TEXT}\n"
        + columns(
            "1  play  play  VERB  _  _  0  root  _  _",
            "2-3  ninasimone  _  _  _  _  _  _  _  _",
            "2  nina  nina  PROPN  _  _  1  obj  _  NER=B-artist",
            "3  simone  simone  PROPN  _  _  2  flat  _  SpaceAfter=No|NER=I-artist",
        ),
    ),
    "conll2012": (
        "a.conll",
        "#begin document (bc/x); part 000\n"
        "bc/x 0 0 play VB (TOP* - - - - * (V*) -\n"
        "bc/x 0 1 nina NNP * - - - - (artist* -\n"
        "bc/x 0 2 simone NNP *) - - - - *) (12)\n\n#end document\n",
    ),
    "spacy": ("a.json", json.dumps([[TEXT, {"entities": [[5, 16, "artist"]]}]])),
    "spacy, to_json": (
        "a.jsonl",
        rows(
            {
                "text": TEXT,
                "ents": [{"start": 5, "end": 16, "label": "artist"}],
                "tokens": [{"id": 0, "start": 0, "end": 4}],
            }
        ),
    ),
    "spacy, version 2": ("a.json", json.dumps([NESTED])),
    "spacy, tuples a line": ("a.jsonl", rows([TEXT, {"entities": [[5, 16, "artist"]]}] * 1)),
    "gliner": (
        "a.json",
        json.dumps([{"tokenized_text": TEXT.split(), "ner": [[1, 2, "artist"]]}]),
    ),
    "doccano": ("a.jsonl", rows({"id": 1, "text": TEXT, "label": [[5, 16, "artist"]]})),
    "csv, a word a row": (
        "a.csv",
        "Sentence #,Word,POS,Tag\nSentence: 1,play,VB,O\n,nina,NN,B-artist\n,simone,NN,I-artist\n",
    ),
    "csv of spans": ("a.csv", f'text,entities\n{TEXT},"[[5, 16, ""artist""]]"\n'),
    "columns with a header": (
        "a.tsv",
        "id\ttoken\tner\n\n1\tplay\tO\n2\tnina\tB-artist\n3\tsimone\tI-artist\n",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_by_hand(tmp_path, name):
    file, content = FILES[name]
    (tmp_path / file).write_text(content)
    result = read_examples(tmp_path / file)
    assert result.reading.format == name.partition(" ")[0].strip(",")
    (example,) = result.examples
    assert example.text == TEXT
    assert spans(example) == WANTED
    assert not result.problems


def test_kaggles_sentences_begin_with_their_name(tmp_path):
    lines = ["Sentence #,Word,POS,Tag"]
    for i in range(3):
        lines += [f"Sentence: {i},play,VB,O", ",nina,NN,B-artist"]
    (tmp_path / "a.csv").write_bytes("\n".join([*lines, ""]).encode("latin-1"))
    result = read_examples(tmp_path / "a.csv")
    assert [spans(example) for example in result.examples] == [[("nina", "artist")]] * 3


def brat(folder, text, annotations):
    return write_files(folder, {"a.txt": text, "a.ann": annotations})


def test_brat(tmp_path):
    folder = brat(
        tmp_path / "set",
        "👍 play nina\nsimone",
        "T1\tartist 7 18\tnina simone\nR1\tis Arg1:T1 Arg2:T1\n#1\tNote T1\tok\n",
    )
    for where in (folder, folder / "a.ann"):
        result = read_examples(where)
        assert [spans(example) for example in result.examples] == [[("nina\nsimone", "artist")]]
        (note,) = result.notes
        assert "2 relations, events, attributes or notes are not read" in note.reason
    (folder / "b.txt").write_text("no annotations")
    (problem,) = read_examples(folder).problems
    assert problem.reason == "b.ann is not beside it"
    (folder / "a.ann").write_text("T1\tartist 7 12\tnina\n")
    with pytest.raises(DataError, match="says 'nina', but the text there is"):
        read_examples(folder)
    (folder / "a.ann").write_text("T1 artist\n")
    with pytest.raises(DataError, match=r"a\.ann:1 is no span"):
        read_examples(folder)


def test_a_span_of_several_parts_follows_the_setting(tmp_path):
    folder = brat(tmp_path / "set", "left and right arm", "T1\tbody 0 4;15 18\tleft arm\n")
    with pytest.raises(DataError, match="several parts"):
        read_examples(folder)
    outer = read_examples(folder, overlap="outermost")
    assert spans(outer.examples[0]) == [("left and right arm", "body")]
    assert [note.kind for note in outer.notes] == ["discontinuous"]
    assert spans(read_examples(folder, overlap="longest").examples[0]) == [("left", "body")]


def test_webanno_layers_are_named(tmp_path):
    (tmp_path / "a.tsv").write_text(WEBANNO)
    result = read_examples(tmp_path / "a.tsv")
    (doubt,) = result.reading.doubts
    assert "it also has webanno.custom.Pos" in doubt
    other = read_examples(tmp_path / "a.tsv", layer="Pos")
    assert spans(other.examples[0]) == [("play", "VB"), ("nina", "NN"), ("simone", "NN")]
    with pytest.raises(DataError, match=r"no layer 'Chunk'.\n  It has: webanno.custom.Pos"):
        read_examples(tmp_path / "a.tsv", layer="Chunk")


def test_conllu_fields_are_named(tmp_path):
    (tmp_path / "a.conllu").write_text(FILES["conllu"][1].replace("NER=", "Other="))
    with pytest.raises(DataError, match=r"has misc:Other.\n  Set tag_field=upos"):
        read_examples(tmp_path / "a.conllu")
    named = read_examples(tmp_path / "a.conllu", tag_field="misc:Other")
    assert spans(named.examples[0]) == WANTED
    upos = read_examples(tmp_path / "a.conllu", tag_field="upos")
    assert spans(upos.examples[0]) == [("play", "VERB"), ("nina", "PROPN"), ("simone", "PROPN")]


def test_conllu_without_a_text_goes_by_space_after(tmp_path):
    lines = columns(
        "1  play  _  _  _  _  _  _  _  _",
        "2  nina  _  _  _  _  _  _  _  NER=B-artist|SpaceAfter=No",
        "3  !  _  _  _  _  _  _  _  _",
    )
    (tmp_path / "a.conllu").write_text(lines)
    assert read_examples(tmp_path / "a.conllu").examples[0].text == "play nina!"


@pytest.mark.parametrize("cells", [["(A*", "*"], ["*)"], ["(A*", "(B)", "*)"], ["A"]])
def test_brackets_that_do_not_match(cells):
    with pytest.raises(RowError, match="bracket"):
        tags_of_brackets(cells)


def test_several_annotations_of_a_task_are_noted(tmp_path):
    value = {"start": 5, "end": 16, "text": "nina simone", "labels": ["artist"]}
    done = {"result": [{"type": "labels", "value": value}]}
    task = {"data": {"text": TEXT}, "annotations": [{"was_cancelled": True}, done, {"result": []}]}
    (tmp_path / "a.json").write_text(json.dumps([task]))
    result = read_examples(tmp_path / "a.json")
    assert spans(result.examples[0]) == WANTED
    assert "has 2 annotations; the first is read" in result.notes[0].reason


def test_binary_files_of_spacy_say_how_to_write_them(tmp_path):
    (tmp_path / "a.spacy").write_bytes(b"\x78\x9c\x00\x01")
    with pytest.raises(DataError, match=r"doc\.to_json"):
        read_examples(tmp_path / "a.spacy")


def test_a_data_frame_is_read():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["a b", "c d"], "label": ["x", None]})
    result = read_examples(frame)
    assert [example.classes for example in result.examples] == [("x",), None]
