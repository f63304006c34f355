"""A run folder made of synthetic predictions, as training would leave it."""

import dataclasses
import json
import math
import random

import pytest

from groot.data.candidates import CandidateRow, write_candidates
from groot.evaluation.comparison import compare
from groot.evaluation.corpus_metrics import MicroF, f_beta
from groot.evaluation.measure import measure
from groot.evaluation.records import write_records
from groot.outputs.items import count_items
from groot.types import Candidate, Example, Span

FILLERS = {
    "cuisine": ["thai", "north indian", "seafood", "tapas", "vegan soul food", "pho"],
    "location": ["near the harbour", "downtown", "within five miles", "on elm street"],
    "rating": ["five star", "well reviewed", "highly rated", "decent"],
    "price": ["cheap", "under ten dollars", "moderately priced", "fancy"],
    "hours": ["open after midnight", "for sunday brunch", "open late", "at noon"],
    "amenity": ["with a patio", "that takes cards", "kid friendly", "with live music"],
    "dish": ["dumplings", "fish tacos", "a good burger", "black pudding"],
}
FRAMES = [
    "find me a {rating} {cuisine} place {location}",
    "is there anything {price} {location} that serves {dish}",
    "where can i get {dish} {hours}",
    "i want {price} {cuisine} food {amenity} {location}",
    "show {cuisine} restaurants {hours} {amenity}",
    "what is the number of the diner {location}",
    "book a table",
]


def sentence(rng, number):
    words, spans, at = [], [], 0
    for part in rng.choice(FRAMES).replace("{", "\n{").replace("}", "}\n").split("\n"):
        filler = part.strip("{}")
        said = rng.choice(FILLERS[filler]) if part.startswith("{") else part
        if part.startswith("{"):
            spans.append(Span(at, at + len(said), filler, said))
        words.append(said)
        at += len(said)
    text = "".join(words)
    tokens = text.split()
    starts = [at for at, c in enumerate(text) if c != " " and (at == 0 or text[at - 1] == " ")]
    return Example(
        text,
        words=tuple(tokens),
        word_starts=tuple(starts),
        spans=tuple(spans),
        id=f"test:{number}",
        source=f"test.txt:{number}",
    )


def spoiled(rng, example, errors):
    """The gold with so many random errors in it."""
    spans = list(example.spans)
    ends = [a + len(word) for a, word in zip(example.word_starts, example.words, strict=True)]
    for _ in range(errors):
        kind = rng.choice(["drop", "label", "boundary", "add"])
        if kind == "add" or not spans:
            at = rng.randrange(len(ends))
            new = Span(example.word_starts[at], ends[at], rng.choice(list(FILLERS)))
            if not any(new.start < one.end and one.start < new.end for one in spans):
                spans.append(new)
            continue
        place = rng.randrange(len(spans))
        one = spans[place]
        if kind == "drop":
            del spans[place]
        elif kind == "label":
            spans[place] = Span(one.start, one.end, rng.choice(list(FILLERS)))
        else:
            inside = [end for end in ends if one.start < end < one.end]
            spans[place] = Span(one.start, rng.choice(inside or [one.end]), one.label)
    text = example.text
    return tuple(
        Span(one.start, one.end, one.label, text[one.start : one.end])
        for one in sorted(spans, key=lambda span: span.start)
    )


def f_half(example, output):
    value = f_beta(count_items(example.spans, output), 0.5)
    return 1.0 if value is None else value


def candidates_of(rng, example, k, skill):
    """k candidates whose errors grow with the rank, fewer for a more skilled model."""
    found, log_p, seen = [], math.log(0.35 + 0.6 * rng.random()), set()
    for rank in range(k):
        chance = min(0.95, (0.22 + 0.2 * rank) * (1 - skill))
        errors = sum(rng.random() < chance for _ in range(3))
        output = spoiled(rng, example, errors)
        if output in seen:
            output = spoiled(rng, example, errors + 1)
        seen.add(output)
        if rank and rng.random() < 0.02:
            found.append(Candidate("<s0> cuisine <s0", None, log_p, 0.0))
        else:
            target = " ".join(f"<s{i}> O" for i in range(len(example.words)))
            found.append(Candidate(target, output, log_p, f_half(example, output)))
        log_p += math.log(0.2 + 0.4 * rng.random())
    return found


def log_rows(rng):
    for step in range(10, 3000, 10):
        row = {"step": step, "stage": "fit", "loss": 3 * math.exp(-step / 600) + rng.random() / 5}
        row |= {"learning_rate": 1e-3, "seconds": step / 10}
        if step % 300 == 0:
            row |= {"eval_f1": 0.75 - 0.7 * math.exp(-step / 500)}
            row |= {"eval_metric": 0.74 - 0.7 * math.exp(-step / 500)}
        yield row
    for number in (1, 2):
        found = {"reward": 0.5 + number / 20, "reward_rank_1": 0.7 + number / 50}
        found |= {"reward_oracle": 0.9, "frac_reward_zero_std": 0.2}
        yield {"step": 0, "stage": f"round {number}: candidates", **found}
        for step in range(0, 400, 10):
            row = {"step": step, "stage": f"round {number}", "loss": 0.5 + rng.random() / 10}
            done = step + 400 * (number - 1)
            row |= {"reward": 0.62 + done / 9000 + rng.random() / 20, "reward_std": 0.2}
            row |= {"frac_reward_zero_std": 0.1}
            if step % 100 == 0:
                row |= {"eval_metric": 0.74 + done / 20000, "eval_f1": 0.75 + done / 40000}
            yield row


def stored(example, rng):
    """Rows of a candidate file for one example: gold, a candidate, its corrections."""

    def row(output, source, parent=None, note=""):
        return CandidateRow(
            example.id,
            "",
            tuple(output),
            log_p=-rng.random() * 5,
            reward=f_half(example, output),
            source=source,
            parent=parent,
            note=note,
            round=1,
        )

    rows = [row(example.spans, "gold")]
    wrong = spoiled(rng, example, 3)
    if set(wrong) == set(example.spans):
        return rows
    rows.append(row(wrong, "search"))
    kept = [span for span in wrong if span in example.spans]
    fixed = sorted({*kept, *example.spans[:1]}, key=lambda span: span.start)
    rows.append(row(fixed, "corrected", 1, "drop all but the sure ones"))
    rows.append(row(example.spans, "corrected", 2, "mend 3:5 cuisine, 1 region"))
    return rows


def build_run(folder, *, n=400, k=5, stages=("fit", "fit_mbr", "optimised", "optimised_mbr")):
    """Write a run folder for a span task; the same folder every time."""
    rng = random.Random(7)
    folder.mkdir(parents=True, exist_ok=True)
    examples = [sentence(rng, number) for number in range(1, n + 1)]
    results, measured = {"split": "test", "k": k, "reward": "f0.5"}, {}
    skills = {"fit": 0.0, "fit_mbr": 0.2, "optimised": 0.4, "optimised_mbr": 0.45}
    for stage in stages:
        candidates = [candidates_of(rng, one, k, skills[stage]) for one in examples]
        write_records(folder / "evaluation" / f"{stage}.jsonl", examples, candidates)
        measured[stage] = measure(examples, candidates, k=k, metric=MicroF(0.5), scheme="IOB2")
        results[stage] = measured[stage].summary(n_resamples=300)
    if {"fit", "optimised"} <= set(stages):
        results["paired"] = compare(
            measured["fit"], measured["optimised"], n_resamples=300, n_permutations=999
        )
        results["paired_mbr"] = compare(
            measured["fit_mbr"], measured["optimised_mbr"], n_resamples=300, n_permutations=999
        )
        trained_on = [dataclasses.replace(one, id=f"round-1:{one.id}") for one in examples[:60]]
        path = folder / "candidates" / "round-1.parquet"
        write_candidates(path, [row for one in trained_on for row in stored(one, rng)])
        write_records(path.with_suffix(".texts.jsonl"), trained_on, [[] for _ in trained_on])
    results["seconds"] = {"fit": 812.0, "optimise": 560.0}
    (folder / "results.json").write_text(json.dumps(results))
    lines = [json.dumps(row) for row in log_rows(rng)]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def make_run():
    return build_run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("run") / "restaurant")
