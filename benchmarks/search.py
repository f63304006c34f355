"""groot's label search beside transformers' generate and CTranslate2, in one process.

    python benchmarks/search.py --quick                  # a minute, coarse
    python benchmarks/search.py --model runs/first       # a trained model for the embedded shape
    python benchmarks/search.py --only embedded --k 5 --no-ctranslate2

Every comparison runs on one thread. CTranslate2 takes part where it is installed.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from side_by_side import Rates, alternate, machine, measure_rates, write_json

from groot.config import Config
from groot.data import read_examples
from groot.labeler import Labeler, load
from groot.models.text_model import TextModel
from groot.search.label_search import Found, label_search
from groot.training.start import make_labeler
from groot.types import Example

SHAPES = ("embedded", "t5-small", "mt5-small")
DATA = ("mit_restaurant", "snips")
GROOT = "groot"
PLAIN = "generate"
CONSTRAINED = "generate, constrained"
CTRANSLATE2 = "CTranslate2"


# ---------------------------------------------------------------- the models
def make_shape(shape: str, train: Sequence[Example]) -> Labeler:
    """A labeler of a shape with random weights; its tokenizer is trained on the texts."""
    labeler = make_labeler(Config(), train)
    if shape == "embedded":
        return labeler
    tokenizer = labeler.model.tokenizer
    common: dict[str, Any] = {
        "d_model": 512,
        "d_kv": 64,
        "dropout_rate": 0.0,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(1)
    model: Any
    if shape == "t5-small":
        model = transformers.T5ForConditionalGeneration(
            transformers.T5Config(vocab_size=32_128, d_ff=2048, num_layers=6, num_heads=8, **common)
        )
    else:
        model = transformers.MT5ForConditionalGeneration(
            transformers.MT5Config(
                vocab_size=250_112,
                d_ff=1024,
                num_layers=8,
                num_heads=6,
                feed_forward_proj="gated-gelu",
                tie_word_embeddings=False,
                **common,
            )
        )
    return labeler.with_model(TextModel(model.eval(), tokenizer))


# ------------------------------------------------------------ the contenders
@dataclass(frozen=True)
class Texts:
    """Texts ready for every contender.

    Args:
        labeler: the model with its grammar.
        examples: the texts, in the order given.
        inputs: token ids of each.
        n_slots: decisions of each.
        n_tokens: length of each target in tokens, end included.
    """

    labeler: Labeler
    examples: tuple[Example, ...]
    inputs: tuple[tuple[int, ...], ...]
    n_slots: tuple[int, ...]
    n_tokens: tuple[int, ...]

    def part(self, places: Sequence[int]) -> Texts:
        """Some of them."""
        rows = ([of[i] for i in places] for of in (self.examples, self.inputs, self.n_slots))
        examples, inputs, slots = map(tuple, rows)
        return Texts(self.labeler, examples, inputs, slots, tuple(self.n_tokens[i] for i in places))


def ready(labeler: Labeler, examples: Sequence[Example]) -> Texts:
    """Encode texts for a labeler; labels are tokens of their own, so the lengths are known."""
    codec, form = labeler.codec, labeler.form
    assert codec.grammar.one_token_symbols
    slots = tuple(form.slots(example) for example in examples)
    return Texts(
        labeler,
        tuple(examples),
        tuple(tuple(codec.input_ids(example)) for example in examples),
        slots,
        tuple(n + sum(map(len, codec.glue_ids(n))) for n in slots),
    )


def by_length(texts: Texts, batch_size: int) -> list[Texts]:
    """Batches of similar length, for all contenders alike; ordinary use would not sort."""
    order = sorted(range(len(texts.inputs)), key=lambda i: (texts.n_slots[i], len(texts.inputs[i])))
    return [texts.part(order[i : i + batch_size]) for i in range(0, len(order), batch_size)]


def search(texts: Texts, k: int, *, batch_size: int = 64, **settings: Any) -> list[Found]:
    """groot: width k and no second search, so that as many prefixes are kept as generate keeps."""
    settings = {"width": k, "max_width": k, **settings}
    labeler = texts.labeler
    return label_search(
        labeler.model,
        labeler.codec,
        texts.inputs,
        texts.n_slots,
        k=k,
        batch_size=batch_size,
        **settings,
    )


@torch.no_grad()
def generate(
    batch: Texts,
    k: int,
    *,
    is_constrained: bool,
    ends_itself: bool = False,
    with_log_p: bool = False,
) -> tuple[list[list[list[int]]], list[list[float]]]:
    """transformers: k targets of each text of a batch in tokens, and their log_p if asked for.

    Args:
        is_constrained: by the grammar. Otherwise the model writes what it likes, for as many
            tokens as the longest target of the batch has.
        ends_itself: an unconstrained model ends its targets; one with random weights would not, or
            anywhere, and is kept from it.
    """
    model: Any = batch.labeler.model.model
    ids, mask = batch.labeler.model.pad(batch.inputs)
    settings: dict[str, Any] = {"max_new_tokens": max(batch.n_tokens), "do_sample": False}
    if is_constrained:
        settings["prefix_allowed_tokens_fn"] = allowed_tokens(batch)
    elif not ends_itself:
        settings["min_new_tokens"] = max(batch.n_tokens)
    if k > 1:
        settings |= {"length_penalty": 0.0, "early_stopping": "never"}
    out = model.generate(
        input_ids=ids,
        attention_mask=mask.long(),
        num_beams=k,
        num_return_sequences=k,
        return_dict_in_generate=True,
        output_scores=with_log_p,  # keeps every step's scores, so not where memory is measured
        **settings,
    )
    rows = [until(row[1:], batch.labeler.model.end_id) for row in out.sequences.tolist()]
    scores = out.sequences_scores.tolist() if with_log_p and k > 1 else [math.nan] * len(rows)
    starts = range(0, len(rows), k)
    return [rows[i : i + k] for i in starts], [scores[i : i + k] for i in starts]


def until(row: list[int], end: int) -> list[int]:
    """A row up to its end token, that included."""
    return row[: row.index(end) + 1] if end in row else row


def allowed_tokens(batch: Texts) -> Callable[[int, torch.Tensor], list[int]]:
    """The grammar as generate's prefix_allowed_tokens_fn; constant time per call.

    A target is glue, choice, glue, choice, ...; the state behind a choice follows from its token.
    """
    codec, end = batch.labeler.codec, [batch.labeler.model.end_id]
    grammar = codec.grammar
    after = {
        token: state
        for tokens, states in zip(grammar.tokens, grammar.next_states, strict=True)
        for token, state in zip(tokens, states, strict=True)
    }
    legal = [list(tokens) for tokens in grammar.tokens]
    # per text and place: a forced token, or where the choice before this one stands (0: none)
    plans: list[list[list[int] | int]] = []
    for n in batch.n_slots:
        plan: list[list[int] | int] = []
        last = 0
        for slot, glue in enumerate(codec.glue_ids(n)):
            plan += [[token] for token in glue]
            if slot < n:
                plan.append(last)
                last = len(plan)  # place in the row, whose first token is the decoder's start
        plans.append(plan)

    def allowed(text: int, row: torch.Tensor) -> list[int]:
        place = len(row) - 1
        if place >= len(plans[text]):
            return end
        here = plans[text][place]
        if isinstance(here, list):
            return here
        return legal[after[int(row[here])]] if here else legal[0]

    return allowed


class Translator:
    """CTranslate2 with the same weights, converted on the spot."""

    def __init__(self, labeler: Labeler, folder: Path, *, compute_type: str = "float32") -> None:
        import ctranslate2
        from ctranslate2.converters import TransformersConverter

        source = folder / "transformers"
        if not source.is_dir():
            labeler.model.model.save_pretrained(source)
            labeler.model.tokenizer.save_pretrained(source)
            TransformersConverter(str(source)).convert(str(folder / "converted"))
        self.tokenizer = labeler.model.tokenizer
        self.translator = ctranslate2.Translator(
            str(folder / "converted"),
            device="cpu",
            compute_type=compute_type,
            inter_threads=1,
            intra_threads=torch.get_num_threads(),
        )

    def __call__(self, batch: Texts, k: int, *, ends_itself: bool = False) -> list[list[list[str]]]:
        """The k targets of each text of a batch, as tokens; lengths as for plain generate."""
        sources = [self.tokenizer.convert_ids_to_tokens(list(ids)) for ids in batch.inputs]
        longest = max(batch.n_tokens)
        found = self.translator.translate_batch(
            sources,
            beam_size=k,
            num_hypotheses=k,
            length_penalty=0,
            max_decoding_length=longest,
            min_decoding_length=1 if ends_itself else longest,
            max_batch_size=0,
        )
        return [one.hypotheses for one in found]


# -------------------------------------------------------------- the floor
def floor(texts: Texts, k: int, rates: Rates) -> dict[str, float]:
    """The least that label search must compute and move, and how long that takes at the rates.

    Counted: the encoder over real input tokens, cross-attention keys and values once per text, per
    slot the kept prefixes (never more than there are legal ones), two tokens each (the choice and
    the sentinel behind it), attention over what is there, logits of the allowed tokens only.
    Bytes: each weight that is used once per pass over a batch, keys and values once per step.
    """
    config = texts.labeler.model.config
    inner = config.num_heads * config.d_kv
    gates = 2 if config.is_gated_act else 1
    d, ff = config.d_model, config.d_ff
    projections = 4 * d * inner  # q, k, v, o
    feed_forward = (gates + 1) * d * ff
    choices = texts.labeler.codec.is_allowed
    operations = moved = 0.0
    encoder_weights = config.num_layers * (projections + feed_forward)
    step_weights = config.num_decoder_layers * (projections + 2 * d * inner + feed_forward)
    for batch in by_length(texts, 64):
        moved += 4 * (encoder_weights + 2 * config.num_decoder_layers * d * inner)
        moved += 4 * step_weights * max(batch.n_slots)
        for ids, n in zip(batch.inputs, batch.n_slots, strict=True):
            s = len(ids)
            operations += 2 * s * encoder_weights + 4 * config.num_layers * s * s * inner
            operations += 4 * config.num_decoder_layers * s * d * inner
            for slot, rows in zip(range(n), kept_prefixes(texts, k), strict=False):
                tokens = rows if slot == 0 else 2 * rows
                past = 2 * slot + 1
                operations += 2 * tokens * step_weights
                operations += 4 * config.num_decoder_layers * tokens * (past + s) * inner
                operations += 2 * rows * d * choices.shape[1]
                moved += 8 * config.num_decoder_layers * inner * (rows * past + s)
    return {
        "operations": operations,
        "bytes": moved,
        "seconds": rates.seconds(operations, moved),
    }


def kept_prefixes(texts: Texts, k: int) -> Iterator[int]:
    """How many prefixes are kept before each slot: 1, then at most k of the legal ones."""
    grammar = texts.labeler.codec.grammar
    per_state = {0: 1}
    while True:
        yield min(k, sum(per_state.values()))
        following: dict[int, int] = {}
        for state, count in per_state.items():
            for after in grammar.next_states[state]:
                following[after] = min(k, following.get(after, 0) + count)
        per_state = following


# ---------------------------------------------------------- the comparisons
@dataclass(frozen=True)
class Bench:
    """One shape on one data set, with its contenders."""

    shape: str
    data: str
    texts: Texts
    is_trained: bool
    translator: Translator | None

    def contenders(self, batches: Sequence[Texts], k: int) -> dict[str, Callable[[], object]]:
        """What is timed: each runs over all batches."""

        def over(run: Callable[[Texts], object]) -> Callable[[], object]:
            return lambda: [run(batch) for batch in batches]

        ends = self.is_trained
        found = {
            GROOT: over(lambda batch: search(batch, k)),
            PLAIN: over(lambda batch: generate(batch, k, is_constrained=False, ends_itself=ends)),
            CONSTRAINED: over(lambda batch: generate(batch, k, is_constrained=True)),
        }
        if self.translator is not None:
            translate = self.translator
            found[CTRANSLATE2] = over(lambda batch: translate(batch, k, ends_itself=ends))
        return found


@dataclass(frozen=True)
class Effort:
    """How much is measured for a shape: texts of batch 64, rounds, seconds; texts one by one."""

    texts: dict[int, int]
    rounds: int
    budget_s: float
    singles: int


EFFORT = {
    "embedded": Effort({1: 256, 5: 256, 16: 256}, 7, 15.0, 24),
    "t5-small": Effort({1: 128, 5: 64, 16: 64}, 3, 30.0, 6),
    "mt5-small": Effort({1: 64, 5: 64, 16: 64}, 1, 30.0, 3),
}
QUICK = {
    "embedded": Effort({1: 64, 5: 64, 16: 64}, 3, 3.0, 6),
    "t5-small": Effort({1: 16, 5: 16, 16: 16}, 1, 5.0, 2),
    "mt5-small": Effort({1: 8, 5: 8, 16: 8}, 1, 5.0, 1),
}


def throughput(bench: Bench, k: int, effort: Effort, rates: Rates) -> dict[str, Any]:
    """Texts per second in batches of 64."""
    texts = bench.texts.part(range(effort.texts.get(k, 64)))
    batches = by_length(texts, 64)
    timings = alternate(
        bench.contenders(batches, k),
        rounds=effort.rounds,
        budget_s=effort.budget_s,
        warm_up=lambda: search(texts.part(range(2)), k),
    )
    return {
        "kind": "throughput",
        "shape": bench.shape,
        "data": bench.data,
        "k": k,
        "texts": len(texts.inputs),
        "floor": floor(texts, k, rates),
        **timings.as_json(GROOT),
    }


def latency(bench: Bench, k: int, effort: Effort, rates: Rates) -> dict[str, Any]:
    """Seconds per text, one text at a time; a round is one text."""
    singles = [bench.texts.part([i]) for i in range(effort.singles)]
    turn = itertools.cycle(range(len(singles)))
    current: list[Texts] = []

    def run(name: str) -> Callable[[], object]:
        return lambda: bench.contenders(current, k)[name]()

    names = list(bench.contenders(singles[:1], k))
    seconds = None
    for _ in singles:
        current[:] = [singles[next(turn)]]
        once = alternate({name: run(name) for name in names}, rounds=1, budget_s=0.0)
        names = [*names[1:], names[0]]
        if seconds is None:
            seconds = once
        else:
            for name in names:
                seconds.seconds[name] += once.seconds[name]
                seconds.elapsed[name] += once.elapsed[name]
                seconds.memory[name] += once.memory[name]
    assert seconds is not None
    floors = [floor(one, k, rates) for one in singles]
    return {
        "kind": "latency",
        "shape": bench.shape,
        "data": bench.data,
        "k": k,
        "texts": len(singles),
        "floor": {key: sum(one[key] for one in floors) / len(floors) for key in floors[0]},
        **seconds.as_json(GROOT),
    }


def show(row: dict[str, Any]) -> str:
    """One row for the terminal."""
    cells = [f"{row['kind']:10} {row['shape']:9} {row['data']:14} k={row['k']:<2}"]
    for name in (GROOT, PLAIN, CONSTRAINED, CTRANSLATE2):
        if name in row:
            found = row[name]
            each = found["seconds"] / (row["texts"] if row["kind"] == "throughput" else 1)
            cells.append(
                f"{name} {1e3 * each:.2f} ms/text x{found['ratio']:.2f} {found['peak_mib']:.0f} MiB"
            )
    groot = row[GROOT]["seconds"]
    cells.append(f"floor: groot is x{groot / row['floor']['seconds']:.1f} ({row['rounds']} rounds)")
    return "; ".join(cells)


@contextmanager
def one_thread() -> Iterator[None]:
    """All libraries on one thread, no chatter."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    logging.getLogger("groot").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def main() -> None:
    """Measure, print as it goes, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, help="a trained folder for the embedded shape")
    parser.add_argument("--only", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--k", nargs="+", type=int, default=[1, 5, 16])
    parser.add_argument("--quick", action="store_true", help="few texts, few rounds")
    parser.add_argument("--no-ctranslate2", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("runs/bench/search.json"))
    given = parser.parse_args()
    rows = []
    with one_thread(), tempfile.TemporaryDirectory() as room:
        rates = measure_rates()
        facts = machine(peers=[] if given.no_ctranslate2 else ["ctranslate2"])
        print(f"{rates.gflops:.0f} GFLOP/s, {rates.gbytes:.1f} GB/s", file=sys.stderr)
        for shape, data in itertools.product(given.only, given.data):
            effort = (QUICK if given.quick else EFFORT)[shape]
            start = time.perf_counter()
            train = read_examples(data, split="train").examples
            test = read_examples(data, split="test").examples
            labeler = make_shape(shape, train)
            if shape == "embedded" and given.model is not None:
                labeler = load(given.model)
            translator = None
            if not given.no_ctranslate2:
                translator = Translator(labeler, Path(room) / f"{shape}-{data}")
            texts = ready(labeler, spread(test, max(effort.texts.values())))
            is_trained = shape == "embedded" and given.model is not None
            bench = Bench(shape, data, texts, is_trained, translator)
            for k in given.k:
                for measure in (throughput, latency):
                    rows.append(measure(bench, k, effort, rates))
                    print(show(rows[-1]), file=sys.stderr, flush=True)
            print(f"{shape} {data}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    write_json(given.json, {"machine": facts, "rates": vars(rates), "rows": rows})


def spread(examples: Sequence[Example], count: int) -> list[Example]:
    """`count` of the examples, evenly spread."""
    return [examples[i * len(examples) // count] for i in range(min(count, len(examples)))]


if __name__ == "__main__":
    main()
