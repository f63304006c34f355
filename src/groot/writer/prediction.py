"""Predictions: the candidates of a search in the order of choice, with calibrated probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from groot.evaluation.calibration_map import Calibration
from groot.guides.guide import Chooser, Guide
from groot.outputs.choose import Choice
from groot.outputs.items import Item, items_of
from groot.outputs.marginals import Marginals, filled_in
from groot.search.found import Found
from groot.search.label_search import MAX_WIDTH
from groot.types import Candidate
from groot.writer.notation import Answer, Asked


@dataclass(frozen=True, slots=True)
class PredictSettings:
    """What is asked of predictions.

    Args:
        top_k: candidates per text, best first.
        choose: "top" orders by log_p; "mbr" by expected reward.
        reward: what "mbr" maximises; None is what the writer was optimised for.
        mbr_candidates: "mbr" chooses among at least so many.
        guide: steers the search. Of a labeler it needs a reward model of the labeler's own
            targets; candidates are then searched and ordered by log_p and its rewards, see
            `steered_search`; "mbr" takes softmax of this score for a candidate's probability.
            Probabilities that are told stay the writer's own.
        guide_width: prefixes that a guided search keeps, top_k at least; 1 is greedy.
        probability_candidates: at least so many are searched for the probabilities; only those
            asked for are proven to be the likeliest. 0 searches no more than the others ask for;
            of a single candidate no probability of a span can be told, and it is None.
        calibrated: True maps probabilities by the writer's calibration, False leaves them the
            model's own; None maps where there is a calibration.
        exact: whether candidates are searched until they are proven to be the most probable;
            False takes what the first search finds, proven or not.
        seed: of what a guide draws.
        batch_size: texts searched together.
    """

    top_k: int = 1
    choose: Choice = "top"
    reward: Sequence[str] | None = None
    mbr_candidates: int = 16
    guide: Guide | Chooser | None = None
    guide_width: int = 4
    probability_candidates: int = 16
    calibrated: bool | None = None
    exact: bool = True
    seed: int = 0
    batch_size: int = 64

    @property
    def n_candidates(self) -> int:
        """Candidates that are searched for what is told of a text."""
        return self.top_k if self.choose == "top" else max(self.top_k, self.mbr_candidates)

    @property
    def asked(self) -> Asked:
        """The same as a search takes it."""
        return Asked(
            self.n_candidates,
            searched=max(self.n_candidates, self.probability_candidates),
            max_width=MAX_WIDTH if self.exact else 0,
            with_marginals=True,
            guide=self.guide,
            guide_width=self.guide_width,
            seed=self.seed,
            batch_size=self.batch_size,
        )


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a writer says of one text.

    Args:
        candidates: best first; their spans hold probabilities.
        covered: probability of all candidates that were searched, in [0, 1]: what of the model's
            mass the probabilities rest on. None where that is not known.
        probabilities: of each span, or class, that a searched candidate says; calibrated where
            that was asked for.
        marginals: the model's own, with bounds.
        searches: what was found in each window of the text; nothing where a guide steered.
    """

    candidates: list[Candidate]
    covered: float | None = None
    probabilities: Mapping[Item, float] = field(default_factory=dict)
    marginals: Marginals | None = None
    searches: tuple[Found, ...] = ()

    @property
    def exact(self) -> bool | None:
        """Whether the candidates are proven to be the most probable; None where a guide steered.

        With "mbr", whether those are that it chose among; of a long text, those of each window.
        """
        return all(search.exact for search in self.searches) if self.searches else None


def prediction_of(
    answer: Answer, ranked: list[Candidate], settings: PredictSettings, mapped: Calibration | None
) -> Prediction:
    """The prediction that an answer and the order of choice make.

    Args:
        ranked: the answer's candidates in the order of choice.
        mapped: what maps the model's probabilities; None leaves them its own.
    """
    if answer.marginals is None:
        return Prediction(ranked[: settings.top_k], searches=answer.searches)
    own = answer.marginals
    items = list(own.of)
    values = [marginal.probability for marginal in own.of.values()]
    if mapped is not None:
        in_likeliest = set(items_of(answer.likeliest))
        values = mapped(values, [item in in_likeliest for item in items]).tolist()
    is_alone = settings.asked.searched == 1  # its spans have a share of one, always
    probabilities = {} if is_alone else dict(zip(items, values, strict=True))
    candidates = [filled_in(candidate, probabilities) for candidate in ranked[: settings.top_k]]
    return Prediction(candidates, own.covered, probabilities, own, answer.searches)


def weighed(answer: Answer) -> list[Candidate]:
    """The candidates with a guide's scores, where it ordered them, for their log_p."""
    if answer.scores is None:
        return answer.candidates
    return [
        dataclasses.replace(candidate, log_p=score)
        for candidate, score in zip(answer.candidates, answer.scores, strict=True)
    ]


def with_log_p(ranked: Sequence[Candidate], answer: Answer) -> list[Candidate]:
    """The candidates in the order of `ranked`, with the log_p that the answer has for them."""
    log_p = {candidate.target: candidate.log_p for candidate in answer.candidates}
    return [dataclasses.replace(candidate, log_p=log_p[candidate.target]) for candidate in ranked]
