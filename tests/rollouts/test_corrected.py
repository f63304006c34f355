import random

import pytest

from groot.models.codec import Codec
from groot.rewards import parse_rewards
from groot.rollouts.corrected import corrected_rows
from groot.rollouts.instances import Variation, training_instances
from groot.rollouts.sampler import Generation, Sampler
from groot.targets import MultiClass
from groot.types import Candidate, Example
from groot.writer.label_notation import LabelNotation
from groot.writer.notation import Writing

EXAMPLE = Example("greet", reference="good morning to you", id="7")
WRITTEN = [
    Candidate("bad morning you", "bad morning you", -1.0, source="sample"),
    Candidate("good morning to you", "good morning to you", -2.0, source="sample"),
    Candidate("bad morning you and", None, -3.0, source="sample"),
]


@pytest.fixture(scope="module")
def rows_of(tiny_generator):
    notation = tiny_generator("causal").notation

    def rows(written, at_most=20, example=EXAMPLE):
        rng = random.Random(0)
        return corrected_rows(
            notation, example, written, rng, at_most=at_most, deletions=2, round=1
        )

    return rows


def test_the_reference_and_corrections_stand_beside_what_was_written(rows_of):
    rows = rows_of(WRITTEN)
    assert [row.source for row in rows[:3]] == ["sample", "gold", "sample"]
    assert [row.log_p for row in rows[:3]] == [-1.0, -2.0, -3.0]
    assert rows[2].output is None
    corrected = {row.output: row for row in rows[3:]}
    assert set(corrected) == {"good morning you", "bad morning to you"}
    assert all(row.source == "corrected" and row.parent == 0 for row in corrected.values())
    assert '"bad" -> "good"' in corrected["good morning you"].note


def test_the_reference_has_a_place_however_little_room_there_is(rows_of):
    for room in (1, 3, 4):
        rows = rows_of([WRITTEN[0], WRITTEN[2]], room)
        assert len(rows) == max(3, room)
        assert sum(row.output == EXAMPLE.reference for row in rows) == 1


def test_without_a_reference_there_is_nothing_to_correct_by(rows_of):
    rows = rows_of(WRITTEN, example=Example("greet", id="7"))
    assert [row.source for row in rows] == ["sample"] * 3


@pytest.mark.parametrize("room", [2, 3, 4])
def test_outputs_of_one_less_take_no_more_room_than_there_is(tiny_generator, room):
    """The likeliest says all of the gold and one class more, so that three could be left out."""
    labels = ("happy", "sad", "tired")
    tokenizer = tiny_generator("causal").model.tokenizer
    codec = Codec(MultiClass(labels), tokenizer, label_style="words", max_words=8, is_causal=True)
    notation = LabelNotation(codec, window_words=8, window_overlap=2)
    said = Candidate("", labels, -1.0)
    rng = random.Random(0)
    example = Example("well", classes=labels[:2], id="1")
    rows = corrected_rows(notation, example, [said], rng, at_most=room, deletions=3, round=1)
    assert [row.output for row in rows[:2]] == [labels, labels[:2]]
    assert len(rows) == room


def drawn(generator, examples, indices, seed=1):
    instances, missed = training_instances(generator.notation, examples)
    assert not missed
    with parse_rewards(["length:3-3"]) as reward:
        sampler = Sampler(
            generator,
            Variation(generator.notation, instances),
            reward,
            Generation(2, 3, 6, seed, writing=Writing("sample", temperature=3.0)),
        )
        return sampler.cases(instances, indices)


def test_candidates_follow_the_seed_and_carry_their_rewards(tiny_generator):
    generator = tiny_generator("causal")
    examples = [Example(word, reference="play nina simone", id=word) for word in ("play", "book")]
    both = drawn(generator, examples, [0, 1])
    assert drawn(generator, examples, [0, 1]) == both
    assert drawn(generator, examples, [0, 1], seed=2) != both
    assert [case.example.id for case in both] == ["round-2:0", "round-2:1"]
    for case in both:
        for row in case.rows:
            right = row.output is not None and len(row.output.split()) == 3
            assert (row.reward == 1.0) is right
            assert row.rewards == {"length:3-3": row.reward}


def test_equal_prompts_of_different_chunks_get_different_samples(tiny_generator):
    examples = [Example("", reference="play", id=str(number)) for number in range(2)]
    chunks = [drawn(tiny_generator("causal"), examples, [index]) for index in (0, 1, 0)]
    texts = [[row.target for row in case.rows if row.log_p is not None] for (case,) in chunks]
    assert texts[0] == texts[2] != texts[1]
