"""Settings of readers: of the right type, and of the values that there are."""

import pytest

from groot.data.columns import ColumnSettings
from groot.data.csv_table import CsvSettings
from groot.data.settings import RowSettings, WriteSettings
from groot.errors import ConfigError, UnknownNameError

DEEP = ["a"]
for _ in range(60):  # what a few lines of YAML aliases make: 2 ** 60 items when written out
    DEEP = [DEEP, DEEP]


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        (ColumnSettings, {"word_column": "abc"}, "word_column is str .abc.: want a whole number"),
        (ColumnSettings, {"word_column": True}, "want a whole number"),
        (ColumnSettings, {"separator": 3}, "separator is int .3.: want a text"),
        (ColumnSettings, {"join_runs": "maybe"}, "want true or false"),
        (ColumnSettings, {"encoding": "utf-9"}, "encoding='utf-9': want utf-8"),
        (CsvSettings, {"quotes": "both"}, "quotes='both': want 'csv' or 'text'"),
        (CsvSettings, {"text_column": 1.5}, "want a text or a whole number"),
        (RowSettings, {"label_names": "a, b"}, "label_names: want a list of names"),
        (RowSettings, {"label_names": [True, False]}, "label_names: want a list of names"),
        (RowSettings, {"label_names": DEEP}, "label_names: want a list of names"),
        (RowSettings, {"overlap": "biggest"}, "want one of drop-text, outermost"),
        (WriteSettings, {"offset_unit": "bytes"}, "want 'codepoint' or 'utf16'"),
    ],
)
def test_what_is_wrong_is_named(kind, given, reason):
    with pytest.raises(ConfigError, match=reason):
        kind(**given)


def test_schemes_are_those_of_the_table():
    with pytest.raises(UnknownNameError, match="Did you mean 'IOB2'"):
        ColumnSettings(scheme="IOB3")
    assert CsvSettings(text_column=0, label_columns=["a", "b"]).label_columns == ["a", "b"]
