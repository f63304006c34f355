"""The rows of the table of guides, by name, made of a generator, reward models and tuned models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from groot.errors import ConfigError, nearest
from groot.evaluation.diversity import rouge_l
from groot.guides import GUIDES, Chooser, Guide, Listed, Materials
from groot.guides.making import lack_of
from groot.guides.rewarded import Transform
from groot.models.text_model import TextModel
from groot.reward_models.folders import AnyRewardModel
from groot.reward_models.prefix_model import RewardModel
from groot.reward_models.retokenising import Retokenising, has_same_tokens
from groot.reward_models.reward_compositions import RewardEnsemble
from groot.rewards.compose import OwnPart, Reward
from groot.studies.counted import Counted, CountedRewardModel, CountedTexts, CountedWriter
from groot.studies.guide_writing import Entry
from groot.types import Candidate, Example
from groot.writer.generator import Generator

# Rows that are no guides, with their titles: the frozen generator alone, and tuned ones.
UNGUIDED = {"top_k": "top-k sampling", "greedy": "greedy"}
TUNED = {"dpo": "DPO-tuned", "grpo": "GRPO-tuned"}
IMPLICIT_IN = "dpo"  # the tuned generator that holds an implicit reward


@dataclass(frozen=True)
class EntrySettings:
    """How the rows write; each guide takes the settings that it has.

    Args:
        weights: nats per unit of reward, by guide; the guide's own where it is not named.
        top_k: tokens that unguided and tuned models draw from, and that guides re-score which
            would re-score the whole vocabulary.
        n_candidates: tokens that the other guides re-score; None: each guide's own number.
        n_samples: that best-of-n and MBR choose among.
        lookahead: tokens that DeAL writes on.
        beta: of the DPO-tuned model, for the implicit guide.
        transform: of the rewards of guides of next tokens, see `RewardGuide`.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    top_k: int = 10
    n_candidates: int | None = None
    n_samples: int = 10
    lookahead: int = 4
    beta: float = 0.1
    transform: Transform = "none"

    def of(self, name: str) -> dict[str, Any]:
        """The settings of a guide in `GUIDES`."""
        guide: type[Listed] = GUIDES[name]
        defaults = guide.setting_defaults()
        offered: dict[str, Any] = {
            "n_samples": self.n_samples,
            "lookahead": self.lookahead,
            "beta": self.beta,
            "transform": self.transform,
            "n_candidates": self.n_candidates or defaults.get("n_candidates") or self.top_k,
        }
        if name in self.weights:
            offered["weight"] = self.weights[name]
        return {setting: value for setting, value in offered.items() if setting in defaults}


@dataclass(frozen=True)
class Contenders:
    """A frozen generator and what may steer it or stand beside it.

    Args:
        generator: the frozen one.
        reward_models: by kind; with other tokens than the generator they read the text.
        tuned: generators tuned from it, by objective.
        folders: where each reward model and tuned generator is from, for the record; several of
            an ensemble.
        settings: how the rows write.
    """

    generator: Generator
    reward_models: Mapping[str, AnyRewardModel] = field(default_factory=dict)
    tuned: Mapping[str, Generator] = field(default_factory=dict)
    folders: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    settings: EntrySettings = field(default_factory=EntrySettings)

    def default_rows(self) -> list[str]:
        """The rows that can be made and do not cost too much, in the published order."""
        return [name for name in self._possible() if not _is_costly(name)]

    def left_out(self) -> list[str]:
        """The rows that can be made, but only where they are named, because they cost too much."""
        return [name for name in self._possible() if _is_costly(name)]

    def _possible(self) -> Iterator[str]:
        return (name for name in row_titles() if self.lack(name) is None)

    def lack(self, name: str) -> str | None:
        """What a row lacks, in words; None where it can be made."""
        if name in UNGUIDED:
            return None
        if name in TUNED:
            return (
                None if name in self.tuned else f"a generator tuned with {name}: --tuned {name}=DIR"
            )
        return lack_of(
            GUIDES[name],
            kinds=self.reward_models,
            has_tuned=IMPLICIT_IN in self.tuned,
            has_reward=True,
        )


def row_titles() -> dict[str, str]:
    """The titles of all rows by name, in the published order."""
    guides = {name: guide.title for name, guide in GUIDES.items()}
    return {**UNGUIDED, **guides, **TUNED}


def weighted() -> list[str]:
    """The guides that have a weight."""
    return [name for name, guide in GUIDES.items() if "weight" in guide.setting_defaults()]


def _is_costly(name: str) -> bool:
    return name in GUIDES and GUIDES[name].is_costly


def check_names(names: Sequence[str], contenders: Contenders) -> None:
    """Refuse rows that do not exist or cannot be made, all together.

    Raises:
        ConfigError: with a line for each.
    """
    known = list(row_titles())
    wrong = []
    for name in names:
        if name not in known:
            wrong.append(f"no guide {name!r}.{nearest(name, known)} Known: {', '.join(known)}")
        elif lack := contenders.lack(name):
            wrong.append(f"{name} needs {lack}")
    wrong += [
        f"a weight for {name!r}, which has none. Weighted: {', '.join(weighted())}"
        for name in contenders.settings.weights
        if name not in weighted()
    ]
    if wrong:
        raise ConfigError("\n  ".join(["These guides cannot be used:", *wrong]))


def make_entry(name: str, contenders: Contenders) -> Entry:
    """The row of a name.

    A new entry counts its costs from 0.

    Raises:
        ConfigError: if the row does not exist, or lacks something.
    """
    check_names([name], contenders)
    generator, top_k = contenders.generator, contenders.settings.top_k
    title = row_titles()[name]
    if name == "greedy":
        return Entry(generator, temperature=0.0, title=title, settings={"temperature": 0.0})
    if name in UNGUIDED or name in TUNED:
        writer = contenders.tuned.get(name, generator)
        settings = {"top_k": top_k, **_origin(contenders, name)}
        return Entry(writer, top_k=top_k, title=title, settings=settings)
    return _guided(name, contenders, title)


def _guided(name: str, contenders: Contenders, title: str) -> Entry:
    """The row of a guide, with everything that it is made of counted."""
    generator = contenders.generator
    listed: type[Listed] = GUIDES[name]
    writer = CountedWriter(generator.model)
    costs: list[Counted] = []
    record: dict[str, Any] = {}
    judge, tuned = None, None
    kind = next((kind for kind in listed.kinds if kind in contenders.reward_models), None)
    if kind is not None:
        judge, costs = counted_in_ids_of(contenders.reward_models[kind], generator)
        record = {"kind": kind, **_origin(contenders, kind)}
    elif listed.needs == "tuned model":
        tuned = CountedWriter(contenders.tuned[IMPLICIT_IN].model)
        costs, record = [tuned], _origin(contenders, IMPLICIT_IN)
    materials = Materials(
        cast(TextModel, writer),
        generator.prompts,
        judge,
        cast(TextModel | None, tuned),
        reward=similarity(),
    )
    guide = listed.made_of(materials, **contenders.settings.of(name))
    assert isinstance(guide, (Guide, Chooser))
    temperature, top_k = 1.0, contenders.settings.top_k
    settings: dict[str, Any] = {"guide": guide.name, **guide.settings, **record}
    if isinstance(guide, Guide):
        temperature = guide.temperature
    if isinstance(guide, Guide) and guide.n_candidates is not None:
        return Entry(generator, guide, temperature, None, costs, [writer], title, settings)
    settings["top_k"] = top_k
    return Entry(generator, guide, temperature, top_k, costs, [writer], title, settings)


def counted_in_ids_of(model: AnyRewardModel, generator: Generator) -> tuple[Any, list[Counted]]:
    """A reward model in the generator's ids, and what counts its work.

    With other tokens, or as a classifier, it reads every prefix anew as text.
    """
    if isinstance(model, RewardEnsemble):
        members = [
            counted_in_ids_of(member, generator)  # type: ignore[arg-type]
            for member in model.models
        ]
        judges = [judge for judge, _ in members]
        ensemble = RewardEnsemble(judges, how=model.how, penalty=model.penalty)
        return ensemble, [counted for _, costs in members for counted in costs]
    if isinstance(model, RewardModel) and has_same_tokens(model, generator.prompts):
        counted = CountedRewardModel(model)
        return counted, [counted]
    texts = CountedTexts(model)
    return Retokenising(texts, generator.prompts), [texts]


def similarity() -> Reward:
    """What MBR maximises here: Rouge-L of a text with each of the other samples.

    >>> written = Candidate("play it", "play it")
    >>> similarity().score([Example("", reference="play that")], [[written]])
    [[0.5]]
    """
    return Reward([OwnPart("rouge_l", _rouge_l)])


def _rouge_l(example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
    return [rouge_l(candidate.text, example.reference or "") for candidate in candidates]


def _origin(contenders: Contenders, name: str) -> dict[str, Any]:
    """The folder of a model; of an ensemble, all folders, and how they are made into one."""
    record: dict[str, Any] = {}
    if name in contenders.folders:
        record["folder"] = ", ".join(map(str, contenders.folders[name]))
    model = contenders.reward_models.get(name)
    if isinstance(model, RewardEnsemble):
        record |= {"ensemble": model.how, "penalty": model.penalty}
    return record
