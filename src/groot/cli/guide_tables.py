"""The tables of compare-guides and diagnose for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from groot.cli.console import harmless
from groot.cli.tables import new_table, number, with_interval


def guides_table(comparison: Mapping[str, Any]) -> Table:
    """One row for each guide."""
    base = comparison["titles"].get(comparison["baseline"], comparison["baseline"])
    table = new_table(
        f"{comparison['n_prompts']} prompts, gold reward {harmless(comparison['reward'])}",
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
    for name, row in comparison["rows"].items():
        table.add_row(
            comparison["titles"][name],
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


def claims_table(comparison: Mapping[str, Any]) -> Table:
    """Pairs of rows, corrected for their number."""
    table = new_table("pairs of rows", "", "difference [95 %]", "p (Holm)", "won")
    for name, claim in comparison["claims"].items():
        table.add_row(
            name,
            with_interval(claim["difference"], claim["difference_interval"]),
            number(claim["holm_p_value"], digits=4),
            number(claim["win_rate"]),
        )
    return table


def diagnosis_tables_of_guides(diagnosis: Mapping[str, Any]) -> list[Table]:
    """The four questions of `groot diagnose`."""
    prefixes = new_table(
        f"{diagnosis['n_pairs']} pairs: is the prefix of the winner worth more?"
        f" ({diagnosis['rollouts']} rollouts each)",
        "share of the text",
        "pairs",
        "winner's better: mean [95 %]",
        "p (Holm)",
        "winner's better: best [95 %]",
        "p (Holm)",
    )
    for row in diagnosis["continuations"]:
        prefixes.add_row(
            f"{row['cut']:.0%}",
            str(row["n_pairs"]),
            with_interval(row["mean"]["better"], row["mean"]["better_interval"]),
            number(row["mean"]["holm_p_value"], digits=4),
            with_interval(row["best"]["better"], row["best"]["better_interval"]),
            number(row["best"]["holm_p_value"], digits=4),
        )
    tables = [prefixes]
    if diagnosis["spread"]:
        spread = new_table(
            "is reward spread over the tokens? (Gini 0: evenly; near 1: one token)",
            "reward model",
            "Gini [95 %]",
            "largest share",
            "if even",
        )
        for name, spreading in diagnosis["spread"].items():
            spread.add_row(
                name,
                with_interval(spreading["gini"], spreading["gini_interval"]),
                number(spreading["largest"]),
                number(spreading["even"]),
            )
        order = new_table(
            "does a reward model order prefixes against its order of the whole texts?",
            "reward model",
            "right on wholes",
            "prefixes reversed [95 %]",
            "flips a pair",
            "right at 50 %",
        )
        for name, orders in diagnosis["order"].items():
            half = next(row["right"] for row in orders["by_cut"] if row["cut"] == 0.5)
            order.add_row(
                name,
                number(orders["whole"]),
                with_interval(orders["reversed"], orders["reversed_interval"]),
                number(orders["flips"], digits=2),
                number(half),
            )
        tables += [spread, order]
    ranks = new_table(
        f"token mean reciprocal rank of the best of {diagnosis['n_samples']} samples",
        "guide",
        "value [95 %]",
        "tokens at rank 1",
    )
    for name, rank in diagnosis["ranks"].items():
        ranks.add_row(name, with_interval(rank["value"], rank["interval"]), number(rank["first"]))
    return [*tables, ranks]
