"""Guided decoding beside unguided sampling and the reference implementation of PARGS, one process.

    git clone https://github.com/ahmadrash/PARGS ../PARGS
    python benchmarks/guided.py --reference ../PARGS
    python benchmarks/guided.py --vocabulary 8192 --page ""    # another share of the output layer

GPT-2 shapes with random weights, the same for all contenders; every token is a word, so that the
reference, which decodes and re-tokenises, reads the same ids. One thread. The reference runs its
own loop, taken from its file as it stands; it writes one text at a time, so its tokens per second
do not depend on the batch.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from side_by_side import Timings, alternate, machine, machine_line, table, write_json, write_section
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from groot.guides import GUIDES, Guide
from groot.models.text_model import TextModel
from groot.reward_models.prefix_model import RewardModel
from groot.search.sampling import sample

END = 0
REFERENCE = "reference, PARGS"


def words_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """Each id is a word of its own; text and ids say exactly the same."""
    words = {"<end>": END} | {f"w{number}": number for number in range(1, size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


def gpt2(vocabulary: int, width: int, layers: int, *, seed: int) -> GPT2Config:
    torch.manual_seed(seed)
    return GPT2Config(
        vocab_size=vocabulary, n_embd=width, n_layer=layers, n_head=max(width // 64, 1),
        n_positions=512, bos_token_id=END, eos_token_id=END, pad_token_id=END,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip


def language_model(tokenizer: Any, width: int, layers: int, *, seed: int) -> TextModel:
    config = gpt2(len(tokenizer), width, layers, seed=seed)
    model = GPT2LMHeadModel(config)
    with torch.no_grad():  # no text ends early: all contenders write the same number of tokens
        head = torch.nn.Linear(width, len(tokenizer))
        head.weight.copy_(model.lm_head.weight)
        head.bias.zero_()
        head.bias[END] = -50.0
    model.lm_head = head
    return TextModel(model.eval(), tokenizer)


def reference_loop(folder: Path) -> Callable[..., Any]:
    """`PARGS_decoding` out of the reference's file, whose other parts load models from the Hub."""
    path = next(iter(sorted(folder.rglob("PARGS_baselines.py"))), None)
    if path is None:
        raise SystemExit(f"{folder}: PARGS_baselines.py is not in it")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wanted = {"get_reward", "PARGS_decoding"}
    tree.body = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted
    ]
    names: dict[str, Any] = {"torch": torch, "device": "cpu"}
    exec(compile(tree, str(path), "exec"), names)
    loop: Callable[..., Any] = names["PARGS_decoding"]
    return loop


def judge_of(reward: RewardModel) -> GPT2ForSequenceClassification:
    """The same reward model as the reference expects it."""
    config = gpt2(
        reward.backbone.config.vocab_size,
        reward.backbone.config.n_embd,
        reward.backbone.config.n_layer,
        seed=0,
    )
    config.num_labels = 1
    judge = GPT2ForSequenceClassification(config)
    judge.transformer.load_state_dict(reward.backbone.model.transformer.state_dict())
    assert reward.head is not None
    with torch.no_grad():
        judge.score.weight.copy_(reward.head.weight)
    return judge.eval()


def measure(given: argparse.Namespace) -> dict[str, Any]:
    tokenizer = words_tokenizer(given.vocabulary)
    model = language_model(tokenizer, given.width, given.layers, seed=1)
    quarter_width = given.width // 2  # half the width: a quarter of the weights of the layers
    rewards = {
        "full": RewardModel(
            language_model(tokenizer, given.width, given.layers, seed=2), "partial"
        ),
        "quarter": RewardModel(
            language_model(tokenizer, quarter_width, given.layers, seed=3), "partial"
        ),
        "vocabulary": RewardModel(
            language_model(tokenizer, given.width, given.layers, seed=4), "vocabulary"
        ),
    }
    torch.manual_seed(5)
    inputs = torch.randint(1, given.vocabulary, (16, given.prompt)).tolist()
    guides: dict[str, Guide | None] = {
        "unguided": None,
        "PARGS": GUIDES["pargs"](rewards["full"]),
        "PARGS, reward model of a quarter": GUIDES["pargs"](rewards["quarter"]),
        "FaRMA": GUIDES["farma"](rewards["vocabulary"]),
    }
    length = given.length

    def ours(guide: Guide | None, batch: int) -> Callable[[], object]:
        return lambda: sample(
            model, inputs[:batch], max_new_tokens=length, top_k=10, seed=6, guide=guide,
            batch_size=batch,
        )  # fmt: skip

    tokens: dict[str, int] = {}
    contenders: dict[str, Callable[[], object]] = {}
    for batch in (1, 16):
        for name, guide in guides.items():
            contenders[f"{name}, batch {batch}"] = ours(guide, batch)
            tokens[f"{name}, batch {batch}"] = batch * length
    ids = torch.tensor(inputs)
    contenders["transformers generate, unguided, batch 16"] = lambda: model.model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=10, max_new_tokens=length,
        pad_token_id=END,
    )  # fmt: skip
    tokens["transformers generate, unguided, batch 16"] = 16 * length

    agreement = None
    if given.reference:
        loop, judge = reference_loop(given.reference), judge_of(rewards["full"])
        prompts = [tokenizer.decode(row) for row in inputs]

        def run_reference(prompt: str, mode: int, w: float) -> Any:
            with contextlib.redirect_stdout(io.StringIO()):
                return loop(
                    llm_model=model.model, llm_tokenizer=tokenizer, reward_model=judge,
                    reward_tokenizer=tokenizer, topk=10, prompt=prompt,
                    max_generation_length=length, mode1=mode, w=w,
                )  # fmt: skip

        greedy = GUIDES["pargs"](rewards["full"], temperature=0.0)
        texts = sample(
            model, inputs[:2], max_new_tokens=length, temperature=0, seed=0, guide=greedy
        )
        agreement = [
            run_reference(prompt, 1, 1.0)["sequence"] == tokenizer.decode(text.tokens)
            for prompt, (text,) in zip(prompts, texts, strict=False)
        ]
        contenders[REFERENCE] = lambda: run_reference(prompts[0], 2, 2.0)
        tokens[REFERENCE] = length

    with torch.no_grad():
        timings = alternate(
            contenders, rounds=given.rounds, budget_s=given.budget_s,
            warm_up=lambda: [run() for name, run in contenders.items() if name != REFERENCE],
        )  # fmt: skip
    return {"timings": timings, "tokens": tokens, "agreement": agreement}


def per_token(timings: Timings, tokens: dict[str, int], slow: str, fast: str) -> list[float]:
    """How many times longer a token of `slow` takes than one of `fast`, in each round."""
    pairs = zip(timings.seconds[slow], timings.seconds[fast], strict=True)
    return [(a / tokens[slow]) / (b / tokens[fast]) for a, b in pairs]


def main() -> None:
    """Measure, print, write the section of the page and JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reference", type=Path, help="a clone of ahmadrash/PARGS")
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--prompt", type=int, default=64, help="tokens of each prompt")
    parser.add_argument("--length", type=int, default=32, help="tokens written")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget-s", type=float, default=150.0)
    parser.add_argument("--page", default="docs/benchmarks.md", help='"" writes no page')
    parser.add_argument("--json", type=Path, default=Path("runs/bench/guided.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    facts = machine()
    found = measure(given)
    timings, tokens = found["timings"], found["tokens"]
    rows = []
    for name in sorted(tokens, key=lambda name: (not name.endswith("batch 1"), name)):
        seconds = statistics.median(timings.seconds[name]) / tokens[name]
        batch = name.rpartition("batch ")[2] if "batch" in name else "1"
        ratio = per_token(timings, tokens, name, f"unguided, batch {batch}")
        row = [name, f"{1 / seconds:,.0f}", f"{statistics.median(ratio):.2f}"]
        if given.reference:
            faster = per_token(timings, tokens, REFERENCE, name)
            row.append(f"{statistics.median(faster):.1f}")
        rows.append(row)
    head = ["", "tokens per second", "cost / unguided of the batch"]
    text = (
        f"GPT-2 shape, {given.layers} layers x {given.width}, vocabulary {given.vocabulary:,},"
        f" random weights; prompts of {given.prompt} tokens, {given.length} written, top-k 10;"
        f" processor time, medians of {len(timings.seconds['FaRMA, batch 1'])} rounds."
        f" {machine_line(facts)}\n\n"
        + table([*head, *(["times faster than the reference"] if given.reference else [])], rows)
    )
    if found["agreement"]:
        same = sum(found["agreement"])
        text += f"\n\nGreedy PARGS texts equal to the reference's: {same} of"
        text += f" {len(found['agreement'])}."
    print(text)
    write_json(
        given.json,
        {
            "machine": facts,
            "settings": {name: str(value) for name, value in vars(given).items()},
            "tokens": tokens,
            "seconds": timings.seconds,
            "greedy_texts_equal_the_reference": found["agreement"],
        },
    )
    if given.page:
        command = "```\npython benchmarks/guided.py --reference PARGS --vocabulary 50257\n```"
        command = command.replace("50257", str(given.vocabulary))
        text = f"## Guided decoding\n\n{command}\n\n{text}"
        write_section(Path(given.page), "guided", text, title="Benchmarks")


if __name__ == "__main__":
    main()
