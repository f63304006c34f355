import pytest

from groot.errors import ConfigError
from groot.rewards.cost_file import read_cost_table


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
