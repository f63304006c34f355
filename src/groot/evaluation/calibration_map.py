"""Maps from a model's probabilities to ones that mean what they say, fitted on data with gold.

temperature  p becomes 1 / (1 + exp(-logit(p) / T)): one number, for little data
isotonic     any rising function of p: for more data
none         p stays: where neither is better on data that it was not fitted on

Kept as JSON beside the model.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from groot.errors import DataError, ModelError, ShapeError
from groot.evaluation.calibration import calibration_error, calibration_error_of_chance

MapKind = Literal["none", "temperature", "isotonic"]

CALIBRATION_FILE = "calibration.json"
VERSION = 1
_LEAST = 1e-6  # probabilities nearer to 0 or 1 have no useful logit
_LOG_TEMPERATURES = (-3.0, 4.0)  # searched


@dataclass(frozen=True, slots=True)
class Map:
    """A rising function from probabilities to probabilities.

    Args:
        kind: of the map.
        temperature: of kind "temperature"; above 1 makes probabilities less sure.
        x: of kind "isotonic": rising probabilities of the model; between them the map is straight.
        y: what each x becomes, not falling.

    >>> Map("temperature", temperature=2.0)([0.9, 0.5]).tolist()
    [0.75, 0.5]
    """

    kind: MapKind = "none"
    temperature: float = 1.0
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    def __call__(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """The probabilities that these of the model become, in the same order and shape."""
        p = np.asarray(probabilities, dtype=float)
        if self.kind == "temperature":
            mapped: NDArray[np.float64] = expit(_logit(p) / self.temperature)
            return mapped
        return np.interp(p, self.x, self.y) if self.kind == "isotonic" else p


# of each kind, and of each number of `proper_scores`
Scores = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fitted maps: one for what the likeliest candidate of a text says, one for everything else.

    That the likeliest candidate says it makes a span more often right than another one of the same
    probability, so one map for both would be true of neither.

    Args:
        likeliest: of spans, or classes, that the likeliest candidate says.
        others: of those that only other candidates say.
        candidates: how many candidates per text the probabilities came from.
        n_texts: texts that it was fitted on.
        n_likeliest: spans, or classes, that `likeliest` was fitted on.
        n_others: those that `others` was fitted on.
        data: where they are from.
        scores: "likeliest" and "others": for each kind of map, numbers on texts that it was not
            fitted on (see `fit_calibration`).
    """

    likeliest: Map = Map()
    others: Map = Map()
    candidates: int = 0
    n_texts: int = 0
    n_likeliest: int = 0
    n_others: int = 0
    data: str = ""
    scores: Mapping[str, Scores] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Of the maps, so that thresholds of one are not used with another."""
        maps = repr((self.likeliest, self.others))
        return hashlib.sha256(maps.encode()).hexdigest()[:16]

    def __call__(self, probabilities: ArrayLike, is_likeliest: ArrayLike) -> NDArray[np.float64]:
        """The probabilities [N] that these [N] of the model become.

        Args:
            is_likeliest: [N] whether the likeliest candidate of the text says it.

        >>> sure = Calibration(others=Map("temperature", temperature=2.0))
        >>> sure([0.9, 0.9], [True, False]).tolist()
        [0.9, 0.75]
        """
        p = np.asarray(probabilities, dtype=float)
        return np.where(np.asarray(is_likeliest, dtype=bool), self.likeliest(p), self.others(p))

    def save(self, folder: Path) -> None:
        """Write `calibration.json` into a model's folder."""
        text = json.dumps({"version": VERSION, **asdict(self)}, indent=2, allow_nan=False)
        (folder / CALIBRATION_FILE).write_text(text + "\n", encoding="utf-8")


def read_calibration(folder: Path) -> Calibration | None:
    """The map in a model's folder; None where there is none.

    Raises:
        ModelError: if the file is there and is no such map.
    """
    path = folder / CALIBRATION_FILE
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        version = stored.pop("version")
        for name in ("likeliest", "others"):
            curve = {axis: tuple(map(float, stored[name][axis])) for axis in "xy"}
            stored[name] = Map(**{**stored[name], **curve})
        read = Calibration(**stored)
        wrong = f"version {version!r}; this groot reads version {VERSION}"
        if version == VERSION:
            wrong = _mistakes(read.likeliest) or _mistakes(read.others)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        wrong = repr(error)
    if wrong:
        raise ModelError(
            f"{path}: no calibration ({wrong}). Delete it, then make it again: groot calibrate."
        )
    return read


def _mistakes(read: Map) -> str:
    if read.kind not in get_args(MapKind):
        return f"kind {read.kind!r}"
    if not (isinstance(read.temperature, int | float) and 0 < read.temperature < math.inf):
        return f"temperature {read.temperature!r}"
    x, y = np.array(read.x), np.array(read.y)
    is_curve = len(x) == len(y) and bool((np.diff(x) > 0).all() and (np.diff(y) >= 0).all())
    in_range = bool(((x >= 0) & (x <= 1)).all() and ((y >= 0) & (y <= 1)).all())
    if not (is_curve and in_range) or (read.kind == "isotonic" and not read.x):
        return "x and y are no rising curve of probabilities"
    return ""


def fit_calibration(
    probabilities: ArrayLike,
    is_right: ArrayLike,
    texts: ArrayLike,
    is_likeliest: ArrayLike,
    *,
    folds: int = 5,
    seed: int = 0,
    candidates: int = 0,
    data: str = "",
) -> Calibration:
    """Fit each kind of map and keep the one that does best on texts that it was not fitted on.

    Cross-validation: the texts are cut into folds, each kind is fitted on all folds but one and
    measured on that one. The kind with the lowest Brier score over all folds is fitted again on
    everything; but "none" stays where that is not better by more than one standard error of the
    difference, over texts. `scores` holds, for each kind and from the held-out folds only,
    `brier` (mean of (p - right)²), `log_loss` (nats), `calibration_error`, and as
    `calibration_error_of_chance` the calibration error that these probabilities would have by the
    accident of few examples if they were all true.

    Args:
        probabilities: [N] of the model, one for each span (or class) that its candidates say.
        is_right: [N] whether it is gold.
        texts: [N] which text each is of; a text is never in two folds.
        is_likeliest: [N] whether the likeliest candidate says it.
        folds: how many; fewer where there are fewer texts.
        seed: of the folds.
        candidates, data: kept in the result.

    Raises:
        DataError: where there is nothing to learn: fewer than 2 texts, or all that the likeliest
            candidates say is right, or all is wrong.

    Source: Zadrozny and Elkan, Transforming Classifier Scores into Accurate Multiclass Probability
    Estimates, 2002 (isotonic); Guo et al., On Calibration of Modern Neural Networks, 2017
    (temperature), here on the logit of a single probability.
    """
    p, right = np.asarray(probabilities, dtype=float), np.asarray(is_right, dtype=float)
    text, is_first = np.asarray(texts), np.asarray(is_likeliest, dtype=bool)
    if not len(p) == len(right) == len(text) == len(is_first):
        raise ShapeError(
            f"{len(p)} probabilities, {len(right)} of is_right, {len(text)} texts, "
            f"{len(is_first)} of is_likeliest."
        )
    n_texts, n_right, n_first = len(np.unique(text)), int(right[is_first].sum()), is_first.sum()
    if not _can_learn(right[is_first], text[is_first]):
        raise DataError(
            f"no calibration can be learnt from {n_texts} texts with {n_right} of {n_first} spans"
            " right.\n  Give more data, in which the model is right at times and wrong at times."
        )
    maps, scores = dict[str, Map](), dict[str, Scores]()
    for name, is_in in (("likeliest", is_first), ("others", ~is_first)):
        maps[name], scores[name] = _best_map(p[is_in], right[is_in], text[is_in], folds, seed)
    return Calibration(
        **maps,
        candidates=candidates,
        n_texts=n_texts,
        n_likeliest=int(n_first),
        n_others=int(len(p) - n_first),
        data=data,
        scores=scores,
    )


def _can_learn(right: NDArray[np.float64], texts: NDArray[Any]) -> bool:
    return len(np.unique(texts)) >= 2 and right.min() < right.max()


def _best_map(
    p: NDArray[np.float64],
    right: NDArray[np.float64],
    texts: NDArray[Any],
    folds: int,
    seed: int,
) -> tuple[Map, Scores]:
    """The kind of map that does best by cross-validation, fitted on everything, and all scores."""
    if not _can_learn(right, texts):
        return Map(), {}
    _, text = np.unique(texts, return_inverse=True)
    n_texts = int(text.max()) + 1
    fold_of = np.random.default_rng(seed).permutation(n_texts)[text] % min(folds, n_texts)
    kinds: tuple[MapKind, ...] = get_args(MapKind)
    held_out = {kind: p.copy() for kind in kinds}
    for fold in np.unique(fold_of):
        is_out = fold_of == fold
        for kind in kinds:
            held_out[kind][is_out] = fit_map(kind, p[~is_out], right[~is_out])(p[is_out])
    scores = {str(kind): proper_scores(values, right) for kind, values in held_out.items()}
    best = min(kinds, key=lambda kind: float(np.mean((held_out[kind] - right) ** 2)))
    gain = (p - right) ** 2 - (held_out[best] - right) ** 2
    of_texts = np.bincount(text, weights=gain)
    if of_texts.sum() <= math.sqrt(n_texts) * float(of_texts.std()):
        best = "none"
    return fit_map(best, p, right), scores


def proper_scores(p: NDArray[np.float64], right: NDArray[np.float64]) -> dict[str, float | None]:
    """Brier score, log loss in nats and calibration error of probabilities, and that of chance.

    >>> proper_scores(np.array([0.5, 0.5]), np.array([1.0, 0.0]))["brier"]
    0.25
    """
    sure = np.clip(p, _LEAST, 1 - _LEAST)
    log_loss = -np.mean(right * np.log(sure) + (1 - right) * np.log1p(-sure))
    chance = calibration_error_of_chance(p)
    return {
        "brier": float(np.mean((p - right) ** 2)),
        "log_loss": float(log_loss),
        "calibration_error": calibration_error(p, right),
        "calibration_error_of_chance": None if chance is None else chance.mean,
    }


def fit_map(kind: MapKind, p: NDArray[np.float64], right: NDArray[np.float64]) -> Map:
    """A map of one kind, fitted on probabilities [N] and whether each was right [N], 1.0 or 0.0.

    >>> fit_map("temperature", np.full(8, 0.9), np.array([1.0] * 6 + [0.0] * 2))([0.9]).round(2)
    array([0.75])
    """
    if kind == "temperature" and len(p):
        logits = _logit(p)

        def loss(log_t: float) -> float:
            scaled = logits / math.exp(log_t)
            return float(np.mean(np.logaddexp(0.0, scaled) - right * scaled))

        searched = minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded")
        return Map("temperature", temperature=math.exp(float(searched.x)))
    if kind == "isotonic" and len(p):
        from sklearn.isotonic import IsotonicRegression  # slow to import; only fitting needs it

        # as if one more had been right and one more wrong: nothing seen makes it quite certain
        least = 1.0 / (len(p) + 2)
        curve = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
        curve.fit(p, right)
        x, y = _without_repeats(curve.X_thresholds_.tolist(), curve.y_thresholds_.tolist())
        return Map("isotonic", x=x, y=y)
    return Map()


def _without_repeats(
    x: Sequence[float], y: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A curve whose x rise strictly; of the same x the last y stays."""
    curve = dict(zip(x, y, strict=True))
    return tuple(curve), tuple(curve.values())


def _logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    logits: NDArray[np.float64] = logit(np.clip(p, _LEAST, 1 - _LEAST))
    return logits


def as_report(calibration: Calibration) -> dict[str, Any]:
    """The numbers of a fit, without the curves.

    >>> as_report(Calibration())["likeliest"]
    {'kind': 'none', 'temperature': 1.0}
    """
    numbers = asdict(calibration)
    for name in ("likeliest", "others"):
        numbers[name] = {key: numbers[name][key] for key in ("kind", "temperature")}
    return numbers
