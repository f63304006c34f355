"""Guides by name, made of a generator, reward models and tuned models: for tables and for use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groot.errors import ConfigError, nearest
from groot.evaluation.diversity import rouge_l
from groot.evaluation.guide_table import ROWS
from groot.guides import GUIDES
from groot.guides.guide import Chooser, Guide
from groot.guides.rewarded import Transform
from groot.models.alternatives import position_limit
from groot.reward_models.classifier_reward import ClassifierReward
from groot.reward_models.folders import AnyRewardModel
from groot.reward_models.kinds import REWARD_KINDS
from groot.reward_models.prefix_model import RewardModel
from groot.reward_models.retokenising import Retokenising, has_same_tokens
from groot.reward_models.reward_compositions import RewardEnsemble
from groot.rewards.compose import OwnPart, Reward
from groot.studies.compare_guides import (
    Entry,
)
from groot.studies.counted import Counted, CountedRewardModel, CountedTexts, CountedWriter
from groot.types import Candidate, Example
from groot.writer.generator import Generator

# The kind of reward model that a guide of next tokens needs.
KIND_OF = {
    "args": "sequence",
    "pargs": "partial",
    "pargs_greedy": "partial",
    "cd": "value",
    "rad": "rad",
    "farma": "vocabulary",
}
JUDGES = ("best_of_n", "deal")  # any reward model will do, one of whole texts first
TUNED = ("dpo", "grpo")
WEIGHTED = (*KIND_OF, "implicit", "deal")
NAMES = tuple(ROWS)


@dataclass(frozen=True)
class Materials:
    """What guides are made of.

    Args:
        generator: the frozen one.
        reward_models: by kind; with other tokens than the generator they read the text.
        tuned: generators tuned from it, by objective: "dpo", "grpo".
        weights: nats per unit of reward, by guide; the guide's own where it is not named.
        folders: where each reward model and tuned model is from, for the record; several of an
            ensemble.
        top_k: tokens that unguided and tuned models draw from.
        n_candidates: tokens that guides with a reward model re-score; None: each guide's own.
        n_best: samples that best-of-n and MBR choose among.
        lookahead: tokens that DeAL writes on.
        beta: of the DPO-tuned model, for the implicit guide.
        transform: of the rewards of guides of next tokens, see `RewardGuide`.
    """

    generator: Generator
    reward_models: Mapping[str, AnyRewardModel] = field(default_factory=dict)
    tuned: Mapping[str, Generator] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    folders: Mapping[str, Path | Sequence[Path]] = field(default_factory=dict)
    top_k: int = 10
    n_candidates: int | None = None
    n_best: int = 10
    lookahead: int = 4
    beta: float = 0.1
    transform: Transform = "none"

    def available(self) -> list[str]:
        """The names of all rows that can be made, in the published order."""
        return [name for name in NAMES if self.missing(name) is None]

    def missing(self, name: str) -> str | None:
        """What a row lacks, in words; None where it can be made."""
        if name in KIND_OF and KIND_OF[name] not in self.reward_models:
            lack = f"a reward model of kind {KIND_OF[name]!r}"
            if any(isinstance(one, ClassifierReward) for one in self.reward_models.values()):
                lack += "; a sequence classifier is not causal, it judges whole texts"
            return lack
        if name in JUDGES and not self.reward_models:
            return "a reward model"
        if name == "implicit" and "dpo" not in self.tuned:
            return "a generator tuned with dpo"
        if name in TUNED and name not in self.tuned:
            return f"a generator tuned with {name}"
        return None


def check_names(names: Sequence[str], materials: Materials) -> None:
    """Refuse rows that do not exist or cannot be made, all together.

    Raises:
        ConfigError: with a line for each.
    """
    wrong = []
    for name in names:
        if name not in NAMES:
            wrong.append(f"no guide {name!r}.{nearest(name, NAMES)}")
        elif lack := materials.missing(name):
            wrong.append(f"{name} needs {lack}")
    unused = [name for name in materials.weights if name not in WEIGHTED]
    wrong += [
        f"a weight for {name!r}, which has none. Weighted: {', '.join(WEIGHTED)}" for name in unused
    ]
    if wrong:
        raise ConfigError("\n  ".join(["These guides cannot be used:", *wrong]))


def make_entry(name: str, materials: Materials) -> Entry:
    """The row of a name.

    A new entry counts its costs from 0.

    Raises:
        ConfigError: if the row does not exist, or lacks something.
    """
    check_names([name], materials)
    generator, top_k = materials.generator, materials.top_k
    weight = {"weight": materials.weights[name]} if name in materials.weights else {}
    if name == "top_k":
        return Entry(generator, top_k=top_k, settings={"top_k": top_k})
    if name == "greedy":
        return Entry(generator, temperature=0.0, settings={"temperature": 0.0})
    if name in TUNED:
        settings = {"top_k": top_k, **_origin(materials, name)}
        return Entry(materials.tuned[name], top_k=top_k, settings=settings)
    if name == "mbr":
        chooser = GUIDES["mbr"](similarity(), generator.prompts.text, n_samples=materials.n_best)
        return _with(generator, chooser, {"top_k": top_k}, top_k=top_k)
    if name == "implicit":
        tuned = CountedWriter(materials.tuned["dpo"].model)
        guide = GUIDES["implicit"](tuned, n_candidates=top_k, beta=materials.beta, **weight)
        return _with(generator, guide, _origin(materials, "dpo"), costs=[tuned])
    if name in JUDGES:
        kind: str = next(kind for kind in REWARD_KINDS if kind in materials.reward_models)
        judge, costs = counted_in_ids_of(materials.reward_models[kind], generator)
        more = {"kind": kind, **_origin(materials, kind)}
        if name == "deal":
            writer = CountedWriter(generator.model)
            made = GUIDES["deal"](
                writer,
                judge.rewards,
                lookahead=materials.lookahead,
                n_candidates=top_k,
                max_length=position_limit(generator.model),
                **weight,
            )
            return _with(generator, made, more, costs=costs, lm_costs=[writer])
        made = GUIDES["best_of_n"](judge.rewards, n_samples=materials.n_best)
        return _with(generator, made, {"top_k": top_k, **more}, top_k=top_k, costs=costs)
    kind = KIND_OF[name]
    judge, costs = counted_in_ids_of(materials.reward_models[kind], generator)
    own: dict[str, Any] = {"transform": materials.transform, **weight}
    if materials.n_candidates is not None:
        own["n_candidates"] = materials.n_candidates
    if name == "pargs_greedy":
        made = GUIDES["pargs"](judge, temperature=0.0, **own)
    else:
        made = GUIDES[name](judge, **own)
    return _with(generator, made, {"kind": kind, **_origin(materials, kind)}, costs=costs)


def counted_in_ids_of(model: AnyRewardModel, generator: Generator) -> tuple[Any, list[Counted]]:
    """A reward model in the generator's ids, and what counts its work.

    With other tokens, or as a classifier, it reads every prefix anew as text.
    """
    if isinstance(model, RewardEnsemble):
        parts = [counted_in_ids_of(one, generator) for one in model.models]  # type: ignore[arg-type]
        judges = [judge for judge, _ in parts]
        ensemble = RewardEnsemble(judges, how=model.how, penalty=model.penalty)
        return ensemble, [one for _, costs in parts for one in costs]
    if isinstance(model, RewardModel) and has_same_tokens(model, generator.prompts):
        counted = CountedRewardModel(model)
        return counted, [counted]
    texts = CountedTexts(model)
    return Retokenising(texts, generator.prompts), [texts]


def similarity() -> Reward:
    """What MBR maximises here: Rouge-L of a text with each of the other samples.

    >>> one = Candidate("play it", "play it")
    >>> similarity().score([Example("", reference="play that")], [[one]])
    [[0.5]]
    """
    return Reward([OwnPart("rouge_l", _rouge_l)])


def _rouge_l(example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
    return [rouge_l(one.text, example.reference or "") for one in candidates]


def _with(
    generator: Generator,
    guide: Guide | Chooser,
    more: Mapping[str, Any],
    *,
    top_k: int | None = None,
    costs: Sequence[Counted] = (),
    lm_costs: Sequence[CountedWriter] = (),
) -> Entry:
    settings = {"guide": guide.name, **getattr(guide, "settings", {}), **more}
    temperature = guide.temperature if isinstance(guide, Guide) else 1.0
    return Entry(generator, guide, temperature, top_k, costs, lm_costs, settings)


def _origin(materials: Materials, name: str) -> dict[str, Any]:
    """The folder and a mark that changes with its weights; of an ensemble, all folders, and how."""
    found = materials.folders.get(name)
    if found is None:
        return {}
    folders = [found] if isinstance(found, Path) else list(found)
    files = [path for folder in folders for path in sorted(folder.rglob("*.safetensors"))]
    marks = [f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in files]
    more: dict[str, Any] = {}
    if isinstance(model := materials.reward_models.get(name), RewardEnsemble):
        more = {"ensemble": model.how, "penalty": model.penalty}
    return {"folder": ", ".join(map(str, folders)), "files": marks, **more}


# Mean reward of a guide with a weight.
MeanReward = Callable[[str, float], float]


def choose_weights(
    names: Sequence[str],
    grid: Sequence[float],
    mean_reward: MeanReward,
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The weight of each guide with the highest mean reward on prompts kept for that.

    Rewards of different models have different scales, so one weight for all compares nothing.

    Args:
        names: guides that have a weight.
        grid: the weights that are tried.
        mean_reward: of a guide with a weight.

    Returns:
        the best weight of each, of equal ones the smallest; and everything that was tried.

    >>> choose_weights(["pargs"], [4.0, 1.0, 2.0], lambda name, weight: 3 - abs(weight - 2))
    ({'pargs': 2.0}, {'pargs': {'1': 2.0, '2': 3.0, '4': 1.0}})
    """
    best: dict[str, float] = {}
    tried: dict[str, dict[str, float]] = {}
    for name in names:
        values = {weight: mean_reward(name, weight) for weight in sorted(set(grid))}
        best[name] = max(values, key=lambda weight: (values[weight], -weight))
        tried[name] = {f"{weight:g}": value for weight, value in values.items()}
    return best, tried
