"""What was done of a file of predictions so far, and the lines that tell it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class PredictedFile:
    """What was done so far.

    Args:
        texts: lines of out, those of earlier starts included.
        continued_from: lines of out that were there already.
        proven: lines of this start whose candidates are proven to be the most probable; None where
            nothing is proven: of free text, and under a guide.
        bad_lines: input lines that could not be read.
        first_reason: the first of them.
        spans: spans, or classes, that the first candidates said, of this start.
        dropped: of them below their threshold.
        dropped_labels: how many of those are of a label without a threshold, by label.
        errors: the file that lists them; None where there are none.
        out: the file of predictions.
        seconds: of this start.
        labelling_s: the part of it behind loading and checking: reading, labelling and writing
            the texts that are new.
    """

    texts: int = 0
    continued_from: int = 0
    proven: int | None = None
    bad_lines: int = 0
    first_reason: str = ""
    spans: int = 0
    dropped: int = 0
    dropped_labels: dict[str, int] = field(default_factory=dict)
    errors: Path | None = None
    out: Path | None = None
    seconds: float = 0.0
    labelling_s: float = 0.0

    @property
    def texts_per_second(self) -> float | None:
        """Speed of labelling; None where this start labelled nothing."""
        new = self.texts - self.continued_from
        return new / self.labelling_s if new and self.labelling_s > 0 else None

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "texts": self.texts,
            "continued_from": self.continued_from,
            "proven": self.proven,
            "bad_lines": self.bad_lines,
            "errors": None if self.errors is None else str(self.errors),
            "out": str(self.out),
            "spans": self.spans,
            "dropped": self.dropped,
            "dropped_labels": self.dropped_labels,
            "seconds": round(self.seconds, 3),
            "texts_per_second": self.texts_per_second and round(self.texts_per_second, 3),
        }


def dropped_line(done: PredictedFile) -> str:
    """What thresholds did, in a line.

    >>> dropped_line(PredictedFile(spans=9, dropped=3, dropped_labels={"song": 2}))
    'dropped 3 of 9 spans: 1 below its threshold, 2 of labels without one (song)'
    """
    others = sum(done.dropped_labels.values())
    below = done.dropped - others
    parts = [f"{below} below {'its' if below == 1 else 'their'} threshold"]
    if others:
        parts.append(f"{others} of labels without one ({', '.join(sorted(done.dropped_labels))})")
    return f"dropped {done.dropped} of {done.spans} spans: {', '.join(parts)}"


def speed_line(done: PredictedFile) -> str:
    """How fast texts were labelled or written, in a line.

    >>> speed_line(PredictedFile(texts=3000, continued_from=1000, labelling_s=2.5))
    'predicted 2,000 texts in 2.5 s: 800 texts per second'
    >>> speed_line(PredictedFile(texts=3000, proven=2999, labelling_s=2.5))
    'predicted 3,000 texts in 2.5 s: 1,200 texts per second, 2,999 of them proven'
    """
    new = done.texts - done.continued_from
    rate = done.texts_per_second or 0.0
    shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    line = f"predicted {new:,} texts in {done.labelling_s:.1f} s: {shown} texts per second"
    if done.proven is None:
        return line
    return f"{line}, {'all' if done.proven == new else f'{done.proven:,}'} of them proven"
