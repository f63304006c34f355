"""groot's own sample corpus: text written by a seeded grammar, the same bytes for the same seed.

Fillers are shared out: some are train's, some dev's, some test's. Train uses its own only; dev and
test draw from their own and from train's, so that some can be known and some must be guessed from
their context. Some of it stays open for any reader ("play hollow lantern": a song or a band?), so
that no model gets everything right.
"""

from __future__ import annotations

import random
from functools import cache, lru_cache
from pathlib import Path

from groot.data.result import Reading, ReadResult
from groot.data.sample_grammar import LEXICONS, RULES
from groot.data.settings import TagSettings
from groot.data.tagged import TaggedRow, read_tagged
from groot.errors import DataError
from groot.targets.schemes import WordSpan, tags_of_spans

SIZES = {"train": 2400, "dev": 400, "test": 1200}
MIN_WORDS, MAX_WORDS = 4, 20
# share of the fillers of each lexicon
_SHARES = {"train": 0.5, "dev": 0.2, "test": 0.3}
# how often dev and test take a filler of their own rather than one of train's
_OWN = 0.6


def read_sample(split: str = "train", *, seed: int = 0) -> ReadResult:
    """The examples of one split of the sample, generated in memory.

    >>> read_sample("test").examples[0].id
    'test:1'
    """
    rows = (
        TaggedRow(f"sample:{split}:{number}", f"{split}:{number}", words, tags)
        for number, (words, tags) in enumerate(sample_sentences(split, seed=seed), start=1)
    )
    return read_tagged(
        f"sample:{split}", rows, TagSettings(scheme="IOB2"), reading=Reading("sample")
    )


def write_sample(folder: str | Path, *, seed: int = 0) -> list[Path]:
    """Write `train.conll`, `dev.conll` and `test.conll`, and return their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for split in SIZES:
        blocks = [
            "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True))
            for words, tags in sample_sentences(split, seed=seed)
        ]
        path = folder / f"{split}.conll"
        path.write_bytes("\n".join(blocks).encode())  # bytes: no CRLF on any system
        paths.append(path)
    return paths


def sample_sentences(split: str, *, seed: int = 0) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The words and IOB2 tags of each sentence of a split; no sentence is in two splits.

    Raises:
        DataError: for a split that is not of SIZES.
    """
    if split not in SIZES:
        raise DataError(f"the sample has no split {split!r}.\n  It has: {', '.join(SIZES)}")
    return _all_sentences(seed)[split]


@lru_cache(maxsize=4)
def _all_sentences(seed: int) -> dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    fillers = share_fillers(seed)
    seen: set[str] = set()
    sentences: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for split, size in SIZES.items():
        writer = _Writer(random.Random(f"{seed}:{split}"), split, fillers)
        found = sentences[split] = []
        while len(found) < size:
            words, spans = writer.sentence()
            text = " ".join(words)
            if MIN_WORDS <= len(words) <= MAX_WORDS and text not in seen:
                seen.add(text)
                tags = tags_of_spans(spans, len(words), "IOB2")
                found.append((tuple(words), tuple(tags)))
    return sentences


def share_fillers(seed: int) -> dict[str, dict[str, list[str]]]:
    """Lexicon -> split -> the fillers that are its own.

    A filler that stands in several lexicons belongs to the same split in all of them: `florence`
    as a city must not give `florence` as a name away.
    """
    rng = random.Random(f"{seed}:fillers")
    names = sorted({filler for lexicon in LEXICONS.values() for filler in lexicon})
    split_of = {name: _share(rng.random()) for name in names}
    return {
        lexicon: {
            split: [filler for filler in fillers if split_of[filler] == split] for split in SIZES
        }
        for lexicon, fillers in LEXICONS.items()
    }


def _share(number: float) -> str:
    for split, share in _SHARES.items():
        number -= share
        if number < 0:
            return split
    return split


class _Writer:
    """Writes the sentences of one split."""

    def __init__(
        self, rng: random.Random, split: str, fillers: dict[str, dict[str, list[str]]]
    ) -> None:
        self.rng, self.split, self.fillers = rng, split, fillers

    def sentence(self) -> tuple[list[str], list[WordSpan]]:
        words: list[str] = []
        spans: list[WordSpan] = []
        self._expand("{sentence}", words, spans)
        return words, spans

    def _expand(self, pattern: str, words: list[str], spans: list[WordSpan]) -> None:
        for part in pattern.split():
            if not part.startswith("{"):
                words.append(part)
                continue
            label, _, name = part[1:-1].rpartition(":")
            start = len(words)
            self._expand(self._choose(name), words, spans)
            if label:
                spans.append((start, len(words), label))

    def _choose(self, name: str) -> str:
        if name in RULES:
            patterns, weights = _weighted(name)
            return self.rng.choices(patterns, weights)[0]
        own = self.fillers[name][self.split]
        if self.split != "train" and (not own or self.rng.random() >= _OWN):
            own = self.fillers[name]["train"]
        return self.rng.choice(own)


@cache
def _weighted(name: str) -> tuple[list[str], list[int]]:
    patterns, weights = [], []
    for line in RULES[name]:
        weight, _, pattern = line.partition(" ")
        patterns.append(pattern if weight.isdigit() else line)
        weights.append(int(weight) if weight.isdigit() else 1)
    return patterns, weights
