from groot.data.candidates import CandidateRow
from groot.recipes.contrast import contrast_cases
from groot.rollouts.store import Case
from groot.types import Example


def row(text, reward, *, ends=True):
    return CandidateRow(
        "1", text, text if ends else None, reward=reward, rewards={"length": reward}
    )


def test_cases_hold_whole_texts_with_their_rewards(tiny_generator):
    generator = tiny_generator("causal")
    example = Example("play", reference="play nina", id="1")
    rows = (row("play", 0.5), row("play nina", 1.0), row("play nin", 0.0, ends=False))
    (case,) = contrast_cases(generator.notation, [Case(example, rows)])
    assert [list(target.tokens) for target in case.targets] == [
        generator.prompts.target_ids(text) for text in ("play", "play nina")
    ]
    assert case.rewards == (0.5, 1.0)
    assert case.gold == 1
    assert case.logs["reward"] == 0.75
    assert case.logs["rewards/length/mean"] == 0.75


def test_what_teaches_nothing_is_left_out(tiny_generator):
    generator = tiny_generator("causal")
    bare = Example("play", id="1")
    same, differing = (row("a", 1.0), row("b", 1.0)), (row("a", 1.0), row("b", None), row("c", 0.0))
    assert contrast_cases(generator.notation, [Case(bare, same)]) == []
    (case,) = contrast_cases(generator.notation, [Case(bare, differing)])
    assert case.gold is None
    assert case.rewards == (1.0, None, 0.0)
