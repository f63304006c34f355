import pytest

from groot.data.columns import read_columns
from groot.data.tagged import BARE_LABEL
from groot.errors import DataError


def write(tmp_path, text, name="x.conll"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def spans(result):
    return [[(span.text, span.label) for span in example.spans] for example in result.examples]


PLAIN = [[("nina simone", "artist")], [("oslo", "city")]]


@pytest.mark.parametrize(
    "text",
    [
        "play\tO\nnina\tB-artist\nsimone\tI-artist\n\nin\tO\noslo\tB-city\n",
        "play O\nnina B-artist\nsimone I-artist\n\nin O\noslo B-city",
        "play   O\nnina \t B-artist\nsimone  I-artist \n \t \nin  O\noslo B-city\n\n\n",
        "play,O\nnina,B-artist\nsimone,I-artist\n\nin,O\noslo,B-city\n",
        "O\tplay\r\nB-artist\tnina\r\nI-artist\tsimone\r\n\r\nO\tin\r\nB-city\toslo\r\n",
        "\ufeffplay O\nnina B-artist\nsimone I-artist\n\nin O\noslo B-city\n",
        "-DOCSTART- -X- O O\n\nplay VB O O\nnina NN B O\n".replace("B O", "B B-artist")
        + "simone NN I I-artist\n\n-DOCSTART- -X- O O\n\nin IN O O\noslo NN B B-city\n",
        "# id = 1\nplay\tO\nnina\tS-artist\n".replace("S-artist", "B-artist\nsimone\tE-artist")
        + "\n# id = 2\nin\tO\noslo\tS-city\n",
    ],
    ids=["tab", "space", "runs", "comma", "tag first, CRLF", "BOM", "DOCSTART", "comments"],
)
def test_shapes(tmp_path, text):
    result = read_columns(write(tmp_path, text))
    assert spans(result) == PLAIN
    assert [example.text for example in result.examples] == ["play nina simone", "in oslo"]
    assert not result.problems
    for example in result.examples:
        for word, start in zip(example.words, example.word_starts, strict=True):
            assert example.text[start : start + len(word)] == word
        for span in example.spans:
            assert example.text[span.start : span.end] == span.text


def test_places_and_ids(tmp_path):
    path = write(tmp_path, "\nplay O\nnina B-a\n\n\noslo B-b\n")
    result = read_columns(path)
    assert [example.source for example in result.examples] == [f"{path}:2", f"{path}:6"]
    assert [example.id for example in result.examples] == ["x:2", "x:6"]


def test_other_columns_are_kept(tmp_path):
    result = read_columns(write(tmp_path, "play VB O\nnina NN B-a\n"))
    assert result.examples[0].columns == {"column_1": ("VB", "NN")}


def test_columns_can_be_set(tmp_path):
    path = write(tmp_path, "O play VB\nB-a nina NN\n")
    by_pos = read_columns(path, word_column=1, tag_column=-1)
    assert by_pos.scheme == "WORD"
    assert spans(by_pos) == [[("play", "VB"), ("nina", "NN")]]
    with pytest.raises(DataError, match="tag_column=3, but the file has 3 columns"):
        read_columns(path, tag_column=3)
    with pytest.raises(DataError, match="are both 0"):
        read_columns(path, word_column=0, tag_column=0)


def test_a_word_may_hold_other_separators(tmp_path):
    result = read_columns(write(tmp_path, "1,000\tO\nnew york\tB-city\n,\tO\n\u00a0x\u2028y\tO\n"))
    assert result.examples[0].words == ("1,000", "new york", ",", "\u00a0x\u2028y")
    quoted = read_columns(write(tmp_path, 'play,O\n",",O\nnina,B-a\n'))
    assert quoted.examples[0].words == ("play", ",", "nina")


def test_bare_tags(tmp_path):
    result = read_columns(write(tmp_path, "play O\nnina B\nsimone I\n"))
    assert spans(result) == [[("nina simone", BARE_LABEL)]]


def test_the_scheme_is_detected_over_the_whole_file_or_given(tmp_path):
    path = write(tmp_path, "a I-x\nb B-x\n\nc I-x\nd O\n")
    detected = read_columns(path)
    assert detected.scheme == "IOB1"
    assert not detected.notes
    given = read_columns(path, scheme="IOB2")
    assert spans(given) == spans(detected)
    assert [note.source for note in given.notes] == [f"{path}:1", f"{path}:4"]
    assert "'I-x' of word 1 is illegal in IOB2" in given.notes[0].reason


def test_one_bad_line_costs_its_text_and_is_named(tmp_path):
    path = write(
        tmp_path,
        b"a O\nb B-x\n\nc O\nd\n\ne O\nf\xe9 O\n\ng X-y\n\nh O\x00\n\n" + b"i O\n\n" * 8,
    )
    result = read_columns(path)
    assert result.n_rows == 13
    assert len(result.examples) == 9
    found = {problem.source.rpartition(":")[2]: problem.reason for problem in result.problems}
    assert found["5"] == "1 columns, where the file has 2"
    assert "not UTF-8" in found["8"]
    assert "'X-y' of word 1 ('g') is not a tag of scheme IOB2" in found["10"]
    assert "NUL" in found["12"]


def test_lines_beyond_those_looked_at_are_all_read(tmp_path):
    n = 2500
    result = read_columns(write(tmp_path, "".join(f"w{i} O\n" for i in range(n))))
    assert result.examples[0].words == tuple(f"w{i}" for i in range(n))


def test_an_empty_word_is_a_problem(tmp_path):
    path = write(tmp_path, "a\tO\n\tO\n\nb\tB-x\n")
    result = read_columns(path)
    assert [str(problem) for problem in result.problems] == [f"{path}:1: word 2 is empty"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no words"),
        ("\n\n", "holds no words"),
        ("one\ntwo\n", ":1: one column only"),
        ("a X-b\n\nb B-b\n".replace("b B-b", "c B-"), "none of its 2 rows can be used"),
    ],
)
def test_files_without_one_usable_text(tmp_path, text, reason):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=reason) as error:
        read_columns(path)
    assert str(path) in str(error.value)


def test_classes_cannot_be_asked_for(tmp_path):
    with pytest.raises(DataError, match="hold spans, not classes"):
        read_columns(write(tmp_path, "a O\n"), task="classes")
