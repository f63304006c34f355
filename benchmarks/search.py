"""groot's label search beside transformers' generate and CTranslate2, in one process.

    python benchmarks/search.py --model mit_restaurant=runs/bench/mit_restaurant-seed-1
    python benchmarks/search.py --quick --only embedded --data mit_restaurant --k 5

Measures throughput, latency, peak memory, agreement, what proofs cost, and number formats; writes
numbers to --json and tables to --page. CTranslate2 takes part where it is installed
(pip install 'groot-nlp[ctranslate2]').
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import itertools
import logging
import math
import statistics
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from batch_sizes import LONG_WORDS, batch_sizes
from contenders import (
    SHAPES,
    Texts,
    by_length,
    floor,
    generate,
    make_shape,
    ready,
    search,
    translate,
    translate_legal,
    translator,
)
from side_by_side import (
    Rates,
    Timings,
    alternate,
    machine,
    machine_line,
    measure_rates,
    peak_memory,
    table,
    write_json,
    write_section,
)

from groot.data import read_examples
from groot.engine.heap import keep_freed_memory
from groot.models.ctranslate2_export import CTranslate2Model
from groot.types import Example
from groot.writer.folders import load_labeler

DATA = ("mit_restaurant", "snips")
GROOT = "groot"
PLAIN = "generate"
CONSTRAINED = "generate, constrained"
CTRANSLATE2 = "CTranslate2"
CTRANSLATE2_LEGAL = "CTranslate2, constrained"
NAMES = (GROOT, PLAIN, CONSTRAINED, CTRANSLATE2, CTRANSLATE2_LEGAL)
BATCH = 64
CALLS = 3  # of one text, one after the other, of which the middle one counts


@dataclass(frozen=True)
class Effort:
    """How much is measured of a shape.

    Args:
        data: the data sets whose texts are taken.
        texts: by k, texts in batches of at most 64.
        rounds: at most. budget_s: of processor time for one comparison, see `alternate`.
        singles: texts one by one, for latency.
        agree: by k, texts whose lists are compared with constrained generate's.
        formats: texts for the number formats.
    """

    data: tuple[tuple[str, ...], ...]
    texts: Mapping[int, int]
    rounds: int
    budget_s: float
    singles: int
    agree: Mapping[int, int]
    formats: int


APART, TOGETHER = tuple((name,) for name in DATA), (DATA,)
EFFORTS: dict[str, dict[str, Effort]] = {
    "quick": {
        "embedded": Effort(APART, {1: 64, 5: 64, 16: 16}, 2, 4.0, 4, {5: 32, 16: 8}, 64),
        "t5-small": Effort(TOGETHER, {1: 16, 5: 8, 16: 4}, 1, 0.0, 2, {5: 4}, 16),
        "mt5-small": Effort(TOGETHER, {1: 8, 5: 4, 16: 2}, 1, 0.0, 1, {}, 8),
    },
    "standard": {
        "embedded": Effort(APART, {1: 128, 5: 128, 16: 64}, 5, 12.0, 16, {5: 128, 16: 64}, 256),
        "t5-small": Effort(TOGETHER, {1: 64, 5: 64, 16: 64}, 3, 60.0, 8, {5: 16}, 64),
        "mt5-small": Effort(TOGETHER, {1: 64, 5: 64, 16: 16}, 1, 0.0, 3, {}, 16),
    },
    "full": {
        "embedded": Effort(APART, {1: 512, 5: 512, 16: 256}, 9, 60.0, 50, {5: 700, 16: 256}, 512),
        "t5-small": Effort(APART, {1: 64, 5: 64, 16: 64}, 3, 120.0, 20, {5: 64, 16: 16}, 64),
        "mt5-small": Effort(APART, {1: 64, 5: 64, 16: 64}, 1, 0.0, 5, {5: 16}, 64),
    },
}


# ---------------------------------------------------------------- speed and memory
def contenders(
    batches: Sequence[Texts], k: int, model: Any | None
) -> dict[str, Callable[[], object]]:
    """What is timed: each runs over all batches."""
    ways: dict[str, Callable[[Texts, int], object]] = {
        GROOT: search,
        PLAIN: partial(generate, is_constrained=False),
        CONSTRAINED: partial(generate, is_constrained=True),
    }
    if model is not None:
        ways[CTRANSLATE2] = partial(translate, model)
        ways[CTRANSLATE2_LEGAL] = partial(translate_legal, model)

    def over(way: Callable[[Texts, int], object]) -> Callable[[], object]:
        return lambda: [way(batch, k) for batch in batches]

    return {name: over(way) for name, way in ways.items()}


def throughput(texts: Texts, k: int, model: Any | None, effort: Effort) -> tuple[Texts, Timings]:
    """Batches of 64: the texts that were labelled, and the times for all of them."""
    part = spread(texts, effort.texts.get(k, min(effort.texts.values())))
    warm(part, model)
    runs = contenders(by_length(part, BATCH), k, model)
    memory = peak_memory(runs)
    timings = alternate(runs, rounds=effort.rounds, budget_s=effort.budget_s)
    timings.memory = memory
    return part, timings


def warm(texts: Texts, model: Any | None) -> None:
    """Let those who prepare something once per length of a text do so before it counts."""
    for batch in by_length(texts, BATCH):
        search(batch, 1)
        if model is not None:
            translate_legal(model, batch, 1)


def latency(texts: Texts, k: int, model: Any | None, effort: Effort) -> tuple[Texts, Timings]:
    """One text at a time, called again and again as a service does; the order turns by text."""
    part = spread(texts, effort.singles)
    warm(part, model)
    found = Timings(*({name: [] for name in contenders([], k, model)} for _ in range(2)))
    for place in range(len(part.inputs)):
        runs = contenders([part.part([place])], k, model)
        names = list(runs)
        turn = place % len(names)
        for name in (*names[turn:], *names[:turn]):
            alone = {name: runs[name]}
            once = alternate(alone, rounds=CALLS, budget_s=math.inf, warm_up=runs[name])
            found.seconds[name].append(statistics.median(once.seconds[name]))
            found.elapsed[name].append(statistics.median(once.elapsed[name]))
    return part, found


def speed_row(
    kind: str, shape: str, data: str, k: int, part: Texts, timings: Timings, rates: Rates
) -> dict[str, Any]:
    """One comparison as plain data."""
    found = timings.as_json(GROOT)
    if kind == "throughput":
        least = floor(part, k, rates)
    else:
        singles = [floor(part.part([i]), k, rates) for i in range(len(part.inputs))]
        least = {name: statistics.median(one[name] for one in singles) for name in singles[0]}
    return {
        "kind": kind,
        "shape": shape,
        "data": data,
        "k": k,
        "texts": len(part.inputs),
        "batch": min(BATCH, len(part.inputs)) if kind == "throughput" else 1,
        "times_floor": found[GROOT]["seconds"] / least["seconds"],
        "floor": least,
        **found,
    }


# ---------------------------------------------------------------- agreement
def agreement(texts: Texts, k: int) -> dict[str, int]:
    """groot's top k at width k beside constrained generate's, text by text.

    A list that groot certifies is the true top k; generate's is too where it is the same. Where
    they differ, the first rank at which the log_p do says whose is higher; within 1e-4 nats they
    tie (two targets of one log_p, in either order).
    """
    counts: Counter[str] = Counter()
    for batch in by_length(texts, BATCH):
        ours = search(batch, k)
        written, scores = generate(
            batch,
            k,
            is_constrained=True,
            with_log_p=True,
            renormalize_logits=True,
        )
        codec = batch.labeler.codec
        for place, one in enumerate(ours):
            example = batch.examples[place]
            targets = [list(codec.encode_path(example, path).tokens) for path in one.paths]
            theirs = [
                (row, score)
                for row, score in zip(written[place], scores[place], strict=True)
                if score > -1e8 and row[-1] == batch.labeler.model.end_id
            ][: len(targets)]
            kind = "certified" if one.exact else "not certified"
            counts[kind] += 1
            if targets == [row for row, _ in theirs]:
                counts[f"{kind}: equal"] += 1
                continue
            gaps = [mine - score for mine, (_, score) in zip(one.log_p, theirs, strict=False)]
            gap = next((gap for gap in gaps if abs(gap) > 1e-4), 0.0)
            if len(theirs) < len(targets):
                gap = gap or math.inf
            whose = "tie" if gap == 0 else "groot higher" if gap > 0 else "generate higher"
            counts[f"{kind}: {whose}"] += 1
    return dict(counts)


# ---------------------------------------------------------------- proofs
WIDTHS = (5, 10, 20, 40)


def proofs(texts: Texts, k: int, effort: Effort) -> dict[str, Any]:
    """Share of texts whose top k is proven at each width, and what each costs beside width k."""
    runs: dict[str, Callable[[], object]] = {
        f"width {width}": partial(search, texts, k, width=width, max_width=width)
        for width in sorted({k, *(width for width in WIDTHS if width > k)})
    }
    runs["until proven"] = partial(search, texts, k, width=None, max_width=256)
    timings = alternate(runs, rounds=effort.rounds, budget_s=effort.budget_s)
    base = f"width {k}"
    found: dict[str, Any] = {"k": k, "texts": len(texts.inputs), "ways": {}}
    for name, run in runs.items():
        results: Any = run()
        share = sum(one.exact for one in results) / len(results)
        found["ways"][name] = {"proven": share, "cost": timings.ratio(name, base)}
    return found


# ---------------------------------------------------------------- number formats
def formats(texts: Texts, k: int, effort: Effort, place: Path | None) -> dict[str, Any]:
    """float32 beside bfloat16 and int8, as times float32 takes, and the share of equal top 1.

    int8 is torch's dynamic quantization, which there is for whole modules only: the encoder's; and
    CTranslate2's, of the model that was converted into `place`.
    """
    part = spread(texts, effort.formats)
    labeler = part.labeler
    half = labeler.with_model(
        type(labeler.model)(copy.deepcopy(labeler.model.model).bfloat16(), labeler.model.tokenizer)
    )
    inputs = [labeler.model.pad(batch.inputs) for batch in by_length(part, BATCH)]
    encoder = labeler.model.model.encoder
    byte = torch.ao.quantization.quantize_dynamic(
        copy.deepcopy(encoder), {torch.nn.Linear}, dtype=torch.qint8
    )

    def encode(which: Any) -> Callable[[], object]:
        @torch.no_grad()
        def run() -> None:
            for ids, mask in inputs:
                which(input_ids=ids, attention_mask=mask.long())

        return run

    other = ready(half, part.examples)
    whole = alternate(
        {"float32": partial(search, part, k), "bfloat16": partial(search, other, k)},
        rounds=max(3, effort.rounds),
        budget_s=effort.budget_s,
        warm_up=partial(search, other.part([0]), k),
    )
    half_encoder = half.model.model.encoder
    encoders = alternate(
        {
            "float32": encode(encoder),
            "bfloat16": encode(half_encoder),
            "int8": encode(byte),
        },
        rounds=max(3, effort.rounds),
        budget_s=effort.budget_s,
        warm_up=lambda: [encode(one)() for one in (half_encoder, byte)],
    )
    found: dict[str, Any] = {}
    if place is not None:
        peers = {
            name: CTranslate2Model(place, labeler.codec, compute_type=name, threads=1)
            for name in ("float32", "int8")
        }
        for peer in peers.values():
            warm(part, peer)
        runs = {name: contenders([part], k, peer) for name, peer in peers.items()}
        peer_times = alternate(
            {name: run[CTRANSLATE2_LEGAL] for name, run in runs.items()},
            rounds=max(3, effort.rounds),
            budget_s=effort.budget_s,
        )
        found["CTranslate2, int8"] = peer_times.ratio("float32", "int8")
    tops = [[one.paths[0] for one in search(of, k)] for of in (part, other)]
    return {
        "k": k,
        "texts": len(part.inputs),
        "search, bfloat16": whole.ratio("float32", "bfloat16"),
        "encoder, bfloat16": encoders.ratio("float32", "bfloat16"),
        "encoder, int8": encoders.ratio("float32", "int8"),
        **found,
        "same top 1, bfloat16": sum(map(tuple.__eq__, *tops)) / len(part.inputs),
    }


# ---------------------------------------------------------------- the page
def cell(row: Mapping[str, Any], name: str) -> str:
    """How many times longer a contender took, and the range over the rounds."""
    if name not in row:
        return "-"
    low, high = row[name]["ratio_range"]
    shown = f"**{row[name]['ratio']:.1f}**"
    return shown if row["rounds"] == 1 else f"{shown} ({low:.1f} to {high:.1f})"


def memory_cell(row: Mapping[str, Any], name: str) -> str:
    """MiB that a contender needed beside the model."""
    found = row.get(name, {}).get("peak_mib")
    return "-" if found is None else f"{found:.0f}"


def page_text(report: Mapping[str, Any], command: str) -> str:
    """The section of docs/benchmarks.md."""
    rates = report["rates"]
    others = NAMES[1:]
    speed = {
        kind: [row for row in report["speed"] if row["kind"] == kind]
        for kind in ("throughput", "latency")
    }
    parts = [
        "## Label search",
        f"```\n{command}\n```",
        machine_line(report["machine"]),
        f"Measured in the same run: {rates['gflops']:.0f} GFLOP/s (float32 products of 1,024 x"
        f" 1,024), {rates['gbytes']:.1f} GB/s (copying, read and write counted).",
        NOTES,
        "### Throughput",
        "Batches of at most 64 texts of similar length. The numbers say how many times longer the"
        " others take than groot: the median over the rounds, and the range.",
        speed_table(speed["throughput"], others, "texts/s"),
        "### Latency",
        "One text at a time, as a service labels them: each contender labels a text"
        f" {CALLS + 1} times in a row, of which the first does not count, and of the others the"
        " middle one. Each text is a round.",
        speed_table(speed["latency"], others, "ms"),
        "### Peak memory",
        "MiB at the peak of an untimed run over the texts of the throughput table, on top of the"
        " loaded model and of what each contender prepares of it once (groot lays the matrices of"
        " stacks of up to 32 million weights out anew: as much as they take, twice as much where"
        " few rows were multiplied).",
        table(
            ["shape", "data", "k", "batch", *NAMES],
            [
                [row["shape"], row["data"], row["k"], row["batch"]]
                + [memory_cell(row, name) for name in NAMES]
                for row in speed["throughput"]
            ],
        ),
    ]
    if report["agreement"]:
        parts += ["### Agreement with generate", AGREEMENT_NOTES, agreement_table(report)]
    if report["batches"]:
        parts += [
            "### Batch sizes",
            *(
                f"{row['model']}: {row['same']} of {row['texts']} texts of {row['data']} get"
                f" the same labels one by one and in batches of {BATCH},"
                f" among them {row['long']} of one"
                f" word and {row['long']} of {LONG_WORDS:,} words (float32)."
                for row in report["batches"]
            ),
        ]
    if report["proofs"]:
        parts += ["### What proofs cost", PROOF_NOTES, *map(proof_table, report["proofs"])]
    if report["formats"]:
        parts += ["### bfloat16 and int8", FORMAT_NOTES, format_table(report)]
    return "\n\n".join(parts)


NOTES = """\
All on one thread, in one process, in alternation: every round runs all contenders, each round
starting with another one. Times are processor time of the process, so that they hold on a machine
that does other things too. Whoever frees memory, the process keeps it, as groot's commands do, so
that nobody pays for it page by page after somebody else. generate gains most by that: --give-back
leaves it to the C library, as scripts do. The weights of the t5-small (vocabulary 32,128) and
mt5-small (250,112) shapes are random, as are those of the embedded default where no trained model
is named; their tokenizer is that of the embedded default.

- *groot*: `label_search` at width k, normalised over the allowed tokens, without a second, wider
  search. What proofs cost on top is in its own table.
- *generate*: `model.generate(num_beams=k, num_return_sequences=k, length_penalty=0,
  early_stopping="never")` of transformers with nothing that forces a legal output. Models with
  random weights do not end by themselves; each output has exactly as many tokens as the longest
  target of its batch.
- *generate, constrained*: the same with the grammar as `prefix_allowed_tokens_fn`, constant time
  per call. It ends where the grammar does.
- *CTranslate2*: beams of the same width on the same weights in float32, no grammar, as many tokens
  as generate. *CTranslate2, constrained*: held to the grammar by a vocabulary map and suppressed
  sequences, as `groot export` writes it; it then searches what groot searches, without a proof.
- *x floor*: groot's time beside the least that the search must take at the measured rates: the
  encoder, cross-attention keys and values once per text, two tokens per kept prefix and slot,
  logits of the allowed tokens only; or, if that takes longer, moving the bytes: weights once per
  batch, keys and values once per step."""

AGREEMENT_NOTES = """\
groot's lists at width k beside constrained generate's with k beams, both over the allowed tokens
(generate with `renormalize_logits=True`). A list that groot certifies is proven to be the true top
k. The last columns say whose log_p is higher at the first rank where they differ by more than
0.0001 nats."""

PROOF_NOTES = """\
Share of texts whose top k is proven by one search at a width, and its time beside width k. "Until
proven" is what `groot evaluate` does: a width of one more than k; of the texts that lack a proof,
what was dropped is followed up; those that still lack it are searched twice as wide each time, up
to 256."""

FORMAT_NOTES = """\
How many times faster than float32 (below 1: slower), k = 5. *search* is all of `label_search`;
`groot predict --dtype bfloat16` gives it to users. The encoder's int8 is torch's dynamic
quantization, which torch has deprecated and offers for whole modules only, so that the steps of
groot's decoder, which work on the weights themselves, would not use it: groot has no int8 of
its own. CTranslate2's is that of `groot export`, held to the grammar, beside its float32."""


def speed_table(rows: Sequence[Mapping[str, Any]], others: Sequence[str], unit: str) -> str:
    """Throughput or latency."""

    def own(row: Mapping[str, Any]) -> str:
        seconds = row[GROOT]["seconds"]
        return f"{row['texts'] / seconds:,.0f}" if unit == "texts/s" else f"{1e3 * seconds:.1f}"

    head = ["shape", "data", "k", "texts", "rounds", f"groot, {unit}", *others, "x floor"]
    return table(
        head,
        [
            [row["shape"], row["data"], row["k"], row["texts"], row["rounds"], own(row)]
            + [cell(row, name) for name in others]
            + [f"{row['times_floor']:.1f}"]
            for row in rows
        ],
    )


def agreement_table(report: Mapping[str, Any]) -> str:
    """Counts of texts."""
    names = [
        f"{kind}{what}"
        for kind in ("certified", "not certified")
        for what in ("", ": equal", ": tie", ": groot higher", ": generate higher")
    ]
    return table(
        ["shape", "data", "k", *names],
        [
            [row["shape"], row["data"], row["k"]] + [row["counts"].get(name, 0) for name in names]
            for row in report["agreement"]
        ],
    )


def proof_table(row: Mapping[str, Any]) -> str:
    """One trained model."""
    ways = row["ways"]
    return f"{row['model']}, {row['data']}, k = {row['k']}, {row['texts']} texts:\n\n" + table(
        ["", *ways],
        [
            ["proven", *(f"{100 * way['proven']:.1f} %" for way in ways.values())],
            ["time", *(f"{way['cost']:.2f}" for way in ways.values())],
        ],
    )


def format_table(report: Mapping[str, Any]) -> str:
    """Number formats."""
    names = ["search, bfloat16", "encoder, bfloat16", "encoder, int8", "CTranslate2, int8"]
    return table(
        ["shape", "data", "texts", *names, "same top 1, bfloat16"],
        [
            [
                row["shape"],
                row["data"],
                row["texts"],
                *(f"{row[name]:.2f}" if name in row else "-" for name in names),
                f"{100 * row['same top 1, bfloat16']:.1f} %",
            ]
            for row in report["formats"]
        ],
    )


# ---------------------------------------------------------------- the command
@contextmanager
def one_thread(*, keeps_memory: bool = True) -> Iterator[None]:
    """All libraries on one thread, freed memory kept if asked for, no chatter."""
    torch.set_num_threads(1)
    if keeps_memory:
        keep_freed_memory()
    transformers.logging.set_verbosity_error()
    logging.getLogger("groot").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def spread(texts: Texts, count: int) -> Texts:
    """`count` of the texts, evenly spread."""
    n = len(texts.inputs)
    return texts.part([i * n // count for i in range(count)]) if count < n else texts


def read(data: Sequence[str], split: str) -> list[Example]:
    """Examples of some data sets, one after the other."""
    return [one for name in data for one in read_examples(name, split=split).examples if one.words]


def named_folder(text: str) -> tuple[str, Path]:
    """The data set and the folder in "mit_restaurant=runs/first"."""
    name, _, folder = text.partition("=")
    if name not in DATA or not folder:
        raise argparse.ArgumentTypeError(f"want DATA=DIR, with DATA one of {', '.join(DATA)}")
    return name, Path(folder)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        type=named_folder,
        nargs="+",
        default=[],
        metavar="DATA=DIR",
        help="trained models for the embedded shape, by the data set whose texts they label",
    )
    parser.add_argument(
        "--proof",
        type=named_folder,
        nargs="+",
        default=[],
        metavar="DATA=DIR",
        help="more trained models, for the table of proofs",
    )
    parser.add_argument("--only", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--k", nargs="+", type=int, default=[1, 5, 16])
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", dest="effort", action="store_const", const="quick")
    effort.add_argument("--full", dest="effort", action="store_const", const="full")
    parser.add_argument("--speed-only", action="store_true", help="leave the other tables out")
    parser.add_argument("--give-back", action="store_true", help="do not keep freed memory")
    parser.add_argument("--json", type=Path, default=Path("runs/bench/search.json"))
    parser.add_argument("--page", type=Path, help="a Markdown page to write the tables into")
    return parser.parse_args()


def main() -> None:
    """Measure, say so as it goes, write."""
    given = arguments()
    has_peer = importlib.util.find_spec("ctranslate2") is not None
    begun = time.monotonic()
    with one_thread(keeps_memory=not given.give_back), tempfile.TemporaryDirectory() as room:
        rates = measure_rates()
        report: dict[str, Any] = {
            "machine": machine(peers=["ctranslate2"]),
            "rates": vars(rates),
            "speed": [],
            "agreement": [],
            "batches": [],
            "proofs": [],
            "formats": [],
        }
        note(f"{rates.gflops:.0f} GFLOP/s, {rates.gbytes:.1f} GB/s")
        for shape in given.only:
            effort = EFFORTS[given.effort or "standard"][shape]
            for data in effort.data:
                data = tuple(name for name in data if name in given.data)
                if data:
                    place = Path(room) / f"{shape}-{'-'.join(data)}" if has_peer else None
                    measure_shape(report, given, shape, data, effort, rates, place)
                    write_json(given.json, report)  # what there is, should it be interrupted
        if not given.speed_only:
            for name, folder in [*given.model, *given.proof]:
                effort = EFFORTS[given.effort or "standard"]["embedded"]
                labeler, examples = load_labeler(folder), read([name], "test")
                texts = ready(labeler, examples)
                same = batch_sizes(labeler, examples[: 8 * max(effort.texts.values())])
                report["batches"].append({"model": str(folder), "data": name, **same})
                note(f"batches {report['batches'][-1]}")
                found = proofs(spread(texts, 4 * max(effort.texts.values())), 5, effort)
                report["proofs"].append({"model": str(folder), "data": name, **found})
                note(f"proofs {folder}: {found}")
    note(f"{time.monotonic() - begun:.0f} s in all")
    write_json(given.json, report)
    if given.page is not None:
        command = " ".join(["python benchmarks/search.py", *sys.argv[1:]])
        title = "Benchmarks"
        write_section(given.page, "search", page_text(report, command), title=title)


def measure_shape(
    report: dict[str, Any],
    given: argparse.Namespace,
    shape: str,
    data: tuple[str, ...],
    effort: Effort,
    rates: Rates,
    place: Path | None,
) -> None:
    """All comparisons of one shape on the texts of some data sets, added to the report."""
    trained = dict(given.model).get(data[0]) if shape == "embedded" else None
    labeler = make_shape(shape, read(data, "train")) if trained is None else load_labeler(trained)
    labeler.model.eval()
    texts = ready(labeler, read(data, "test"))
    name = " + ".join(data) + (" (trained)" if trained else "")
    model = None if place is None else translator(texts, place)
    for k, (kind, measured) in itertools.product(
        given.k, {"throughput": throughput, "latency": latency}.items()
    ):
        part, timings = measured(texts, k, model, effort)
        row = speed_row(kind, shape, name, k, part, timings, rates)
        report["speed"].append(row)
        shown = ", ".join(f"{other} {cell(row, other)}" for other in NAMES[1:])
        each = row[GROOT]["seconds"] / (row["texts"] if kind == "throughput" else 1)
        note(
            f"{kind} {shape} {name} k={k}: groot {1e3 * each:.2f} ms/text;"
            f" others take {shown} times as long; x floor {row['times_floor']:.1f}; MiB "
            + " ".join(memory_cell(row, other) for other in NAMES)
        )
    if given.speed_only:
        return
    for k in (k for k in given.k if k in effort.agree):
        counts = agreement(spread(texts, effort.agree[k]), k)
        report["agreement"].append({"shape": shape, "data": name, "k": k, "counts": counts})
        note(f"agreement {report['agreement'][-1]}")
    report["formats"].append({"shape": shape, "data": name, **formats(texts, 5, effort, place)})
    note(f"formats {report['formats'][-1]}")


def note(text: str) -> None:
    """Progress, to standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
