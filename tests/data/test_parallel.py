import pytest

from fixtures.text_files import write_files
from groot.data import read_examples
from groot.data.parallel import read_parallel, split_classes
from groot.errors import DataError


def triple(folder, words, tags, classes=None):
    texts = {"seq.in": words, "seq.out": tags}
    if classes is not None:
        texts["label"] = classes
    return write_files(folder, texts)


def test_a_folder_of_three_files(tmp_path):
    folder = triple(
        tmp_path / "train",
        "play nina \r\n\nin oslo\n",
        "O B-artist\r\n\nO B-city \n",
        "Play\r\n\nGo#Where\n",
    )
    result = read_examples(folder, class_separator="#")
    assert [example.text for example in result.examples] == ["play nina", "in oslo"]
    assert [example.spans[0].label for example in result.examples] == ["artist", "city"]
    assert [example.classes for example in result.examples] == [("Play",), ("Go", "Where")]
    assert [example.id for example in result.examples] == ["train:1", "train:3"]
    assert result.examples[1].source == f"{folder / 'seq.in'}:3"
    classes = read_parallel(folder, task="classes")
    assert classes.examples[1].classes == ("Go#Where",)
    assert classes.examples[1].spans is None
    assert read_parallel(folder, task="spans").examples[1].classes is None


def test_two_files_by_name_or_given(tmp_path):
    (tmp_path / "sent_x.txt").write_text("play nina\n")
    (tmp_path / "label_x.txt").write_text("O B-a\n")
    (tmp_path / "other.txt").write_text("B-b O\n")
    assert read_examples(tmp_path / "sent_x.txt").examples[0].spans[0].label == "a"
    given = read_examples(tmp_path / "sent_x.txt", tags_path=tmp_path / "other.txt")
    assert given.examples[0].spans[0].text == "play"
    with pytest.raises(DataError, match="no file of tags beside it"):
        read_parallel(tmp_path / "other.txt")


def test_counts_that_differ_are_named(tmp_path):
    folder = triple(tmp_path / "a", "a b\nc d\ne\nf\n", "O O\nO\nB-x\n")
    result = read_parallel(folder)
    assert [example.text for example in result.examples] == ["a b", "e"]
    assert [str(problem) for problem in result.problems] == [
        f"{folder / 'seq.out'}:2: 2 words but 1 tags; every word needs one tag",
        f"{folder / 'seq.out'}:4: the file ends before line 4, which seq.in has",
    ]
    assert result.n_rows == 4


def test_missing_words_classes_and_bytes_are_named(tmp_path):
    folder = triple(tmp_path / "a", "a\n", "O\nO\nO\nO\n", "x\n \ny\n")
    (folder / "seq.in").write_bytes(b"a\nb\n\xff\n")
    result = read_parallel(folder)
    assert [(problem.source, problem.kind) for problem in result.problems] == [
        (f"{folder / 'label'}:2", "counts"),
        (f"{folder / 'seq.in'}:3", "encoding"),
        (f"{folder / 'seq.in'}:4", "counts"),
    ]


def test_a_missing_file_is_an_error_before_anything_is_read(tmp_path):
    folder = triple(tmp_path / "a", "a\n", "O\n")
    (folder / "seq.out").unlink()
    with pytest.raises(DataError, match=r"seq\.out does not exist"):
        read_parallel(folder)
    with pytest.raises(DataError, match="label does not exist"):
        read_parallel(folder, task="classes")


def test_odd_spaces_are_part_of_words(tmp_path):
    folder = triple(tmp_path / "a", "a\u00a0b \u2028c  d\n", "O O B-x\n")
    assert read_parallel(folder).examples[0].words == ("a\u00a0b", "\u2028c", "d")


def test_classes_of_a_cell():
    assert split_classes("a#b#a#", "#") == ("a", "b")
    assert split_classes("C#", None) == ("C#",)
