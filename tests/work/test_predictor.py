"""What a request asks of a writer, from the command line."""

import json

import pytest

from groot.types import Example


@pytest.mark.parametrize(("count", "n_words"), [(2, 5), (16, 6)])
def test_mbr_of_a_generator_chooses_among_as_many_texts_as_are_asked_for(
    groot, tiny_generator, tmp_path, count, n_words
):
    """The longest text is worth the most, and is none of the two most probable ones."""
    generator = tiny_generator("causal")
    (searched,) = generator.candidates([Example("play")], count)
    longest = max((text for text in searched if text.output), key=lambda c: len(c.text.split()))
    assert len(longest.text.split()) == n_words
    generator.save(tmp_path / "model")
    (tmp_path / "in.jsonl").write_text('{"text": "play"}\n')
    asked = ("--choose", "mbr", "--reward", "length:9-9", "--candidates", count)
    answer = groot("predict", tmp_path / "model", "--in", tmp_path / "in.jsonl", *asked)
    assert answer.code == 0, answer.err
    (first,) = json.loads(answer.out)["candidates"]
    assert first["text"] == longest.text
