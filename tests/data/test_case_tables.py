"""CSV and TSV of the kinds that people have: read rightly, or stopped with what decides."""

import pytest

from groot.data import read_examples
from groot.errors import DataError


def test_14_columns_of_0_and_1_are_told_and_read_by_their_names(tmp_path, write, labels):
    rows = "".join(f'{i:03x},"item {i}, ok",{i % 2},0,1\n' for i in range(8))
    path = write(tmp_path / "a.csv", "id,comment_text,toxic,obscene,threat\n" + rows)
    with pytest.raises(DataError, match=r"label_columns=\[toxic, obscene, threat\]"):
        read_examples(path)
    result = read_examples(path, label_columns=["toxic", "obscene", "threat"])
    assert labels(result) == {"threat": 8, "toxic": 4}


CSV_ROWS = [
    ("Wo ist; meine Bestellung, bitte?\nzweite", "Order status"),
    ("zurück, danke", "Refund"),
]


def excel(mark, *, header=("Text", "Label")):
    """CSV as Excel writes it: quotes where they are needed only."""
    needs = (mark, '"', "\n")

    def cell(value):
        if any(character in value for character in needs):
            return '"' + value.replace('"', '""') + '"'
        return value

    rows = [header, *CSV_ROWS * 3, ('Bitte "sofort"', "Cancel")]
    return "".join(mark.join(map(cell, row)) + "\r\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "content", "encoding"),
    [
        ("comma.csv", excel(",").encode(), None),
        ("bom.csv", b"\xef\xbb\xbf" + excel(";").encode(), None),
        ("sep.csv", b"\xef\xbb\xbfsep=;\r\n" + excel(";").encode(), None),
        ("cp1252.csv", excel(";").encode("cp1252"), "cp1252"),
        ("utf16.txt", excel("\t").encode("utf-16"), "utf-16"),
    ],
)
def test_23_what_excel_writes(tmp_path, name, content, encoding, write):
    result = read_examples(write(tmp_path / name, content))
    assert [(e.text, *e.classes) for e in result.examples[:2]] == CSV_ROWS
    assert result.examples[-1].text == 'Bitte "sofort"'
    assert len(result.examples) == 7
    assert not result.problems
    assert result.reading.parts.get("encoding") == encoding
    assert bool(result.reading.doubts) == (encoding == "cp1252")


def test_23_the_separator_is_the_one_that_makes_a_table(tmp_path, write, labels):
    text = "".join(f"Hallo, guten Tag, {i};{['x', 'y'][i % 2]}\n" for i in range(8))
    result = read_examples(write(tmp_path / "a.csv", text))
    assert result.examples[0].text == "Hallo, guten Tag, 0"
    assert labels(result) == {"x": 4, "y": 4}


def test_23_index_columns_other_names_and_empty_columns(tmp_path, write, labels):
    rows = "".join(f"{i},hello {i},x,\n" for i in range(4))
    result = read_examples(write(tmp_path / "a.csv", f",Message,Intent,\n{rows}"))
    assert result.examples[1].text == "hello 1"
    assert labels(result) == {"x": 4}


def test_23_lists_of_classes_as_python_writes_them(tmp_path, write, labels):
    rows = "".join(f"hello {i},\"['a', 'b']\"\n" for i in range(4))
    assert labels(read_examples(write(tmp_path / "a.csv", "text,labels\n" + rows))) == {
        "a": 4,
        "b": 4,
    }


def test_a_word_a_row_without_a_sentence_is_told(tmp_path, write, labels):
    text = "word,tag\n" + "play,O\nnina,B-artist\n\n" * 3
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(DataError, match="format=columns"):
        read_examples(path)
    assert labels(read_examples(path, format="columns")) == {"artist": 3}


def test_23_a_header_that_is_not_known_is_asked_about(tmp_path, write):
    rows = "".join(f"hallo {i},{['gut', 'schlecht'][i % 2]}\n" for i in range(8))
    path = write(tmp_path / "a.csv", "Kommentar,Urteil\n" + rows)
    result = read_examples(path)
    (doubt,) = result.reading.doubts
    assert "may be a header, as its label 'Urteil' stands nowhere else" in doubt
    named = read_examples(path, text_column="Kommentar", label_column="Urteil")
    assert (named.n_rows, named.reading.doubts) == (8, ())


def test_blank_lines_do_not_make_a_table_a_column_file(tmp_path, write, labels):
    rows = "".join(f"hello {i}\t{['x', 'y'][i % 2]}\n\n" for i in range(8))
    result = read_examples(write(tmp_path / "a.tsv", "sentence\tlabel\n\n" + rows))
    assert result.reading.format == "csv"
    assert labels(result) == {"x": 4, "y": 4}


def test_43_quotes_are_text_in_tsv(tmp_path, write):
    for opening, closing in (('"A film that', 'never again"'), ('"Second film', 'was great"')):
        texts = [f"plain text {i}" for i in range(24)]
        texts[2], texts[9] = opening, closing
        rows = "".join(f"{text}\t{['pos', 'neg'][i % 2]}\n" for i, text in enumerate(texts))
        result = read_examples(write(tmp_path / "a.tsv", "sentence\tlabel\n" + rows))
        assert [example.text for example in result.examples] == texts
        assert any("quotes=csv" in doubt for doubt in result.reading.doubts)
    quoted = "".join(f'"text {i}"\t"pos"\n' for i in range(4))
    result = read_examples(write(tmp_path / "b.tsv", '"sentence"\t"label"\n' + quoted))
    assert [(e.text, e.classes) for e in result.examples[:1]] == [("text 0", ("pos",))]


def test_a_quote_that_would_make_a_longer_row_costs_its_line_only(tmp_path, write):
    rows = 'a,"b\nc,y\nd",x\ne,x\n'
    result = read_examples(write(tmp_path / "a.csv", "text,label\n" + rows))
    assert [example.text for example in result.examples] == ["c", 'd"', "e"]
    (problem,) = result.problems
    assert problem.source == f"{tmp_path / 'a.csv'}:2"


def test_43_quotes_that_hold_rows_together_are_asked_about(tmp_path, write):
    rows = 'a,x\n"b,x\nc,y\nd,x\ne",y\nf,x\n'
    result = read_examples(write(tmp_path / "a.csv", "text,label\n" + rows))
    (doubt,) = result.reading.doubts
    assert "the quotes of line 3 hold 2 lines together that look like rows" in doubt
