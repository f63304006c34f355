"""What one pass for all prefixes saves, beside a row for each prefix, in one process.

    python benchmarks/reward_model.py
    python benchmarks/reward_model.py --tokens 32 --device cuda

A training step of the PARGS loss on the same pairs, the same model and the same optimizer. The
expanded step is not made slow on purpose: rows are sorted by length, run in chunks without padding
to speak of, and go through the plain transformers model. Both give the same loss, which is checked.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from side_by_side import alternate, machine, machine_line, table, write_json, write_section
from torch import Tensor

from groot.models.embedded_text import make_text_model
from groot.objectives import partial_bradley_terry
from groot.recipes.pair_losses import pair_loss
from groot.recipes.spelled_pairs import SpelledPair
from groot.reward_models.prefix_model import RewardModel


def make_model(device: str) -> RewardModel:
    words = [f"word{number}" for number in range(50)]
    backbone = make_text_model(words, shape="causal", width=128, layers=4, dropout=0.0)
    return RewardModel(backbone, "partial").to(device).train()


def make_items(n_pairs: int, prompt: int, tokens: int, vocabulary: int) -> list[SpelledPair]:
    rng = random.Random(1)

    def row(length: int) -> list[int]:
        return [rng.randrange(5, vocabulary) for _ in range(length)]

    return [SpelledPair(row(prompt), row(tokens), row(tokens)) for _ in range(n_pairs)]


def expanded_loss(model: RewardModel, items: list[SpelledPair], rows_at_once: int) -> Tensor:
    """Loss [B], a row of prompt and prefix for each prefix, as a list of text pairs would give."""
    outputs = [output for item in items for output in (item.chosen, item.rejected)]
    inputs = [item.input_ids for item in items for _ in range(2)]
    rows = [
        (place, end, inputs[place] + output[: end + 1])
        for place, output in enumerate(outputs)
        for end in range(len(output))
    ]
    rows.sort(key=lambda row: len(row[2]))
    shape = (len(outputs), max(map(len, outputs)))
    places, found = [], []
    for first in range(0, len(rows), rows_at_once):
        chunk = rows[first : first + rows_at_once]
        ids, mask = model.backbone.pad([row for _, _, row in chunk])
        hidden = model.backbone.model.transformer(
            input_ids=ids, attention_mask=mask.long(), use_cache=False
        ).last_hidden_state
        last = hidden[torch.arange(len(chunk), device=ids.device), mask.sum(1) - 1]
        found.append(model.reward_of(last))
        places += [(place, end) for place, end, _ in chunk]
    index = torch.tensor(places, device=model.backbone.device).T
    rewards = torch.zeros(shape, device=index.device).index_put(tuple(index), torch.cat(found))
    is_real = torch.zeros(shape, dtype=torch.bool, device=index.device)
    is_real[tuple(index)] = True
    return partial_bradley_terry(rewards[0::2], rewards[1::2], is_real[0::2], is_real[1::2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, nargs="+", default=[32, 64], help="of an output")
    parser.add_argument("--prompt", type=int, default=16, help="tokens of a prompt")
    parser.add_argument("--pairs", type=int, default=4, help="of a step")
    parser.add_argument("--rows", type=int, default=64, help="rows of the expanded step at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget-s", type=float, default=60.0, help="processor time per length")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--page", type=Path, help="Markdown page with a section to replace")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    facts, numbers, lines = machine(), {}, []
    for tokens in args.tokens:
        model = make_model(args.device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        vocabulary = len(model.tokenizer)
        items = make_items(args.pairs, args.prompt, tokens, vocabulary)
        with torch.no_grad():
            one, other = pair_loss(model, items), expanded_loss(model, items, args.rows)
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)

        def step(loss: Tensor, optimizer: torch.optim.Optimizer = optimizer) -> None:
            loss.mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            if args.device != "cpu":
                torch.accelerator.synchronize()

        def one_pass(model: RewardModel = model, items: list[SpelledPair] = items) -> None:
            step(pair_loss(model, items))

        def expanded(model: RewardModel = model, items: list[SpelledPair] = items) -> None:
            step(expanded_loss(model, items, args.rows))

        timings = alternate(
            {"one pass": one_pass, "row per prefix": expanded},
            rounds=args.rounds,
            budget_s=args.budget_s,
            warm_up=one_pass,
        )
        found = timings.as_json("one pass")
        numbers[str(tokens)] = found
        low, high = found["row per prefix"]["ratio_range"]
        lines.append(
            [
                tokens,
                f"{found['one pass']['seconds'] * 1000:.0f} ms",
                f"{found['row per prefix']['seconds'] * 1000:.0f} ms",
                f"{found['row per prefix']['ratio']:.1f} ({low:.1f} to {high:.1f})",
            ]
        )
    text = table(["output tokens", "one pass", "row per prefix", "ratio"], lines)
    text += f"\n\n{args.pairs} pairs a step, {args.prompt} tokens of prompt. {machine_line(facts)}"
    print(text)
    if args.page:
        command = "```\npython benchmarks/reward_model.py --page docs/benchmarks.md\n```"
        about = "All prefixes of a pair in one pass, against a row for each prefix: whole steps."
        section = "\n\n".join(["## Training a reward model of prefixes", command, about, text])
        write_section(args.page, "reward_model", section, title="Benchmarks")
    if args.json:
        write_json(args.json, {"machine": facts, "steps": numbers})


if __name__ == "__main__":
    main()
