import pytest

from groot.data import read_examples
from groot.data.csv_rows import read_csv
from groot.errors import DataError


def write(tmp_path, text, name="x.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('text,label\n"play nina, please",Play\nhi,Greet\n', "x.csv"),
        ('\ufefftext;label\r\n"play nina, please";Play\r\nhi;Greet\r\n', "x.csv"),
        ("label\tTEXT\nPlay\tplay nina, please\nGreet\thi\n", "x.tsv"),
        ("play nina, please\tPlay\nhi\tGreet\n", "x.tsv"),
    ],
    ids=["header", "semicolon", "label first", "no header"],
)
def test_shapes(tmp_path, text, name):
    result = read_examples(write(tmp_path, text, name))
    assert [(e.text, e.classes) for e in result.examples] == [
        ("play nina, please", ("Play",)),
        ("hi", ("Greet",)),
    ]
    assert result.examples[0].words == ("play", "nina", ",", "please")
    assert not result.problems


def test_without_a_header_the_column_that_repeats_is_the_label(tmp_path):
    path = write(tmp_path, "Play,play nina\nPlay,play rose\nGreet,hi\n")
    assert [example.classes for example in read_csv(path).examples] == [
        ("Play",),
        ("Play",),
        ("Greet",),
    ]


def test_ids_columns_line_numbers_and_quoted_line_ends(tmp_path):
    path = write(tmp_path, 'id,text,label,lang\na,"one\ntwo",x,en\n\n,three,y,de\n')
    first, second = read_csv(path).examples
    assert (first.id, first.text, first.source) == ("a", "one\ntwo", f"{path}:2")
    assert (second.id, second.source) == ("x:5", f"{path}:5")
    assert second.columns["lang"] == "de"


def test_several_classes_and_reference_texts(tmp_path):
    path = write(tmp_path, "text,labels\na,x|y\nb,\n")
    result = read_csv(path, class_separator="|", separator=",")
    assert [example.classes for example in result.examples] == [("x", "y"), ()]
    path = write(tmp_path, "prompt,completion\nName one.,Nina\n")
    assert read_csv(path).examples[0].reference == "Nina"
    path = write(tmp_path, "text,label\nName one.,Nina\n")
    assert read_csv(path, task="text").examples[0].gold == "Nina"


def test_columns_by_name_or_number(tmp_path):
    path = write(tmp_path, "a,b,c\nhi,3,Greet\n")
    by_name = read_csv(path, text_column="A", label_column="c")
    assert [(e.text, e.classes) for e in by_name.examples] == [("hi", ("Greet",))]
    by_number = read_csv(path, text_column=0, label_column=2)
    assert by_number.n_rows == 2  # then the first line is a row like the others
    with pytest.raises(DataError, match=r"x\.csv:1: no label column 'd'; the header has: a, b, c"):
        read_csv(path, text_column="a", label_column="d")
    with pytest.raises(DataError, match="3 columns, and no header"):
        read_csv(path)


def test_bad_rows_are_named(tmp_path):
    path = write(tmp_path, b'text,label\nok,x\nshort\ncaf\xe9,x\nb,\nc,y\n"open,z\nd\xc3\xa9,y\n')
    result = read_csv(path)
    assert [example.text for example in result.examples] == ["ok", "c", "dé"]
    found = {problem.source.rpartition(":")[2]: problem.reason for problem in result.problems}
    assert found["3"] == "1 cells, where the first row has 2"
    assert "not UTF-8" in found["4"]
    assert found["5"] == "the label is empty"
    assert "a quote is not closed" in found["7"]
    assert len(found) == 4


def test_files_without_rows(tmp_path):
    for text in ("", "text,label\n"):
        with pytest.raises(DataError, match=r"x\.csv"):
            read_csv(write(tmp_path, text))
    with pytest.raises(DataError, match="not spans"):
        read_csv(write(tmp_path, "text,label\na,b\n"), task="spans")
