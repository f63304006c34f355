"""A trained labeler of groot beside a spaCy NER pipeline trained on the same texts.

    python benchmarks/taggers.py --model mit_restaurant=runs/bench/mit_restaurant-seed-1

Both get the raw texts of the test set, on one thread, in alternation; both are measured by exact
spans. spaCy is not a dependency of groot: pip install spacy.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from side_by_side import (
    alternate,
    machine,
    machine_line,
    table,
    write_json,
    write_section,
)
from threadpoolctl import threadpool_limits

from groot.config import load_config
from groot.data import read_splits
from groot.engine.heap import keep_freed_memory
from groot.types import Example, Span
from groot.writer.folders import load_labeler
from groot.writer.labeler import Labeler
from groot.writer.writer import example_of

Spans = set[tuple[int, int, str]]
PROVEN, GREEDY, PROBABLE = "groot, top 1", "groot, greedy", "groot, with probabilities"
SPACY = "spaCy"
NOTES = """\
Raw text in, spans out, all of the test set. groot in batches of {batch}: *top 1* is the most
probable spans, proven; *greedy* the likeliest label word by word, without proof; *with
probabilities* searches 16 candidates, as `groot predict` does unless told otherwise. spaCy:
`spacy.blank("en")` with its default NER, trained on the same texts for {passes} passes, the best on
dev kept, run with `nlp.pipe` in its batches of 1,000. One thread, one process, in alternation;
processor time; exact spans. Whoever frees memory, the process keeps it, as groot's commands do."""
BATCH = 256  # texts that groot labels together; spaCy takes its own default, 1,000


def train_spacy(
    train: Sequence[Example], dev: Sequence[Example], folder: Path, *, passes: int, seed: int
) -> Any:
    """A blank English pipeline with NER as spaCy sets it up by default; its best pass on dev.

    Batches grow from 100 to 1,000 words and dropout is 0.1, as in spaCy's own training settings.
    """
    import spacy
    from spacy.training import Example as Pair
    from spacy.training.batchers import minibatch_by_words

    folder.parent.mkdir(parents=True, exist_ok=True)
    spacy.util.fix_random_seed(seed)
    pipeline = spacy.blank("en")
    pipeline.add_pipe("ner")
    pipeline.meta["passes"] = passes  # kept in its folder

    def pairs(examples: Sequence[Example]) -> list[Any]:
        made = []
        for example in examples:
            doc = pipeline.make_doc(example.text)
            spans = [(span.start, span.end, span.label) for span in gold_of(example)]
            made.append(Pair.from_dict(doc, {"entities": spans}))
        return made

    learnt, held = pairs(train), pairs(dev)
    optimizer = pipeline.initialize(lambda: learnt)
    best, sizes, order = -1.0, growing(100.0, 1000.0, rate=1.001), random.Random(seed)
    for number in range(1, passes + 1):
        order.shuffle(learnt)
        for batch in minibatch_by_words(learnt, size=sizes):
            pipeline.update(batch, drop=0.1, sgd=optimizer)
        with pipeline.use_params(optimizer.averages):
            score = pipeline.evaluate(held)["ents_f"] or 0.0
            print(f"spaCy pass {number}: dev F1 {score:.3f}", file=sys.stderr, flush=True)
            if score > best:
                best = score
                pipeline.to_disk(folder)
    return spacy.load(folder)


def growing(size: float, limit: float, *, rate: float) -> Iterator[int]:
    """Batch sizes that grow by a rate up to a limit."""
    while True:
        yield int(size)
        size = min(limit, size * rate)


def gold_of(example: Example) -> list[Span]:
    """The gold spans of an example."""
    return [span for span in example.gold or () if isinstance(span, Span)]


def scores(found: Sequence[Spans], examples: Sequence[Example]) -> dict[str, float]:
    """Precision, recall and F1 over exact spans of all texts."""
    gold = [{(span.start, span.end, span.label) for span in gold_of(one)} for one in examples]
    right = sum(len(mine & true) for mine, true in zip(found, gold, strict=True))
    said, true = sum(map(len, found)), sum(map(len, gold))
    return {
        "precision": right / max(1, said),
        "recall": right / max(1, true),
        "f1": 2 * right / max(1, said + true),
    }


def by_groot(labeler: Labeler, texts: Sequence[str], probability_candidates: int) -> list[Spans]:
    """The most probable spans of each text, proven to be so."""
    ranked = labeler(
        texts, top_k=1, probability_candidates=probability_candidates, batch_size=BATCH
    )
    return [{(s.start, s.end, s.label) for s in one[0].spans} for one in ranked]


def by_greedy_groot(labeler: Labeler, texts: Sequence[str]) -> list[Spans]:
    """The spans that the likeliest label of each word gives, given those before it."""
    examples = [example_of(text) for text in texts]
    ranked = labeler.candidates(examples, k=1, width=1, max_width=1, batch_size=BATCH)
    return [{(s.start, s.end, s.label) for s in one[0].spans} for one in ranked]


def by_spacy(pipeline: Any, texts: Sequence[str]) -> list[Spans]:
    """The entities of each text."""
    return [
        {(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}
        for doc in pipeline.pipe(texts)
    ]


def compare(name: str, folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of one data set: speed and scores of each tagger, whole test set and text by text."""
    import spacy

    seed = load_config(folder / "config.yaml").seed if (folder / "config.yaml").is_file() else 1
    splits = read_splits(name)
    assert splits.test is not None
    test = [example for example in splits.test.examples if example.words]
    place = given.spacy / name
    if (place / "meta.json").is_file():
        pipeline = spacy.load(place)
    else:
        pipeline = train_spacy(
            splits.train.examples, splits.dev.examples, place, passes=given.passes, seed=seed
        )
    labeler = load_labeler(folder)
    texts = [example.text for example in test]
    ways: dict[str, Callable[[Sequence[str]], list[Spans]]] = {
        PROVEN: partial(by_groot, labeler, probability_candidates=0),
        GREEDY: partial(by_greedy_groot, labeler),
        PROBABLE: partial(by_groot, labeler, probability_candidates=16),
        SPACY: partial(by_spacy, pipeline),
    }
    timings = alternate(
        {way: partial(run, texts) for way, run in ways.items()},
        rounds=given.rounds,
        budget_s=given.budget_s,
        warm_up=lambda: [run(texts[:BATCH]) for run in ways.values()],
    )
    few = texts[:: max(1, len(texts) // 50)]

    def singly(run: Callable[[Sequence[str]], list[Spans]]) -> Callable[[], object]:
        return lambda: [run([text]) for text in few]

    alone = alternate(
        {way: singly(run) for way, run in ways.items()},
        rounds=given.rounds,
        budget_s=given.budget_s,
        warm_up=singly(ways[SPACY]),
    )
    rows = []
    for way, run in ways.items():
        seconds, single = (times.as_json(PROVEN)[way] for times in (timings, alone))
        rows.append(
            {
                "data": name,
                "tagger": way,
                "texts": len(texts),
                "spacy_passes": pipeline.meta.get("passes"),
                "rounds": len(timings.seconds[way]),
                "texts_per_s": len(texts) / seconds["seconds"],
                "ratio": seconds["ratio"],
                "ratio_range": seconds["ratio_range"],
                "single_ms": 1e3 * single["seconds"] / len(few),
                "single_ratio": single["ratio"],
                **scores(run(texts), test),
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def page_text(report: dict[str, Any], command: str) -> str:
    """The section of docs/benchmarks.md."""
    head = ["data", "tagger", "texts/s", "time beside groot", "ms, one text", "beside groot"]
    rows = [
        [
            row["data"],
            row["tagger"],
            f"{row['texts_per_s']:,.0f}",
            f"**{row['ratio']:.2f}** ({row['ratio_range'][0]:.2f} to {row['ratio_range'][1]:.2f})",
            f"{row['single_ms']:.2f}",
            f"{row['single_ratio']:.2f}",
            *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1")),
        ]
        for row in report["rows"]
    ]
    return "\n\n".join(
        [
            "## Beside a spaCy tagger",
            f"```\n{command}\n```",
            machine_line(report["machine"]),
            NOTES.format(batch=BATCH, passes=report["rows"][0]["spacy_passes"]),
            table([*head, "P", "R", "F1"], rows),
        ]
    )


def named_folder(text: str) -> tuple[str, Path]:
    """The benchmark and the folder in "mit_restaurant=runs/first"."""
    name, _, folder = text.partition("=")
    if not folder:
        raise argparse.ArgumentTypeError("want DATA=DIR, such as mit_restaurant=runs/first")
    return name, Path(folder)


def main() -> None:
    """Train spaCy's pipelines where they are not there yet, compare, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=named_folder, nargs="+", required=True, metavar="DATA=DIR")
    parser.add_argument("--spacy", type=Path, default=Path("runs/bench/spacy"), help="pipelines")
    parser.add_argument("--passes", type=int, default=15, help="of spaCy over the training texts")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--budget-s", type=float, default=60.0, help="of processor time")
    parser.add_argument("--json", type=Path, default=Path("runs/bench/taggers.json"))
    parser.add_argument("--page", type=Path, help="a Markdown page to write the table into")
    given = parser.parse_args()
    if importlib.util.find_spec("spacy") is None:
        parser.exit(2, "spacy is not installed: pip install spacy, into the same environment\n")
    torch.set_num_threads(1)
    keep_freed_memory()  # as groot's commands do; spaCy gains more by it
    begun = time.monotonic()
    report: dict[str, Any] = {
        "machine": machine(peers=["spacy"]),
        "rows": [],
    }
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # spaCy says which gold spans its tokenizer cuts through
        for name, folder in given.model:
            report["rows"] += compare(name, folder, given)
    print(f"{time.monotonic() - begun:.0f} s in all", file=sys.stderr)
    write_json(given.json, report)
    if given.page is not None:
        command = " ".join(["python benchmarks/taggers.py", *sys.argv[1:]])
        write_section(given.page, "taggers", page_text(report, command), title="Benchmarks")


if __name__ == "__main__":
    main()
