import random

from groot.recipes.text_fit import text_items
from groot.rewards import parse_rewards
from groot.rollouts.text_candidates import Writing, generate_texts, text_rows, write_texts
from groot.types import Candidate, Example

EXAMPLE = Example("greet", reference="good morning to you", id="7")
WRITTEN = [
    Candidate("bad morning you", "bad morning you", -1.0, source="sample"),
    Candidate("good morning to you", "good morning to you", -2.0, source="sample"),
    Candidate("bad morning you and", None, -3.0, source="sample"),
]


def rows_of(written, per_example=20, example=EXAMPLE):
    return text_rows(example, written, round=1, per_example=per_example, rng=random.Random(0))


def test_the_reference_and_corrections_stand_beside_what_was_written():
    rows = rows_of(WRITTEN)
    assert [row.source for row in rows[:3]] == ["sample", "gold", "sample"]
    assert [row.log_p for row in rows[:3]] == [-1.0, -2.0, -3.0]
    assert rows[2].output is None
    corrected = {row.output: row for row in rows[3:]}
    assert set(corrected) == {"good morning you", "bad morning to you"}
    assert all(row.source == "corrected" and row.parent == 0 for row in corrected.values())
    assert '"bad" -> "good"' in corrected["good morning you"].note


def test_the_reference_has_a_place_however_little_room_there_is():
    for room in (2, 3, 4):
        rows = rows_of(WRITTEN[:1] + WRITTEN[2:], room)
        assert len(rows) == room
        assert sum(row.output == EXAMPLE.reference for row in rows) == 1


def test_without_a_reference_there_is_nothing_to_correct_by():
    rows = rows_of(WRITTEN, example=Example("greet", id="7"))
    assert [row.source for row in rows] == ["sample"] * 3


def test_candidates_follow_the_seed_and_carry_their_rewards(tiny_generator):
    generator = tiny_generator("causal")
    examples = [Example(word, reference="play nina simone", id=word) for word in ("play", "book")]
    items, missed = text_items(generator, examples)
    assert not missed
    with parse_rewards(["length:3-3"]) as reward:

        def cases(indices, seed=1):
            return generate_texts(
                generator,
                items,
                indices,
                reward=reward,
                writing=Writing("sample", seed, temperature=3.0),
                round=2,
                num_candidates=3,
                per_example=6,
            )

        both = cases([0, 1])
        assert cases([0, 1]) == both
        assert cases([0, 1], seed=2) != both
    assert [case.example.id for case in both] == ["round-2:0", "round-2:1"]
    for case in both:
        for row in case.rows:
            right = row.output is not None and len(row.output.split()) == 3
            assert (row.reward == 1.0) is right
            assert row.rewards == {"length:3-3": row.reward}


def test_equal_prompts_of_different_chunks_get_different_samples(tiny_generator):
    generator, examples = tiny_generator("causal"), [Example("")]

    def draw(first):
        found = write_texts(generator, examples, Writing("sample", 1), k=6, name="dev", first=first)
        return [one.text for one in found[0]]

    assert draw(0) == draw(0) != draw(128)
