"""Guides by name: re-scorers of next tokens, and choosers among whole samples.

A new guide is one file here, one line in the table, and one maker in
`tests/search/guides/test_contract.py`.
"""

from typing import Any

from groot.registry import Registry
from groot.search.guides.args import Args
from groot.search.guides.best_of_n import BestOfN
from groot.search.guides.cd import Cd
from groot.search.guides.deal import Deal
from groot.search.guides.farma import Farma
from groot.search.guides.grammar import Grammar
from groot.search.guides.guide import Chooser, Guide, Prefixes, SumOfGuides, Written
from groot.search.guides.implicit import Implicit
from groot.search.guides.mbr import Mbr
from groot.search.guides.pargs import Pargs
from groot.search.guides.rad import Rad

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
