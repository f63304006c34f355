"""From folders that a user names to the models that a study of guides is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from groot.data import read_examples
from groot.data.benchmarks import Split
from groot.errors import ConfigError, DataError, ModelError
from groot.reward_models.folders import AnyRewardModel, open_reward_model
from groot.reward_models.reward_compositions import How, RewardEnsemble
from groot.studies.guide_entries import TUNED, Contenders, EntrySettings
from groot.types import Example
from groot.writer.folders import holds_generator, load_generator, load_labeler
from groot.writer.generator import Generator


def open_generator(folder: str | Path) -> Generator:
    """The generator in a folder.

    Raises:
        ModelError: if there is none, or it holds a labeler.
    """
    if holds_generator(folder):
        return load_generator(folder)
    load_labeler(folder)  # where there is none either, it says what the folder lacks
    raise ModelError(
        f"{folder} holds a labeler, where a generator of free text is wanted.\n"
        "  Train one on prompts and references with groot train."
    )


def open_reward_models(
    folders: Sequence[str | Path], *, ensemble: How | None = None, penalty: float = 0.5
) -> tuple[dict[str, AnyRewardModel], dict[str, Sequence[Path]]]:
    """Reward models by kind, and the folders of each.

    Args:
        folders: as for `open_reward_model`.
        ensemble: how several of one kind are made into one; None refuses them.
        penalty: of an ensemble that counts its uncertainty.

    Raises:
        ConfigError: for two of one kind that are not to be combined, or nothing to combine.
        ModelError: for a folder that holds none.
    """
    models: dict[str, list[AnyRewardModel]] = {}
    places: dict[str, list[Path]] = {}
    for folder in folders:
        model = open_reward_model(folder)
        if model.kind in models and ensemble is None:
            raise ConfigError(
                f"{folder} and {places[model.kind][0]} both hold a reward model of kind"
                f" {model.kind!r}. Name one of each kind, or combine them: --ensemble mean."
            )
        models.setdefault(model.kind, []).append(model)
        places.setdefault(model.kind, []).append(Path(folder))
    if ensemble is not None and all(len(members) < 2 for members in models.values()):
        raise ConfigError("--ensemble combines reward models of one kind: name two or more.")
    made = {
        kind: members[0]
        if ensemble is None or len(members) == 1
        else RewardEnsemble(members, how=ensemble, penalty=penalty)
        for kind, members in models.items()
    }
    return made, {kind: tuple(named) for kind, named in places.items()}


def open_tuned(folders: Mapping[str, str]) -> dict[str, Generator]:
    """Tuned generators by objective.

    Raises:
        ConfigError: for an objective that is none.
    """
    unknown = [name for name in folders if name not in TUNED]
    if unknown:
        raise ConfigError(f"tuned with {', '.join(unknown)}? Known: {', '.join(TUNED)}.")
    return {name: open_generator(folder) for name, folder in folders.items()}


def open_contenders(
    folder: str | Path,
    *,
    reward_models: Sequence[str | Path] = (),
    tuned: Mapping[str, str] | None = None,
    ensemble: How | None = None,
    penalty: float = 0.5,
    settings: EntrySettings | None = None,
) -> Contenders:
    """A frozen generator, and everything that steers it or stands beside it.

    Args:
        folder: of the frozen generator.
        reward_models: folders that groot reward-model wrote, or of sequence classifiers.
        tuned: folders of tuned generators, by objective.
        ensemble, penalty: as in `open_reward_models`.
        settings: how the rows write.
    """
    generator = open_generator(folder)
    models, places = open_reward_models(reward_models, ensemble=ensemble, penalty=penalty)
    tuned_places = {name: (Path(place),) for name, place in (tuned or {}).items()}
    return Contenders(
        generator,
        models,
        open_tuned(tuned or {}),
        {**places, **tuned_places},
        settings or EntrySettings(),
    )


def read_prompts(
    where: str | Path, *, split: Split | None = None, limit: int | None = None
) -> list[Example]:
    """The prompts of a file or a benchmark, with whatever else stands beside them.

    Args:
        where: as for `read_examples`; references may be there or not.
        split: of a benchmark or a folder of splits.
        limit: prompts at most, the first ones.

    Raises:
        DataError: if a row cannot be read, or there is none.
    """
    rows = read_examples(where, split=split)
    if rows.problems:
        raise DataError(
            "\n  ".join(
                [
                    f"{len(rows.problems)} of {rows.n_rows} rows cannot be used:",
                    *map(str, rows.problems[:10]),
                ]
            )
        )
    return rows.examples[:limit]
