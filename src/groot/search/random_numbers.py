"""The random numbers of samples: functions of the seed, the input, the sample and the step."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

U64 = np.uint64


def _mix(x: np.ndarray) -> np.ndarray:
    """The finisher of SplitMix64 (Steele, Lea and Flood, 2014) on unsigned 64-bit numbers."""
    x = (x ^ (x >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> U64(27))) * U64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> U64(31)))


def sample_keys(inputs: Sequence[Sequence[int]], n: int, seed: int) -> np.ndarray:
    """[len(inputs) * n] one key per sample, from what the input says, not from where it stands."""
    seen: Counter[tuple[int, ...]] = Counter()
    words = []
    for ids in inputs:
        text = tuple(ids)
        content = np.array([seed, seen[text], *text], dtype=np.int64).tobytes()
        words.append(int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little"))
        seen[text] += 1  # the same input again is another example
    keys = np.array(words, dtype=U64)[:, None]
    return _mix(keys + _mix(np.arange(1, n + 1, dtype=U64))[None]).reshape(-1)


def uniforms(keys: np.ndarray, steps: int) -> Tensor:
    """[N, steps] numbers in [0, 1) for samples with keys [N]."""
    mixed = _mix(keys[:, None] + _mix(np.arange(1, steps + 1, dtype=U64))[None])
    # 40 bits, so that no product with a number in double precision rounds up to that number
    return torch.from_numpy((mixed >> U64(24)).astype(np.float64) * 2.0**-40)
