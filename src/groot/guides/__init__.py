"""Guides by name: re-scorers of next tokens, and choosers among whole samples.

A new guide is one file here, one line in the table, and one maker in
`tests/guides/test_contract.py`.
"""

from typing import Any

from groot.guides.args import Args
from groot.guides.best_of_n import BestOfN
from groot.guides.cd import Cd
from groot.guides.deal import Deal
from groot.guides.farma import Farma
from groot.guides.grammar import Grammar
from groot.guides.guide import Chooser, Guide, Prefixes, SumOfGuides, Written
from groot.guides.implicit import Implicit
from groot.guides.mbr import Mbr
from groot.guides.pargs import Pargs
from groot.guides.rad import Rad
from groot.registry import Registry

# Each is a subclass of Guide or of Chooser, and made of what its docstring says.
GUIDES: Registry[Any] = Registry(
    "guide",
    {
        "args": Args,
        "pargs": Pargs,
        "cd": Cd,
        "rad": Rad,
        "farma": Farma,
        "implicit": Implicit,
        "deal": Deal,
        "grammar": Grammar,
        "best_of_n": BestOfN,
        "mbr": Mbr,
    },
)

__all__ = ["GUIDES", "Chooser", "Guide", "Prefixes", "SumOfGuides", "Written"]
