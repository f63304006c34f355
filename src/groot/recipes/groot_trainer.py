"""The trainer as users of TRL know trainers: a model, reward functions, a config, datasets.

    trainer = GrootTrainer("google-t5/t5-small", "f0.5", GrootConfig(output_dir="run"), train, dev)
    trainer.train()
    trainer.labeler("play nina simone", top_k=5)

It does the same job as `groot train`, in the same kind of folder.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groot.config import Config, load_config
from groot.data import ReadResult, Splits
from groot.data.benchmarks import cut_dev
from groot.data.hub import read_rows
from groot.engine.events import OnEvent, ignore_events
from groot.errors import ConfigError, DataError, OutputError
from groot.evaluation.measure import measure
from groot.models.loading import add_symbols
from groot.models.text_model import TextModel
from groot.recipes.make_writer import label_format, labeler_of
from groot.recipes.run import gold_text_of, train_on
from groot.recipes.run_data import checked
from groot.rewards import CallSettings, parse_rewards
from groot.studies.evaluate_folder import with_rewards
from groot.types import Example
from groot.writer.folders import load_labeler
from groot.writer.labeler import Labeler
from groot.writer.writer import Writer

RewardFunc = str | Callable[..., list[float | None]]


@dataclass
class GrootConfig:
    """Settings of a GrootTrainer, by the names that TRL uses where it has them.

    Args:
        output_dir: the run's folder; a run that was stopped there is continued.
        seed: order of data, sampling and dropout follow from it.
        num_train_epochs: passes of likelihood training at most; 0 for a model that is fitted.
        train_batch_size: examples of a step over all processes, in likelihood training.
        learning_rate: peak rate of the optimisation for the reward.
        max_grad_norm: gradients are scaled down to this norm.
        num_rounds: rounds of fresh candidates; 0 stops after the fit.
        num_candidates: candidates that search gives per example.
        objective: how candidates are contrasted: a name of `groot.objectives.OBJECTIVES`.
        beta: slope per nat of the objective, where it has one, such as pair_logistic.
        margin: nats per unit of reward of the objective, where it has one, such as pair_margin.
        reward_weights: one per reward function; None is 1 for each.
        reward_timeout: seconds that one call of a function of yours may take.
        k: ranks that are measured.
        settings: any further setting of `groot train --config`, by its dotted name.

    A value of None takes the default of `groot train`.

    >>> GrootConfig(output_dir="run", num_rounds=1).to_config().optimise.rounds
    1
    """

    output_dir: str = "groot-run"
    seed: int = 1
    num_train_epochs: int | None = None
    train_batch_size: int | None = None
    learning_rate: float | None = None
    max_grad_norm: float | None = None
    num_rounds: int | None = None
    num_candidates: int | None = None
    objective: str | None = None
    beta: float | None = None
    margin: float | None = None
    reward_weights: Sequence[float] | None = None
    reward_timeout: float = 30.0
    k: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_config(self, **more: Any) -> Config:
        """The same as the settings of a run.

        Raises:
            ConfigError: with every setting that is wrong.
        """
        named = {
            "seed": self.seed,
            "fit.passes": self.num_train_epochs,
            "fit.batch_size": self.train_batch_size,
            "optimise.learning_rate": self.learning_rate,
            "optimise.max_grad_norm": self.max_grad_norm,
            "optimise.rounds": self.num_rounds,
            "optimise.num_candidates": self.num_candidates,
            "optimise.objective": self.objective,
            "optimise.objective_settings": {
                name: value
                for name, value in (("beta", self.beta), ("margin", self.margin))
                if value is not None
            }
            or None,
            "reward.timeout_s": self.reward_timeout,
            "evaluation.k": self.k,
            **self.settings,
            **more,
        }
        given = {name: value for name, value in named.items() if value is not None}
        return load_config(
            settings=[f"{name}={json.dumps(value)}" for name, value in given.items()]
        )


class GrootTrainer:
    """Fits a labeler and optimises it for rewards: generate, correct, contrast.

    Args:
        model: a Hub name or folder; a Labeler; a transformers model (then give processing_class);
            None is the embedded default.
        reward_funcs: names ("f0.5"), files ("mine.py:reward") or functions, one or several; TRL's
            `f(prompts, completions, **columns)` and groot's `f(example, candidates)` both work.
        args: settings. train_dataset: Examples, dicts or a `datasets.Dataset`, with the fields that
        JSON lines have:
            text and spans, tokens and tags, or text and classes.
        eval_dataset: picks the checkpoint; None cuts one example in ten from the training set.
        processing_class: the tokenizer of a transformers model.
        peft_config: a `peft.LoraConfig`; its r, lora_alpha and lora_dropout are used.
        test_dataset: gives the final numbers; None takes those of the eval_dataset.
        events: told what happens; see `groot.engine.events`.

    Raises:
        DataError, ConfigError, ModelError: on what cannot be used, before anything is written.
    """

    def __init__(
        self,
        model: str | Path | Labeler | Any | None,
        reward_funcs: RewardFunc | Sequence[RewardFunc],
        args: GrootConfig | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        peft_config: Any = None,
        *,
        test_dataset: Any = None,
        events: OnEvent = ignore_events,
    ) -> None:
        self.args = args or GrootConfig()
        self.events = events
        if isinstance(reward_funcs, str) or callable(reward_funcs):
            reward_funcs = [reward_funcs]
        self.reward_funcs: list[RewardFunc] = list(reward_funcs)
        if not self.reward_funcs:
            raise ConfigError("reward_funcs is empty: give at least one reward, such as 'f0.5'.")
        if train_dataset is None:
            raise DataError("train_dataset is missing: give Examples, dicts or a datasets.Dataset.")
        train = _read(train_dataset, "train")
        dev = _read(eval_dataset, "eval") if eval_dataset is not None else None
        if dev is None:
            train, dev = cut_dev(train)
        more: dict[str, Any] = {}
        if isinstance(model, str | Path):
            more["model.name"] = str(model)
        if peft_config is not None:
            more |= {
                "model.lora_r": peft_config.r,
                "model.lora_alpha": peft_config.lora_alpha,
                "model.lora_dropout": peft_config.lora_dropout,
            }
        names = [func for func in self.reward_funcs if isinstance(func, str)]
        self.config = self.args.to_config(**more, **({"reward.specs": names} if names else {}))
        test = _read(test_dataset, "test") if test_dataset is not None else None
        self.data = checked(Splits(train, dev, test), self.config)
        if self.data.task == "text":
            raise DataError(
                "GrootTrainer trains labelers: give spans or classes. Free text is trained by"
                " groot train, or groot.recipes.run.train_run from Python."
            )
        self._start = self._labeler_of(model, processing_class)
        self.results: dict[str, Any] | None = None

    def _labeler_of(self, model: Any, processing_class: Any) -> Writer | None:
        if model is None or isinstance(model, str | Path):
            return None
        if hasattr(model, "notation"):  # a writer of ours; anything else is a model
            return model
        if processing_class is None:
            raise ConfigError("processing_class is missing: give the tokenizer of the model.")
        text_model = TextModel(model, processing_class)
        form, settings = label_format(self.data.train), self.config.model
        add_symbols(
            text_model, form, label_style=settings.label_style, max_words=settings.window_words
        )
        return labeler_of(text_model, form, settings)

    def _reward(self) -> Any:
        return parse_rewards(
            self.reward_funcs,
            weights=self.args.reward_weights,
            calls=CallSettings(timeout_s=self.args.reward_timeout),
            gold_text=gold_text_of(self.data),
        )

    def train(self, resume_from_checkpoint: bool | str | Path | None = None) -> dict[str, Any]:
        """Do the run, or what is left of it.

        Args:
            resume_from_checkpoint: None or True continues a run that was stopped in output_dir;
                False wants an unused output_dir; a path must be output_dir.

        Returns:
            what results.json holds.
        """
        out = Path(self.args.output_dir)
        if resume_from_checkpoint is False and out.exists() and any(out.iterdir()):
            raise OutputError(f"{out} is in use already, and resume_from_checkpoint is False.")
        if isinstance(resume_from_checkpoint, str | Path):
            given = Path(resume_from_checkpoint).resolve()
            if given != out.resolve():
                raise OutputError(
                    f"resume_from_checkpoint={resume_from_checkpoint} is not output_dir ({out}):"
                    " a run continues in its own folder."
                )
        with self._reward() as reward:
            self.results = train_on(
                self.config,
                self.data,
                reward,
                out=out,
                writer=self._start,
                events=self.events,
            )
        return self.results

    @property
    def labeler(self) -> Writer:
        """The optimised labeler, after `train`."""
        return load_labeler(self.args.output_dir)

    @property
    def log_history(self) -> list[dict[str, Any]]:
        """One dict a step, with TRL's keys; empty before `train`."""
        path = Path(self.args.output_dir) / "log.jsonl"
        if not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def evaluate(self, eval_dataset: Any = None) -> dict[str, Any]:
        """The numbers of the optimised labeler on a dataset; by default on the eval set."""
        examples = self.data.dev if eval_dataset is None else _read(eval_dataset, "eval").examples
        k = self.config.evaluation.k
        with self._reward() as reward:
            ranked = self.labeler.label(examples, top_k=k)
            found = with_rewards(examples, ranked, reward)
            return measure(examples, found, k=k, metric=reward.metric).summary()

    def save_model(self, output_dir: str | Path) -> None:
        """Write the optimised labeler to a folder that `groot.load` reads."""
        self.labeler.save(output_dir)


def _read(dataset: Any, name: str) -> ReadResult:
    rows = list(dataset) if isinstance(dataset, Sequence) else dataset
    if isinstance(rows, list) and rows and all(isinstance(row, Example) for row in rows):
        named = [
            row if row.id else dataclasses.replace(row, id=f"{name}:{number}")
            for number, row in enumerate(rows, start=1)
        ]
        return ReadResult(examples=named, where=name)
    return read_rows(rows, name)
