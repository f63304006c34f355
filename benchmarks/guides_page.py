"""What several seeds of the free-text experiment say together: numbers, tests, the page.

All seeds are tested on the same prompts, so the unit of every test is the prompt: its gold reward
is the mean over its samples, and over the seeds.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from side_by_side import machine_line, table, write_section

from groot.evaluation.guide_table import holm
from groot.evaluation.significance import bootstrap_intervals, mean_of, paired_difference
from groot.reward_models.kinds import RewardKind

# What the published table claims, (better, worse); then the same with equal decoding, as ARGS is
# greedy; then those on tuned models. The third member: the share of the worse that must be beaten.
CLAIMS: tuple[tuple[str, str, float], ...] = (
    ("args", "top_k", 1.0),
    ("cd", "top_k", 1.0),
    ("rad", "top_k", 1.0),
    ("pargs", "top_k", 1.0),
    ("pargs", "args", 1.0),
    ("pargs", "cd", 1.0),
    ("pargs", "rad", 1.0),
    ("pargs_greedy", "args", 1.0),
    ("pargs", "args_sampled", 1.0),
    ("pargs", "dpo", 0.9),
    ("pargs_greedy", "dpo", 0.9),
)
CUTS = (0.2, 0.4, 0.6, 0.8, 1.0)
KIND_TITLES: dict[RewardKind, str] = {
    "sequence": "sequence (ARGS)",
    "partial": "partial (PARGS)",
    "value": "value (CD)",
    "rad": "rad (RAD)",
    "vocabulary": "vocabulary (FaRMA)",
}


KIND_OF_ROW = {
    "args": "sequence",
    "args_sampled": "sequence",
    "pargs": "partial",
    "pargs_greedy": "partial",
    "cd": "value",
    "rad": "rad",
}


# Numbers


def together(folders: Sequence[Path], titles: Mapping[str, str]) -> dict[str, Any]:
    """Rows, claims and diagnoses of the folders of several seeds.

    Args:
        folders: of the seeds, tested on the same prompts.
        titles: of the rows, in the order of the table.

    Returns:
        rows: of each, the mean reward, its interval over prompts, its standard deviation over
        seeds, and the means of what the tables of the seeds hold; claims: with differences of the
        seeds and all together, p-values, those corrected by Holm; weights; diagnosis.
    """
    compared = [read(folder / "guides.json") for folder in folders]
    by_prompt = {name: [prompt_rewards(folder, name) for folder in folders] for name in titles}
    rows = {name: row_of(name, by_prompt[name], compared) for name in titles}
    claims = {}
    for better, worse, share in CLAIMS:
        name = f"{better} > {worse}" if share == 1 else f"{better} > {share:g} {worse}"
        claims[name] = claim_of(by_prompt[better], by_prompt[worse], share)
    corrected = holm({name: one["p_value"] for name, one in claims.items()})
    for name, one in claims.items():
        one["holm_p_value"] = corrected[name]
        one["holds"] = one["difference"] > 0 and corrected[name] < 0.05
    tried = [one["weights_tried"] for one in compared]
    return {
        "titles": dict(titles),
        "n_prompts": compared[0]["n_prompts"],
        "n_samples": compared[0]["n_samples"],
        "rows": rows,
        "claims": claims,
        "weights": {name: [chosen(one[name]) for one in tried] for name in tried[0]},
        "diagnosis": diagnosis_of([read(folder / "diagnosis.json") for folder in folders]),
        "examples": compared[0]["examples"],
    }


def read(path: Path) -> Any:
    """What a file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def prompt_rewards(folder: Path, name: str) -> NDArray[np.float64]:
    """[B] gold reward of each prompt's texts, of one row of one seed."""
    rewards = read(folder / "guides" / f"{name}.json")["run"]["rewards"]
    return np.array([np.mean(some) for some in rewards], dtype=float)


def row_of(
    name: str, seeds: Sequence[NDArray[np.float64]], compared: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """One row of the table."""
    means = [float(one.mean()) for one in seeds]
    ends = bootstrap_intervals({"reward": mean_of(np.mean(seeds, axis=0))})["reward"]
    row: dict[str, Any] = {
        "reward": statistics.mean(means),
        "interval": None if ends is None else list(ends),
        "seeds": means,
        "deviation": statistics.stdev(means) if len(means) > 1 else None,
    }
    columns = (
        "win_rate",
        "rouge_l",
        "distinct_2",
        "fluency",
        "words_per_text",
        "tokens_per_second",
        "reward_tokens_per_token",
        "reward_calls_per_token",
        "lm_tokens_per_token",
    )
    for column in columns:
        there = [one["rows"][name].get(column) for one in compared]
        known = [value for value in there if value is not None]
        row[column] = statistics.mean(known) if known else None
    return row


def claim_of(
    better: Sequence[NDArray[np.float64]], worse: Sequence[NDArray[np.float64]], share: float
) -> dict[str, Any]:
    """Whether one row is better than a share of another: paired by prompt, seeds averaged."""

    def tested(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Any:
        return paired_difference(mean_of(share * theirs), mean_of(ours))

    whole = tested(np.mean(better, axis=0), np.mean(worse, axis=0))
    each = [tested(ours, theirs) for ours, theirs in zip(better, worse, strict=True)]
    return {
        "difference": whole.difference,
        "interval": None if whole.low is None else [whole.low, whole.high],
        "p_value": whole.p_value,
        "seeds": [one.difference for one in each],
        "seed_p_values": [one.p_value for one in each],
        "ratio": float(np.mean(better) / np.mean(worse)),
    }


def chosen(tried: Mapping[str, float]) -> dict[str, float]:
    """The weight that was chosen, what it gave, and the ends of the grid."""
    weights = {float(weight): value for weight, value in tried.items()}
    best = max(weights, key=lambda weight: (weights[weight], -weight))
    return {"weight": best, "value": weights[best], "low": min(weights), "high": max(weights)}


def diagnosis_of(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the seeds of what diagnose says."""
    kinds = list(seeds[0]["order"])
    return {
        "n_pairs": [one["n_pairs"] for one in seeds],
        "continuations": {
            how: [
                statistics.mean(one["continuations"][place][how]["better"] for one in seeds)
                for place in range(len(seeds[0]["continuations"]))
            ]
            for how in ("mean", "best")
        },
        "order": {
            kind: [
                statistics.mean(one["order"][kind]["by_cut"][place]["right"] for one in seeds)
                for place in range(len(seeds[0]["order"][kind]["by_cut"]))
            ]
            for kind in kinds
        },
        "reversed": {
            kind: statistics.mean(one["order"][kind]["reversed"] for one in seeds) for kind in kinds
        },
        "gini": {
            kind: statistics.mean(one["spread"][kind]["gini"] for one in seeds) for kind in kinds
        },
        "ranks": {
            name: statistics.mean(one["ranks"][name]["value"] for one in seeds)
            for name in seeds[0]["ranks"]
        },
    }


# The page


def write_page(results: Mapping[str, Any], page: Path | None) -> str:
    """The result as Markdown; written into its section of a page, with a picture, where one is."""
    text = page_text(results, None if page is None else page.with_suffix(".svg").name)
    if page is not None:
        draw(results, page.with_suffix(".svg"))
        write_section(page, "guides", text, title="Guides of a frozen generator: an experiment")
    return text


def page_text(results: Mapping[str, Any], picture: str | None) -> str:
    """The tables."""
    n_seeds = len(results["seeds"])
    seconds = statistics.mean(one["cpu_seconds"] for one in results["seeds"]) / 60
    parts = [
        "## Result",
        f"```\n{results['command']}\n```",
        machine_line(results["machine"]),
        f"{n_seeds} seeds, {results['n_prompts']} test prompts, {results['n_samples']} samples of"
        f" each where a row samples; {seconds:.0f} core-minutes a seed.",
    ]
    if picture is not None:
        parts.append(f"![Gold reward of each row, and what prefixes tell]({picture})")
    parts += [
        "### Table",
        "Gold reward with its 95 % interval over prompts; log p under the frozen model; tokens"
        " that models read per token of what was delivered.",
        main_table(results),
        "### Claims",
        "Paired permutation tests over prompts, two-sided, each prompt's reward the mean over its"
        " samples and the seeds; Holm over all claims of the table. A claim holds where the"
        " difference is above 0 and the corrected p below 0.05.",
        claims_table(results),
        "### What was chosen and learnt",
        "Held-out pairs are of the training reward, of prompts that were not learnt from. Weights"
        " are chosen on dev prompts by the training reward; the grid is the one that was tried.",
        before_line(results),
        learnt_table(results),
        weights_table(results),
        "### What prefixes tell",
        "Pairs of unguided samples that differ in gold reward, cut at shares of their length:"
        " the share of pairs whose winner has the better prefix, by the mean of 4 continuations"
        " and by each reward model; and the share of prefixes that a model orders against its own"
        " order of the whole texts.",
        prefix_table(results),
        ranks_line(results),
        "### What does not hold, and what the numbers above say of it",
        *(failures(results) or ["All claims hold."]),
    ]
    return "\n\n".join(parts)


def main_table(results: Mapping[str, Any]) -> str:
    """The rows, in the published order."""
    lines = []
    for name, row in results["rows"].items():
        ends = row["interval"]
        lines.append(
            [
                results["titles"][name],
                f"{row['reward']:.3f}",
                "-" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}",
                number(row["deviation"], 3),
                number(row["win_rate"], 2),
                number(row["rouge_l"], 2),
                number(row["distinct_2"], 2),
                number(row["fluency"], 2),
                number(row["words_per_text"], 1),
                number(row["reward_tokens_per_token"], 1),
                number(row["lm_tokens_per_token"], 1),
            ]
        )
    head = ["", "gold reward", "95 %", "s.d. over seeds", "won against top-k", "Rouge-L"]
    head += ["distinct-2", "log p/token", "words", "RM tokens", "LM tokens"]
    return table(head, lines)


def claims_table(results: Mapping[str, Any]) -> str:
    """Each claim with its p-values."""
    lines = []
    for name, one in results["claims"].items():
        ends = one["interval"]
        lines.append(
            [
                claim_title(name, results["titles"]),
                f"{one['difference']:+.3f}",
                "-" if ends is None else f"{ends[0]:+.3f} to {ends[1]:+.3f}",
                ", ".join(f"{value:+.3f}" for value in one["seeds"]),
                ", ".join(p_value(value) for value in one["seed_p_values"]),
                p_value(one["p_value"]),
                p_value(one["holm_p_value"]),
                "yes" if one["holds"] else "no",
            ]
        )
    head = ["claim", "difference", "95 %", "seeds", "p of the seeds", "p", "p (Holm)", "holds"]
    shares = [
        f"{results['titles'][name]} reaches {results['claims'][f'{name} > 0.9 dpo']['ratio']:.1%}"
        for name in ("pargs", "pargs_greedy")
    ]
    return f"{table(head, lines)}\n\n{' and '.join(shares)} of the DPO-tuned model's gold reward."


def claim_title(name: str, titles: Mapping[str, str]) -> str:
    """ "pargs > 0.9 dpo" in the words of the table."""
    better, _, worse = name.partition(" > ")
    share, _, bare = worse.rpartition(" ")
    of_share = f"{float(share):.0%} of " if share else ""
    return f"{titles[better]} > {of_share}{titles[bare]}"


def before_line(results: Mapping[str, Any]) -> str:
    """How good the judges and the generator are."""
    judges = results["judges"]
    told = (
        f"F1 on dev sentences of the judge of the training reward {judges['training']['f1']:.3f},"
        f" of the gold reward {judges['gold']['f1']:.3f}."
    )
    curve = results["generator"]
    if curve:
        points = ", ".join(f"{one['perplexity']:.1f}" for one in curve)
        told += f" Dev perplexity of the generator, evenly over {curve[-1]['passes']:.0f} passes:"
        told += f" {points}."
    return told


def learnt_table(results: Mapping[str, Any]) -> str:
    """How well each kind of reward model orders held-out pairs."""
    seeds = results["seeds"]
    lines = [
        [
            KIND_TITLES[kind],
            f"{statistics.mean(one['right'][kind] for one in seeds):.3f}",
            ", ".join(f"{one['right'][kind]:.3f}" for one in seeds),
        ]
        for kind in KIND_TITLES
    ]
    pairs = ", ".join(str(one["pairs"]) for one in seeds)
    told = f"Preferences of the seeds: {pairs}."
    for name in ("dpo", "grpo"):
        rates = [max(one["rates"][name].items(), key=lambda item: item[1]) for one in seeds]
        chosen_rates = ", ".join(f"{rate} ({value:.3f})" for rate, value in rates)
        told += f" {results['titles'][name]} at rate {chosen_rates}, training reward on dev."
    return f"{table(['reward model', 'held-out pairs right', 'seeds'], lines)}\n\n{told}"


def weights_table(results: Mapping[str, Any]) -> str:
    """The weight of each guide in each seed."""
    lines = []
    for name, seeds in results["weights"].items():
        low, high = min(one["low"] for one in seeds), max(one["high"] for one in seeds)
        lines.append(
            [
                results["titles"][name],
                ", ".join(f"{one['weight']:g}" for one in seeds),
                f"{low:g} to {high:g}",
                ", ".join(f"{one['value']:.3f}" for one in seeds),
            ]
        )
    return table(["guide", "weight of the seeds", "tried", "training reward on dev"], lines)


def prefix_table(results: Mapping[str, Any]) -> str:
    """Who has the better prefix, at shares of the length."""
    found = results["diagnosis"]
    places = [round(10 * cut) - 1 for cut in CUTS]
    lines = [["mean continuation", *cells(found["continuations"]["mean"], places), "", ""]]
    lines.append(["best continuation", *cells(found["continuations"]["best"], places), "", ""])
    for kind, values in found["order"].items():
        more = [f"{found['reversed'][kind]:.2f}", f"{found['gini'][kind]:.2f}"]
        lines.append([KIND_TITLES[kind], *cells(values, places), *more])
    head = ["by", *[f"at {cut:.0%}" for cut in CUTS], "reversed", "Gini of increments"]
    return table(head, lines)


def cells(values: Sequence[float], places: Sequence[int]) -> list[str]:
    """Shares at some places."""
    return [f"{values[place]:.2f}" for place in places]


def ranks_line(results: Mapping[str, Any]) -> str:
    """Token mean reciprocal ranks."""
    ranks = results["diagnosis"]["ranks"]
    titles = {"none": "unguided", **results["titles"]}
    told = ", ".join(f"{titles[name]} {value:.3f}" for name, value in ranks.items())
    return f"Token mean reciprocal rank of the best of 16 samples: {told}."


def failures(results: Mapping[str, Any]) -> list[str]:
    """A line for each claim that does not hold, with what is known of its reward models."""
    lines = []
    for name, one in results["claims"].items():
        if one["holds"]:
            continue
        is_opposite = one["difference"] < 0 and one["holm_p_value"] < 0.05
        told = (
            f"- {claim_title(name, results['titles'])}: {one['difference']:+.3f},"
            f" p {p_value(one['holm_p_value'])} (Holm)"
        )
        told += "; the opposite holds." if is_opposite else "."
        better, _, worse = name.partition(" > ")
        kinds = [KIND_OF_ROW[row] for row in (better, worse) if row in KIND_OF_ROW]
        if len(kinds) == 1 and worse.endswith("dpo"):
            told += f" The share reached is {one['ratio']:.1%}."
        for kind in dict.fromkeys(kinds):
            order = results["diagnosis"]["order"][kind]
            right = statistics.mean(seed["right"][kind] for seed in results["seeds"])
            told += (
                f" {KIND_TITLES[kind]}: {right:.2f} of the held-out pairs right; winners of gold"
                f" pairs found at 40 %, 80 % and all of the length: {order[3]:.2f}, {order[7]:.2f},"
                f" {order[9]:.2f}."
            )
        lines.append(told)
    return ["\n".join(lines)] if lines else []


def number(value: float | None, digits: int) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def p_value(value: float | None) -> str:
    """A p-value; the smallest that 9,999 permutations can give is 0.0002."""
    return "-" if value is None else f"{value:.4f}"


# The picture

INK, MUTED, BLUE, ORANGE = "#333333", "#888888", "#2a6f97", "#c8553d"
LINES = {"partial": (BLUE, "-"), "sequence": (ORANGE, "-"), "value": (MUTED, "--")}


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Left the gold reward of each row, right what prefixes tell."""
    style = {"svg.hashsalt": "groot", "font.size": 9, "axes.spines.top": False}
    with matplotlib.rc_context({**style, "axes.spines.right": False, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        rows = list(results["rows"].items())[::-1]
        for place, (name, row) in enumerate(rows):
            colour = BLUE if name.startswith("pargs") else MUTED
            if row["interval"]:
                left.hlines(place, *row["interval"], color=colour)
            left.plot([row["reward"]], [place], "o", color=colour, markersize=4)
        left.set_yticks(range(len(rows)), [results["titles"][name] for name, _ in rows])
        left.axvline(results["rows"]["top_k"]["reward"], color=MUTED, linewidth=0.6)
        left.set_xlabel("gold reward, 95 % interval over prompts")
        shares = [tenth / 10 for tenth in range(1, 11)]
        found = results["diagnosis"]
        mean = found["continuations"]["mean"]
        right.plot(shares, mean, color=INK, marker="o", markersize=3, label="mean continuation")
        for kind, (colour, dashes) in LINES.items():
            title = KIND_TITLES[kind]
            right.plot(shares, found["order"][kind], dashes, color=colour, label=title)
        right.axhline(0.5, color=MUTED, linewidth=0.6)
        right.set_xlabel("share of the text that is read")
        right.set_ylabel("winner's prefix is the better one")
        right.legend(frameon=False, fontsize=8)
        figure.savefig(path, format="svg", metadata={"Date": None}, facecolor="white")
