"""The candidates of a text from what was found in each of its windows."""

from __future__ import annotations

from collections.abc import Sequence

from groot.search.found import Found, best_sums
from groot.targets import LabelFormat
from groot.targets.windows import Window
from groot.types import Candidate, Example, Gold

Searches = list[Found]  # what was found in each window of a text


def candidates_of(
    form: LabelFormat, example: Example, cut: Sequence[Window], searches: Searches, k: int
) -> tuple[list[Candidate], tuple[float, ...] | None]:
    """The first k candidates of a text, and a guide's scores where it ordered them.

    The windows of a text count as independent, so the log_p of the whole is the sum of theirs.
    """
    scores = searches[0].scores and tuple(searches[0].scores[:k])
    if len(cut) == 1:
        pairs = zip(searches[0].paths[:k], searches[0].log_p[:k], strict=True)
        return [
            Candidate(form.text(path), form.output(example, path), log_p) for path, log_p in pairs
        ], scores
    candidates: dict[Gold, Candidate] = {}
    sums: list[float] = []
    for ranks, total in best_sums([search.scores or search.log_p for search in searches], k):
        paths = [search.paths[rank] for search, rank in zip(searches, ranks, strict=True)]
        log_p = sum(search.log_p[rank] for search, rank in zip(searches, ranks, strict=True))
        outputs: list[Gold] = []
        for window, path in zip(cut, paths, strict=True):
            output_of = form.output(window.example, path)
            assert output_of is not None  # search writes legal paths only
            outputs.append(output_of)
        output = form.merge(example, cut, outputs)
        if output not in candidates:
            target = " ".join(form.text(path) for path in paths)
            candidates[output] = Candidate(target, output, log_p)
            sums.append(total)
    return list(candidates.values()), None if scores is None else tuple(sums)
