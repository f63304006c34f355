from pathlib import Path

from groot.evaluation.measure import measure
from groot.report.inputs import Run, Stage
from groot.report.stories import stories
from groot.types import Candidate, Example, Span

GOLD = (Span(0, 4, "a"),)
IDS = ("same", "more", "most", "less")


def stage(key, *rewards):
    """One stage of four examples, with the rewards of the two candidates of each."""
    examples = [Example("nina", spans=GOLD, id=name) for name in IDS]
    candidates = [[Candidate("", GOLD, -1.0, reward) for reward in two] for two in rewards]
    measured = measure(examples, candidates, k=2)
    return Stage(key, measured.summary(n_resamples=0), examples, candidates, measured)


def test_of_equal_changes_at_rank_1_the_mean_of_the_top_k_decides():
    before = stage("fit", (0.5, 0.5), (0.2, 0.5), (0.2, 0.2), (0.9, 0.5))
    after = stage("optimised", (0.5, 0.9), (0.4, 0.5), (0.4, 0.9), (0.1, 0.5))
    run = Run(Path("run"), {"k": 2}, {each.key: each for each in (before, after)}, [])
    helped, hurt = stories(run, {})
    assert [story.example.id for story in helped] == ["most", "more"]
    assert [story.example.id for story in hurt] == ["less"]
    assert hurt[0].change == -0.8
