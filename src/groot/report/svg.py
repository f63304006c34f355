"""matplotlib figures as inline SVG that takes its colours from the page, light or dark."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Drawn in these, and replaced by the page's own variables: nothing else is drawn so dark.
INK, MUTED, GRID, BEFORE, AFTER, WRONG, PAPER = (
    f"#0{place}0{place}0{place}" for place in range(1, 8)
)
REM_PER_INCH = 7.4  # keeps the type of every plot near that of the page
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--rule",
    BEFORE: "--before",
    AFTER: "--after",
    WRONG: "--wrong",
    PAPER: "--paper",
}
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "svg.hashsalt": "groot",  # the same run gives the same bytes
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.titlepad": 8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "text.parse_math": False,  # a label may hold a dollar sign
}


@dataclass(eq=False)
class Drawing:
    """A figure with one pair of axes; `svg` holds the text after the `with` block."""

    name: str
    figure: Figure
    axes: Axes
    svg: str = ""


@contextmanager
def drawing(
    name: str, *, width: float = 4.4, height: float = 3.1, rem_at_least: float = 0
) -> Iterator[Drawing]:
    """Draw into `axes`; sizes are in inches of the figure, which the page scales to fit.

    Args:
        name: unique on the page; the ids inside the SVG begin with it.
        rem_at_least: width on the page below which it is scrolled, not shrunk.
    """
    # A label in a script that the default font lacks would warn; the browser has other fonts.
    with warnings.catch_warnings(), matplotlib.rc_context(_STYLE):
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
        figure = Figure(figsize=(width, height), layout="constrained")
        canvas = Drawing(name, figure, figure.add_subplot())
        yield canvas
        out = io.StringIO()
        figure.savefig(
            out,
            format="svg",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
        look = f"max-width: {width * REM_PER_INCH:.0f}rem; min-width: {rem_at_least:.0f}rem"
        canvas.svg = _inline(out.getvalue(), name, look)


def _inline(svg: str, name: str, look: str) -> str:
    """Only the <svg> element, without style sheet or metadata, ids made unique on the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    head, _, body = svg.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'href="#', f'href="#{name}-', body)
    body = body.replace("url(#", f"url(#{name}-")
    for colour, variable in _VARIABLES.items():
        body = body.replace(f": {colour}", f": var({variable})")
    about = f'role="img" aria-labelledby="{name}-caption" style="{look}"'
    return f"<svg {box.group() if box else ''} {about}>{body}"
