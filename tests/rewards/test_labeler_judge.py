import math

import pytest
import torch

from groot.models.loading import add_symbols, load_model
from groot.rewards import parse_rewards
from groot.rewards.labeler_judge import LabelerJudge
from groot.targets import SentinelTags, SingleClass
from groot.types import Candidate, Example, Span
from groot.writer.folders import load_labeler
from groot.writer.labeler import Labeler

ASKED = Example("", columns={"intent": "music", "slots": ["artist", "song"]})


def judged(output, *, log_p=0.0, example=ASKED, **settings):
    """The reward of a text in which a labeler finds `output`."""
    judge = LabelerJudge("runs/any", **settings)
    judge.open(lambda folder: lambda texts, *, top_k: [[Candidate("", output, log_p)]])
    return judge(example, [Candidate("", "a text")])[0]


def spans(*labels):
    return tuple(Span(place, place + 1, label) for place, label in enumerate(labels))


def test_different_labels_count_up_to_those_wanted():
    assert judged(()) == 0.0
    assert judged(spans("song", "song")) == 0.5
    assert judged(spans("song", "artist", "year")) == 1.0
    assert judged(spans("song"), least=1) == 1.0


def test_labels_that_a_column_asks_for():
    assert judged(spans("song", "year"), column="slots") == 0.5
    assert judged(spans("song", "artist"), column="slots") == 1.0
    assert judged((), column="slots", example=Example("", columns={"slots": []})) == 1.0
    assert judged(spans("song"), column="slots", example=Example("")) is None


def test_classes_count_by_their_probability():
    assert judged(("music",), log_p=math.log(0.8)) == pytest.approx(0.8)
    assert judged(("music",), log_p=math.log(0.8), column="intent") == pytest.approx(0.8)
    assert judged(("weather",), log_p=math.log(0.8), column="intent") == 0.0
    assert judged(None) == 0.0


@pytest.fixture(scope="module")
def folders(make_model_folder, tmp_path_factory):
    """A labeler of spans and one of classes, with random weights."""
    place = tmp_path_factory.mktemp("judges")
    base = make_model_folder("t5", place / "base")
    for name, form in (("slots", SentinelTags), ("intents", SingleClass)):
        model = load_model(base)
        add_symbols(model, form(["artist", "song"]), label_style="token", max_words=8)
        Labeler(model, form(["artist", "song"]), window_words=8, window_overlap=2).save(
            place / name
        )
    return place


@torch.no_grad()
def test_real_labelers_judge_all_texts_of_a_call_at_once_and_none_twice(folders):
    calls = []

    def open_labeler(folder):
        labeler = load_labeler(folder)

        def label(texts, *, top_k=1):
            calls.append(list(texts))
            return labeler(texts, top_k=top_k)

        return label

    specs = [f"labeler_judge:{folders / 'slots'}", f"labeler_judge:{folders / 'intents'}"]
    texts = [["play nina", "play"], ["play", "a b"]]
    candidates = [[Candidate(text, text) for text in some] for some in texts]
    with parse_rewards(specs, open_labeler=open_labeler) as reward:
        parts = reward.score_parts([ASKED, ASKED], candidates).parts
        assert calls == [["a b", "play", "play nina"]] * 2
        slots, intents = (parts[spec] for spec in specs)
        labeler = load_labeler(folders / "slots")
        for some, values in zip(texts, slots, strict=True):
            for text, value in zip(some, values, strict=True):
                found = labeler([text])[0][0]
                assert value == min(1.0, len({span.label for span in found.spans}) / 2)
        assert all(0.5 - 1e-6 <= value <= 1 for row in intents for value in row)  # of two classes
        assert reward.score([ASKED], [candidates[1]])[0] == pytest.approx(
            [slots[1][0] + intents[1][0], slots[1][1] + intents[1][1]]
        )
        assert len(calls) == 2


def test_another_labeler_is_another_mark(folders):
    marks = [LabelerJudge(str(folders / name)).mark for name in ("slots", "intents")]
    marks.append(LabelerJudge(str(folders / "slots"), least=3).mark)
    assert len(set(marks)) == 3
    assert LabelerJudge(str(folders / "slots")).mark == marks[0]
