import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.errors import ConfigError
from groot.rewards.cost_table import CostTable, common_order, read_cost_table
from groot.types import Candidate, Example, Span

COSTS = CostTable(
    {
        "default": {"missing": 2.0, "spurious": 3.0, "wrong_label": 4.0, "wrong_boundary": 0.5},
        "artist": {"missing": 5.0, "wrong_label": 7.0},
        "song": {"spurious": 11.0},
    }
)
GOLD = Example("nina simone jazz", spans=(Span(0, 11, "artist"), Span(12, 16, "genre")))


def cost(*spans, example=GOLD):
    return COSTS(example, [Candidate("", spans)])


def test_each_kind_of_error_worked_by_hand():
    artist, genre = GOLD.spans
    assert cost(artist, genre) == [0.0]
    assert cost(genre) == [-5.0]  # artist missing: its own price
    assert cost(artist) == [-2.0]  # genre missing: the default's
    assert cost(Span(0, 11, "song"), genre) == [-7.0]  # wrong label, at the gold's label
    assert cost(Span(0, 4, "artist"), genre) == [-0.5]  # wrong boundary
    assert cost(Span(0, 4, "song"), genre) == [-7.5]  # both
    assert cost() == [-7.0]
    assert cost(Span(0, 4, "song"), example=Example("nina", spans=())) == [-11.0]


def test_a_repeated_span_is_spurious():
    artist, genre = GOLD.spans
    assert cost(artist, artist, genre) == [-3.0]


def test_malformed_is_worse_than_nothing():
    [junk, nothing] = COSTS(GOLD, [Candidate("?", None), Candidate("", ())])
    assert junk == -(5.0 + 2.0 + 11.0)
    assert junk < nothing
    assert COSTS(Example("x", spans=()), [Candidate("?", None)]) == [-11.0]


def test_classes():
    example = Example("x", classes=("artist", "genre"))
    said = [("artist", "genre"), ("song", "genre"), ("artist",), ("artist", "genre", "song"), ()]
    values = COSTS(example, [Candidate("", one) for one in said])
    assert values == [0.0, -7.0, -2.0, -11.0, -7.0]


def test_without_gold_or_prices():
    assert COSTS(Example("x"), [Candidate("", ())]) == [None]
    assert CostTable({})(GOLD, [Candidate("", ())]) == [-2.0]


# any spans of a text of ten characters, also some that overlap each other
PLACES = st.tuples(st.integers(0, 9), st.integers(1, 5), st.sampled_from(["artist", "song", "x"]))
SPANS = st.sets(PLACES, max_size=4).map(lambda some: tuple(Span(a, a + n, c) for a, n, c in some))
IN_ORDER = SPANS.map(lambda some: tuple(sorted(some, key=lambda s: (s.start, s.end, s.label))))
CLASSES = st.sets(st.sampled_from(["artist", "genre", "song", "x"])).map(sorted).map(tuple)


@given(st.lists(st.none() | IN_ORDER, min_size=1, max_size=7))
def test_pairwise_is_the_cost_with_each_as_gold(outputs):
    candidates = [Candidate("", output) for output in outputs]
    matrix = COSTS.pairwise(candidates)
    for row, gold in zip(matrix, outputs, strict=True):
        if gold is not None:
            values = COSTS(Example("", spans=gold), candidates)
            np.testing.assert_allclose(row, values, rtol=0, atol=1e-12)


@given(st.lists(st.none() | CLASSES, min_size=1, max_size=7))
def test_pairwise_of_classes(outputs):
    candidates = [Candidate("", output) for output in outputs]
    matrix = COSTS.pairwise(candidates)
    for row, gold in zip(matrix, outputs, strict=True):
        if gold is not None:
            values = COSTS(Example("", classes=gold), candidates)
            np.testing.assert_allclose(row, values, rtol=0, atol=1e-12)


def test_pairwise_is_not_known_where_the_order_would_matter():
    a, b = Span(0, 4, "artist"), Span(5, 9, "song")
    for outputs in ([(b, a)], [(a, a)], [("x", "song"), ("song", "x")], [("x", "x")]):
        assert COSTS.pairwise([Candidate("", output) for output in outputs]) is None
    assert common_order([]) == []


def test_read(tmp_path):
    path = tmp_path / "costs.yaml"
    path.write_text("default: {missing: 2}\nno: 3\n1: {spurious: 0}\n")
    table = read_cost_table(path)
    assert table.name == "costs"
    assert table.cost("no", "wrong_label") == 3.0  # a label "no" is not the YAML False
    assert table.cost("1", "spurious") == 0.0
    assert table.cost("1", "missing") == 2.0
    assert table.cost("other", "spurious") == 1.0


def test_every_mistake_with_its_line(tmp_path):
    path = tmp_path / "costs.yaml"
    path.write_text(
        "default: {missing: -1}\n"
        "artist:\n"
        "  mising: 2\n"
        "  spurious: lots\n"
        "  wrong_label: .nan\n"
        "song: [1, 2]\n"
        "artist: 3\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_cost_table(path)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0].removeprefix(f"{path}:") for line in lines] == list("134567")
    assert "Did you mean 'missing'?" in lines[1]
    assert "'lots'; a cost is a number >= 0" in lines[2]
    assert "wants one cost" in lines[4]
    assert "twice" in lines[5]


@pytest.mark.parametrize(
    "text", ["", "- 1\n", "artist: {missing: 1\n", "a: !!python/object:os.system {}\n", "a: *b\n"]
)
def test_files_that_are_no_table(tmp_path, text):
    path = tmp_path / "costs.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"costs\.yaml:[12]"):
        read_cost_table(path)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_cost_table(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"caf\xe9: 1\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_cost_table(tmp_path / "latin.yaml")
