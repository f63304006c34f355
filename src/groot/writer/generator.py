"""What a user holds for free text: a model with how prompts and texts are spelled."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from groot.errors import ConfigError, ModelError
from groot.guides.guide import Chooser, Guide, Written
from groot.models.loading import load_model, read_json, save_model
from groot.models.model_folder import SETTINGS_FILE, saved_folder
from groot.models.prompts import Prompts
from groot.models.text_model import TextModel
from groot.models.text_scoring import token_log_p
from groot.outputs.choose import choose_all
from groot.rewards import Reward, parse_rewards, refuse_code
from groot.rewards.labeler_judge import OpenLabeler
from groot.search.beams import beam_search
from groot.search.sampling import sample
from groot.types import Candidate, Example

VERSION = 1
FORMAT = "text"  # what groot.json says where labelers have a label format

Method = Literal["sample", "greedy", "beam"]


class Generator:
    """A model that writes free text.

    Args:
        model: the language model, encoder-decoder or causal.
        separator: what ends the prompt of a causal model; None takes the tokenizer's own
            separator token, or else "=>".
        max_prompt_tokens: of a longer prompt the end is read.
        max_new_tokens: tokens of a text at most, its end included.
        reward_specs: what it was optimised for, as given.
        is_trusted: whether code that reward_specs name may be run. A model's folder is data, so
            that of a generator that was loaded is not, unless the reward is named again.
        open_labeler: opens the folder of a labeler, for rewards that judge by one.

    Raises:
        ModelError: if the model has too few positions for its prompts and texts.
    """

    writes_labels = False

    def __init__(
        self,
        model: TextModel,
        *,
        separator: str | None = None,
        max_prompt_tokens: int = 128,
        max_new_tokens: int = 64,
        reward_specs: Sequence[str] = (),
        is_trusted: bool = True,
        open_labeler: OpenLabeler | None = None,
    ) -> None:
        self.model = model
        self.is_trusted = is_trusted
        self.open_labeler = open_labeler
        self.prompts = Prompts(model.tokenizer, is_causal=model.is_causal, separator=separator)
        self.max_prompt_tokens = max_prompt_tokens
        self.max_new_tokens = max_new_tokens
        self.reward_specs = tuple(reward_specs)
        positions = getattr(model.config, "max_position_embeddings", None)
        needed = max_prompt_tokens + len(self.prompts.tail) + max_new_tokens
        if model.is_causal and positions is not None and needed > positions:
            raise ModelError(
                f"{needed} tokens of prompt and text together, but the model has {positions}"
                " positions.\n  Lower generation.max_prompt_tokens or generation.max_new_tokens."
            )

    def with_model(self, model: TextModel) -> Generator:
        """The same generator around another model, such as one with adapters."""
        return Generator(
            model,
            separator=self.prompts.separator,
            max_prompt_tokens=self.max_prompt_tokens,
            max_new_tokens=self.max_new_tokens,
            reward_specs=self.reward_specs,
            is_trusted=self.is_trusted,
            open_labeler=self.open_labeler,
        )

    def reward(self, specs: Sequence[str] | None = None, **settings: Any) -> Reward:
        """The reward that specs name; None takes what the generator was optimised for.

        Args:
            settings: those of `parse_rewards`.

        Raises:
            ModelError: the specs come from a folder and name code, which is not run unasked.
            ConfigError: if no reward is named and none was trained for.
        """
        if specs is None and not self.is_trusted:
            refuse_code(self.reward_specs, "model")
        return parse_rewards(
            list(self.reward_specs if specs is None else specs),
            open_labeler=self.open_labeler,
            **settings,
        )

    def __call__(
        self,
        prompts: str | Sequence[str],
        *,
        n: int = 1,
        method: Method = "sample",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        groups: int = 1,
        diversity: float = 0.0,
        max_new_tokens: int | None = None,
        seed: int = 0,
        guide: Guide | Chooser | None = None,
        batch_size: int = 64,
    ) -> list[list[Candidate]]:
        """Write texts.

        Args:
            prompts: one prompt or several; "" asks for any text.
            n: texts per prompt.
            method: "sample" draws them, in the order drawn; "greedy" takes the best token each
                time; "beam" gives the n most probable texts that a beam of n finds, best first.
            temperature, top_k, top_p: of sampling.
            groups, diversity: of diverse beams.
            max_new_tokens: at which a text is cut, its end counted; None is the generator's own.
            seed: of sampling.
            guide: re-scores next tokens, or chooses among whole samples.
            batch_size: texts written together.

        Returns:
            per prompt its candidates. A text without an end is malformed: its `output` is None,
            and `text` is what there is of it.

        Raises:
            ConfigError: for settings that do not fit each other.
        """
        inputs = [
            self.input_ids(one) for one in ([prompts] if isinstance(prompts, str) else prompts)
        ]
        limit = self.max_new_tokens if max_new_tokens is None else max_new_tokens
        if method == "beam":
            if isinstance(guide, Chooser):
                raise ConfigError(f"guide {guide.name!r} chooses among samples, not among beams.")
            found = beam_search(
                self.model,
                inputs,
                k=n,
                max_new_tokens=limit,
                groups=groups,
                diversity=diversity,
                guide=guide,
                batch_size=batch_size,
            )
        else:
            is_greedy = method == "greedy"
            found = sample(
                self.model,
                inputs,
                n=n,
                max_new_tokens=limit,
                temperature=0.0 if is_greedy else temperature,
                top_k=top_k,
                top_p=top_p,
                seed=seed,
                guide=guide,
                batch_size=batch_size,
            )
        return [[self.candidate(one, method=method) for one in some] for some in found]

    def candidate(self, written: Written, *, method: Method = "sample") -> Candidate:
        """What was written, as a candidate."""
        text = self.prompts.text(written.tokens)
        output = text if written.is_finished else None
        source: Literal["sample", "search"] = "sample" if method == "sample" else "search"
        return Candidate(text, output, written.log_p, source=source)

    def candidates(
        self, examples: Sequence[Example], *, k: int, method: Method = "beam", **settings: Any
    ) -> list[list[Candidate]]:
        """k different texts for each example, or fewer, the most probable first.

        Args:
            settings: further ones of calling the generator.
        """
        written = self([one.text for one in examples], n=k, method=method, **settings)
        return [best_first(some) for some in written]

    def label(
        self,
        examples: Sequence[Example],
        *,
        top_k: int = 1,
        choose: Literal["top", "mbr"] = "top",
        reward: Sequence[str] | None = None,
        mbr_candidates: int = 16,
        batch_size: int = 64,
    ) -> list[list[Candidate]]:
        """The likeliest texts of examples, by beams; what `Labeler.label` is for labels.

        Args:
            choose: "top" orders by log_p; "mbr" by expected reward among at least mbr_candidates.
            reward: what "mbr" maximises; None is what the generator was optimised for.
        """
        k = top_k if choose == "top" else max(top_k, mbr_candidates)
        found = self.candidates(examples, k=k, batch_size=batch_size)
        if choose == "mbr":
            with self.reward(reward) as maximised:
                found = choose_all(examples, found, maximised, "mbr")
        return [some[:top_k] for some in found]

    def input_ids(self, prompt: str) -> list[int]:
        """Token ids of the model's input for a prompt."""
        return self.prompts.input_ids(prompt, limit=self.max_prompt_tokens)

    @torch.no_grad()
    def score(
        self,
        prompts: Sequence[str],
        texts: Sequence[Sequence[str]],
        *,
        batch_size: int = 64,
    ) -> list[list[float]]:
        """log_p of given texts of each prompt, in nats, end included.

        Args:
            prompts: the prompts.
            texts: for each prompt its texts, any number, of any length.
            batch_size: texts scored together.
        """
        self.model.eval()
        flat = [
            (row, self.prompts.target_ids(text)) for row, some in enumerate(texts) for text in some
        ]
        inputs = [self.input_ids(prompt) for prompt in prompts]
        scores: list[list[float]] = [[] for _ in prompts]
        for first in range(0, len(flat), batch_size):
            part = flat[first : first + batch_size]
            rows = sorted({row for row, _ in part})
            place = {row: index for index, row in enumerate(rows)}
            log_p, _ = token_log_p(
                self.model,
                [inputs[row] for row in rows],
                [target for _, target in part],
                [place[row] for row, _ in part],
            )
            for (row, _), value in zip(part, log_p.sum(1).tolist(), strict=True):
                scores[row].append(value)
        return scores

    def save(self, folder: str | Path) -> None:
        """Write the model as an ordinary transformers folder, with `groot.json` beside it."""
        folder = Path(folder)
        save_model(self.model, folder)
        settings = {
            "version": VERSION,
            "format": FORMAT,
            "separator": self.prompts.separator,
            "max_prompt_tokens": self.max_prompt_tokens,
            "max_new_tokens": self.max_new_tokens,
            "reward": list(self.reward_specs),
        }
        text = json.dumps(settings, ensure_ascii=False, indent=2) + "\n"
        (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")


def load_generator(folder: str | Path, *, open_labeler: OpenLabeler | None = None) -> Generator:
    """The generator in a folder: one that `save` wrote, or a run's folder.

    Args:
        folder: the folder.
        open_labeler: opens the folder of a labeler, for rewards that judge by one.

    Raises:
        ModelError: if there is none, or it is unsafe or damaged.
    """
    advice = "Give the folder of a finished run, or its model/ folder."
    folder = saved_folder(folder, what="generator", advice=advice)
    settings = read_json(folder / SETTINGS_FILE)
    wrong = _wrong_settings(settings)
    if wrong or settings.get("version") != VERSION:
        raise ModelError(
            f"{folder / SETTINGS_FILE}: version {settings.get('version')!r}, missing or wrong:"
            f" {', '.join(wrong) or 'nothing'}. This groot reads version {VERSION}."
        )
    model = load_model(folder)
    rows = model.model.get_input_embeddings().weight.shape[0]
    if len(model.tokenizer) > rows:
        raise ModelError(
            f"{folder}: its model and its tokenizer do not belong together: it lacks embeddings"
            f" for {len(model.tokenizer) - rows} tokens."
        )
    return Generator(
        model,
        separator=settings["separator"],
        max_prompt_tokens=settings["max_prompt_tokens"],
        max_new_tokens=settings["max_new_tokens"],
        reward_specs=settings["reward"],
        is_trusted=False,
        open_labeler=open_labeler,
    )


def best_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates by falling log_p, each text once.

    >>> two = [Candidate("a", "a", -2.0), Candidate("b", "b", -1.0), Candidate("a", "a", -2.0)]
    >>> [one.text for one in best_first(two)]
    ['b', 'a']
    """
    ordered = sorted(
        candidates, key=lambda one: -math.inf if one.log_p is None else one.log_p, reverse=True
    )
    return list({(one.target, one.is_malformed): one for one in reversed(ordered)}.values())[::-1]


def _wrong_settings(settings: Mapping[str, Any]) -> list[str]:
    """The names of the settings in a groot.json that are missing or cannot be."""

    def is_count(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value > 0

    of, reward = settings.get, settings.get("reward")
    is_good = {
        "format": of("format") == FORMAT,
        "separator": isinstance(of("separator"), str) and of("separator"),
        "max_prompt_tokens": is_count(of("max_prompt_tokens")),
        "max_new_tokens": is_count(of("max_new_tokens")),
        "reward": isinstance(reward, list)
        and all(isinstance(name, str) and name for name in reward),
    }
    return [name for name, good in is_good.items() if not good]
