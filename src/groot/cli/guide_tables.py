"""The tables of compare-guides and diagnose for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from groot.cli.console import harmless
from groot.cli.tables import new_table, number, with_interval


def guides_table(found: Mapping[str, Any]) -> Table:
    """One row for each guide."""
    base = found["titles"].get(found["baseline"], found["baseline"])
    table = new_table(
        f"{found['n_prompts']} prompts, gold reward {harmless(found['reward'])}",
        "",
        "reward",
        "± s.e.",
        "won",
        "p (Holm)",
        "Rouge-L",
        "distinct-2",
        "log p/token",
        "tokens/s",
        "RM calls/token",
        "RM tokens/token",
        "LM tokens/token",
    )
    for name, row in found["rows"].items():
        table.add_row(
            found["titles"][name],
            number(row["reward"]),
            number(row["standard_error"]),
            number(row.get("win_rate")),
            number(row.get("holm_p_value"), digits=4),
            number(row["rouge_l"]),
            number(row["distinct_2"]),
            number(row["fluency"], digits=2),
            number(row["tokens_per_second"], digits=0),
            number(row["reward_calls_per_token"], digits=2),
            number(row["reward_tokens_per_token"], digits=1),
            number(row["lm_tokens_per_token"], digits=1),
        )
    if base is not None:
        table.caption = (
            f"won and p: against {base}, over prompts; Rouge-L: between samples, low is diverse"
        )
    return table


def claims_table(found: Mapping[str, Any]) -> Table:
    """Pairs of rows, each tested on its own."""
    table = new_table("pairs of rows", "", "difference [95 %]", "p-value", "won")
    for name, one in found["claims"].items():
        table.add_row(
            name,
            with_interval(one["difference"], one["difference_interval"]),
            number(one["p_value"], digits=4),
            number(one["win_rate"]),
        )
    return table


def diagnosis_tables_of_guides(found: Mapping[str, Any]) -> list[Table]:
    """The four questions of `groot diagnose`."""
    prefixes = new_table(
        f"{found['n_pairs']} pairs: is the prefix of the winner worth more? ({found['rollouts']}"
        " rollouts each)",
        "share of the text",
        "winner's better: mean [95 %]",
        "p",
        "winner's better: best [95 %]",
        "p",
    )
    for row in found["continuations"]:
        prefixes.add_row(
            f"{row['cut']:.0%}",
            with_interval(row["mean"]["better"], row["mean"]["better_interval"]),
            number(row["mean"]["p_value"], digits=4),
            with_interval(row["best"]["better"], row["best"]["better_interval"]),
            number(row["best"]["p_value"], digits=4),
        )
    tables = [prefixes]
    if found["spread"]:
        spread = new_table(
            "is reward spread over the tokens? (Gini 0: evenly; near 1: one token)",
            "reward model",
            "Gini [95 %]",
            "largest share",
            "if even",
        )
        for name, one in found["spread"].items():
            spread.add_row(
                name,
                with_interval(one["gini"], one["gini_interval"]),
                number(one["largest"]),
                number(one["even"]),
            )
        order = new_table(
            "does a reward model order prefixes against its order of the whole texts?",
            "reward model",
            "right on wholes",
            "prefixes reversed [95 %]",
            "flips a pair",
            "right at 50 %",
        )
        for name, one in found["order"].items():
            half = next(row["right"] for row in one["by_cut"] if row["cut"] == 0.5)
            order.add_row(
                name,
                number(one["whole"]),
                with_interval(one["reversed"], one["reversed_interval"]),
                number(one["flips"], digits=2),
                number(half),
            )
        tables += [spread, order]
    ranks = new_table(
        f"token mean reciprocal rank of the best of {found['n_samples']} samples",
        "guide",
        "value [95 %]",
        "tokens at rank 1",
    )
    for name, one in found["ranks"].items():
        ranks.add_row(name, with_interval(one["value"], one["interval"]), number(one["first"]))
    return [*tables, ranks]
