"""Tuning a generator with DPO or GRPO: the reference that guides of the frozen model stand beside.

DIR/model             the tuned generator, with its ledger
DIR/rounds/N          grpo: the weights after the last finished round, to continue from
DIR/results-tune.json what it was tuned with, and the measurement that chose the weights
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from groot.data.preferences import Preference, PreferenceSet
from groot.engine.events import OnEvent, ignore_events
from groot.engine.marks import Marks, mark_of_examples
from groot.errors import ConfigError
from groot.models.model_marks import mark_of_model
from groot.recipes.model_run import ModelRun, Results, RunPlace, make_model
from groot.recipes.run_marks import mark_of_preferences, settings_that_bind
from groot.recipes.tune_dpo import learn_dpo
from groot.recipes.tune_grpo import last_weights, learn_grpo
from groot.recipes.tune_settings import TuneSettings
from groot.recipes.tuning import Tuning, open_to_tune
from groot.rewards import Reward
from groot.studies.open_guides import open_generator
from groot.types import Example

RESULTS_FILE = "results-tune.json"


def tune_text(
    folder: str | Path,
    *,
    out: Path,
    settings: TuneSettings,
    preferences: PreferenceSet | Sequence[Preference] | None = None,
    examples: Sequence[Example] | None = None,
    reward: Reward | None = None,
    events: OnEvent = ignore_events,
    force: bool = False,
) -> Results:
    """Tune a generator, or what is left to tune; a finished one gives its results again.

    Dropout is off throughout: ratios to the frozen model should not be noise.

    Args:
        folder: the generator to begin with, which stays as it is and is the reference.
        out: the run's folder; a run that was stopped there is continued.
        settings: which objective, and how.
        preferences: what dpo learns from.
        examples: the prompts of grpo.
        reward: what grpo maximises.
        events: told what happens.
        force: go on although the model, the data or the settings differ from those the run
            started with.

    Returns:
        what results-tune.json holds: objective, best, what it was selected on, before, and steps.

    Raises:
        ConfigError: if the objective lacks what it learns from.
        DataError: if nothing can be learnt from it.
        CheckpointError: if the run was started with another model, other data or settings.
        SystemExit: with 130 or 143 where the run was interrupted; it has been saved then.
    """
    learn_from = _learner(settings, preferences, examples, reward)
    frozen = open_generator(folder)

    def learn(run: ModelRun) -> Results:
        frozen.model.to(run.accelerator.device)
        begin = last_weights(run.folder, settings) or folder
        return learn_from(Tuning(run, settings, frozen, open_to_tune(begin, frozen)))

    made_of = Marks(
        {
            "the preferences": mark_of_preferences(preferences),
            "the prompts": None if examples is None else mark_of_examples(examples),
            "the reward": None if reward is None else reward.mark,
            "the frozen model": mark_of_model(folder),
        },
        settings_that_bind(settings),
    )
    return make_model(RunPlace(out, RESULTS_FILE, events, force), made_of, learn)


def _learner(
    settings: TuneSettings,
    preferences: PreferenceSet | Sequence[Preference] | None,
    examples: Sequence[Example] | None,
    reward: Reward | None,
) -> Callable[[Tuning], Results]:
    """The objective with what it learns from.

    Raises:
        ConfigError: if that was not given.
    """
    if settings.objective == "dpo":
        if preferences is None:
            raise ConfigError("dpo learns from preferences: give a file of them.")
        pairs = preferences.pairs if isinstance(preferences, PreferenceSet) else preferences
        return lambda tuning: learn_dpo(tuning, pairs)
    if examples is None or reward is None:
        raise ConfigError("grpo learns from its own samples: give prompts and a reward.")
    return lambda tuning: learn_grpo(tuning, examples, reward)
