"""groot: generative labelers and text generators, trained for the metric you care about.

>>> from groot import Span
>>> Span(0, 4, "artist").label
'artist'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groot.recipes.groot_trainer import GrootConfig, GrootTrainer
    from groot.types import Candidate, Example, Span
    from groot.writer.folders import load
    from groot.writer.generator import Generator
    from groot.writer.labeler import Labeler

__version__ = "0.1.0"

# Imported on first use: `import groot` and `groot --help` must not wait for torch.
_HOMES = {
    "Candidate": "groot.types",
    "Example": "groot.types",
    "Generator": "groot.writer.generator",
    "GrootConfig": "groot.recipes.groot_trainer",
    "GrootTrainer": "groot.recipes.groot_trainer",
    "Labeler": "groot.writer.labeler",
    "Span": "groot.types",
    "load": "groot.writer.folders",
}

__all__ = [
    "Candidate",
    "Example",
    "Generator",
    "GrootConfig",
    "GrootTrainer",
    "Labeler",
    "Span",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'groot' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
