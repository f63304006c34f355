"""How different the texts are that a model writes for one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations


def rouge_l(first: str, second: str) -> float:
    """F1 of the longest common subsequence of the words of two texts, in [0, 1].

    Words are what white space separates, in lower case. Two texts without a word are equal: 1.0.

    Source: Lin, ROUGE: A Package for Automatic Evaluation of Summaries (2004), section 3.1, with
    beta = 1; no stemming.

    >>> rouge_l("play it now", "play now please")  # play ... now: 2 of 3 and 2 of 3
    0.6666666666666666
    """
    a, b = first.lower().split(), second.lower().split()
    if not a or not b:
        return float(a == b)
    common = common_subsequence(a, b)
    return 2 * common / (len(a) + len(b))


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence; len(first) * len(second) steps.

    >>> common_subsequence("abcd", "acbd")
    3
    """
    lengths = [0] * (len(second) + 1)  # of first[:i] and second[:j]
    for word in first:
        diagonal = 0
        for j, other in enumerate(second, start=1):
            above = lengths[j]
            lengths[j] = diagonal + 1 if word == other else max(above, lengths[j - 1])
            diagonal = above
    return lengths[-1]


def self_rouge_l(texts: Sequence[str]) -> float | None:
    """Mean Rouge-L over all pairs of texts: 1.0 where all are equal, lower is more diverse.

    None with fewer than two texts.

    >>> self_rouge_l(["play it", "play it", "stop"])  # pairs: 1, 0, 0
    0.3333333333333333
    """
    values = [rouge_l(a, b) for a, b in combinations(texts, 2)]
    return sum(values) / len(values) if values else None


def distinct_n(texts: Sequence[str], n: int) -> float | None:
    """Different n-grams of words as a share of all n-grams of the texts: higher is more diverse.

    It falls as texts are added, so compare equal numbers of texts only. None without an n-gram.

    Source: Li et al., A Diversity-Promoting Objective Function for Neural Conversation Models
    (2016), section 5.2.

    >>> distinct_n(["play it now", "play it please"], 2)  # play it, it now, it please of 4
    0.75
    """
    grams = [
        tuple(words[start : start + n])
        for words in (text.lower().split() for text in texts)
        for start in range(len(words) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else None
