"""Guides by name: re-scorers of next tokens, and choosers among whole samples.

A new guide is one file here, one line in the table, and one maker in
`tests/guides/test_contract.py`. Its class says its title, what it is made of, the kinds of reward
model that it takes and whether it steers labels (`Listed`); commands, tables and saved guides ask
the class, and nothing else knows of it.
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
from groot.guides.listed import Listed
from groot.guides.materials import Materials
from groot.guides.mbr import Mbr
from groot.guides.pargs import Pargs, PargsGreedy
from groot.guides.rad import Rad
from groot.registry import Registry

# In the order of the published table; others stand behind.
GUIDES: Registry[Any] = Registry(
    "guide",
    {
        "best_of_n": BestOfN,
        "mbr": Mbr,
        "args": Args,
        "cd": Cd,
        "rad": Rad,
        "pargs": Pargs,
        "pargs_greedy": PargsGreedy,
        "farma": Farma,
        "implicit": Implicit,
        "deal": Deal,
        "grammar": Grammar,
    },
)

__all__ = [
    "GUIDES",
    "Chooser",
    "Guide",
    "Listed",
    "Materials",
    "Prefixes",
    "SumOfGuides",
    "Written",
]
