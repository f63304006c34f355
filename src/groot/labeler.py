"""What a user holds: a model with its label format, grammar and search."""

from __future__ import annotations

import dataclasses
import heapq
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from groot.errors import ModelError
from groot.labels import FORMATS, LabelFormat, SentinelTags
from groot.labels.windows import Window, merge, windows
from groot.labels.words import split_words
from groot.models.codec import Codec, LabelStyle, symbols_to_add
from groot.models.loading import load_model, read_json, save_model
from groot.models.scoring import candidate_log_p
from groot.models.text_model import TextModel
from groot.rewards import Reward, parse_rewards
from groot.search.choose import choose_all
from groot.search.label_search import Found, label_search
from groot.types import Candidate, Example, Gold, Span

SETTINGS_FILE = "groot.json"
VERSION = 1


class Labeler:
    """A model that labels texts.

    Args:
        model: the language model.
        form: the label format.
        label_style: labels as one new token each, or as words.
        window_words: longer texts are cut into windows of so many words.
        window_overlap: words that neighbouring windows share.
        reward_specs: what it was optimised for, as given; used by choose="mbr".
        is_trusted: whether code that reward_specs name may be run. A model's folder is data, so
            that of a labeler that was loaded is not, unless the reward is named again.
    """

    def __init__(
        self,
        model: TextModel,
        form: LabelFormat,
        *,
        label_style: LabelStyle = "token",
        window_words: int = 64,
        window_overlap: int = 16,
        reward_specs: Sequence[str] = ("f1",),
        is_trusted: bool = True,
    ) -> None:
        self.model = model
        self.form = form
        self.window_words = window_words
        self.window_overlap = window_overlap
        self.reward_specs = tuple(reward_specs)
        self.is_trusted = is_trusted
        self.codec = Codec(
            form,
            model.tokenizer,
            label_style=label_style,
            max_words=window_words,
            is_causal=model.is_causal,
        )

    def with_model(self, model: TextModel) -> Labeler:
        """The same labeler around another model, such as one with adapters."""
        return Labeler(
            model,
            self.form,
            label_style=self.codec.label_style,
            window_words=self.window_words,
            window_overlap=self.window_overlap,
            reward_specs=self.reward_specs,
            is_trusted=self.is_trusted,
        )

    def reward(self, specs: Sequence[str] | None = None, **settings: Any) -> Reward:
        """The reward that specs name; None takes what the labeler was optimised for.

        Args:
            settings: those of `parse_rewards`.

        Raises:
            ModelError: the specs come from a folder and name code, which is not run unasked.
        """
        if specs is None and not self.is_trusted:
            code = [spec for spec in self.reward_specs if ":" in spec]
            if code:
                raise ModelError(
                    f"the model's folder names a reward with code of its own, {code[0]!r}, and no"
                    " code is run because a folder says so.\n  If it is yours, name it again:"
                    " --reward, or reward=[...] from Python."
                )
        return parse_rewards(
            list(self.reward_specs if specs is None else specs),
            gold_text=lambda example: (
                None if example.gold is None else self.form.encode(example, example.gold)
            ),
            **settings,
        )

    def __call__(
        self,
        texts: str | Sequence[str],
        *,
        top_k: int = 1,
        choose: Literal["top", "mbr"] = "top",
        reward: Sequence[str] | None = None,
        batch_size: int = 64,
    ) -> list[list[Candidate]]:
        """Label texts.

        Args:
            texts: one text or several.
            top_k: candidates per text, best first.
            choose: "top" orders by log_p; "mbr" by expected reward among at least 16 candidates.
            reward: what "mbr" maximises; None is what the labeler was optimised for.
            batch_size: texts searched together.

        Returns:
            per text its candidates; `candidate.spans` hold character offsets, labels,
            probabilities.
        """
        examples = [example_of(text) for text in ([texts] if isinstance(texts, str) else texts)]
        return self.label(
            examples, top_k=top_k, choose=choose, reward=reward, batch_size=batch_size
        )

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
        """Like calling the labeler, for examples; their gold is not looked at."""
        k = top_k if choose == "top" else max(top_k, mbr_candidates)
        per_example = self.candidates(examples, k=k, batch_size=batch_size)
        if choose == "mbr":
            with self.reward(reward) as maximised:
                per_example = choose_all(examples, per_example, maximised, "mbr")
        return [with_probabilities(candidates)[:top_k] for candidates in per_example]

    def candidates(
        self,
        examples: Sequence[Example],
        *,
        k: int,
        width: int | None = None,
        max_width: int = 256,
        batch_size: int = 64,
    ) -> list[list[Candidate]]:
        """The top k candidates of each example with log_p, best first.

        Texts of more than window_words words are searched window by window; the windows' targets
        count as independent, so the log_p of the whole is the sum.
        """
        cuts = [self.windows(example) for example in examples]
        flat = [window.example for cut in cuts for window in cut]
        found = iter(
            label_search(
                self.model,
                self.codec,
                [self.codec.input_ids(piece) for piece in flat],
                [self.form.slots(piece) for piece in flat],
                k=k,
                width=width,
                max_width=max_width,
                batch_size=batch_size,
            )
        )
        return [
            self._candidates(example, cut, [next(found) for _ in cut], k)
            for example, cut in zip(examples, cuts, strict=True)
        ]

    def windows(self, example: Example) -> list[Window]:
        """The windows that an example is searched in; one for all but long texts."""
        if not isinstance(self.form, SentinelTags):
            return [Window(example, 0, 0, len(example.text) + 1)]
        return windows(example, max_words=self.window_words, overlap=self.window_overlap)

    def _candidates(
        self, example: Example, cut: list[Window], found: list[Found], k: int
    ) -> list[Candidate]:
        if len(cut) == 1:
            return [
                Candidate(self.form.text(path), self.form.output(example, path), log_p)
                for path, log_p in zip(found[0].paths, found[0].log_p, strict=True)
            ]
        seen: dict[Gold, Candidate] = {}
        for ranks, log_p in best_sums([one.log_p for one in found], k):
            paths = [one.paths[rank] for one, rank in zip(found, ranks, strict=True)]
            outputs: list[tuple[Span, ...]] = []
            for window, path in zip(cut, paths, strict=True):
                spans = self.form.output(window.example, path)
                assert spans is not None  # search writes legal paths only
                outputs.append(tuple(span for span in spans if isinstance(span, Span)))
            output = merge(example, cut, outputs)
            target = " ".join(self.form.text(path) for path in paths)
            seen.setdefault(output, Candidate(target, output, log_p))
        return list(seen.values())

    @torch.no_grad()
    def score(
        self,
        examples: Sequence[Example],
        outputs: Sequence[Sequence[Gold]],
        *,
        batch_size: int = 32,
    ) -> list[list[float | None]]:
        """log_p of given outputs of each example (of at most window_words words).

        Returns:
            nats; None for an output that no target can say.
        """
        self.model.eval()
        scores: list[list[float | None]] = []
        for first in range(0, len(examples), batch_size):
            part = range(first, min(first + batch_size, len(examples)))
            targets = [[self.codec.encode(examples[i], gold) for gold in outputs[i]] for i in part]
            real = [[target for target in of_one if target is not None] for of_one in targets]
            inputs = [self.codec.input_ids(examples[i]) for i in part]
            log_p, _ = candidate_log_p(self.model, self.codec, inputs, real)
            for row, of_one in zip(log_p.tolist(), targets, strict=True):
                values = iter(row)
                scores.append([None if target is None else next(values) for target in of_one])
        return scores

    def save(self, folder: str | Path) -> None:
        """Write the model as an ordinary transformers folder, with `groot.json` beside it."""
        folder = Path(folder)
        save_model(self.model, folder)
        settings = {
            "version": VERSION,
            "format": self.form.name,
            "labels": list(self.form.labels),
            "label_style": self.codec.label_style,
            "window_words": self.window_words,
            "window_overlap": self.window_overlap,
            "reward": list(self.reward_specs),
            "offset_unit": "codepoint",
        }
        text = json.dumps(settings, ensure_ascii=False, indent=2) + "\n"
        (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")


def load(folder: str | Path) -> Labeler:
    """The labeler in a folder: one that `save` wrote, or a run's folder.

    Raises:
        ModelError: if there is none, or it is unsafe or damaged.
    """
    folder = Path(folder)
    if not (folder / SETTINGS_FILE).is_file() and (folder / "model" / SETTINGS_FILE).is_file():
        folder = folder / "model"
    if not (folder / SETTINGS_FILE).is_file():
        raise ModelError(
            f"{folder}: no labeler here ({SETTINGS_FILE} is missing). Give the folder of a finished"
            " run, or its model/ folder."
        )
    settings = read_json(folder / SETTINGS_FILE)
    wrong = _wrong_settings(settings)
    if wrong or settings.get("version") != VERSION:
        raise ModelError(
            f"{folder / SETTINGS_FILE}: version {settings.get('version')!r}, missing or wrong:"
            f" {', '.join(wrong) or 'nothing'}. This groot reads version {VERSION}."
        )
    model, form = load_model(folder), FORMATS[settings["format"]](settings["labels"])
    style, window_words = settings["label_style"], settings["window_words"]
    lacking = symbols_to_add(form, model.tokenizer, label_style=style, max_words=window_words)
    rows = model.model.get_input_embeddings().weight.shape[0]
    if lacking or len(model.tokenizer) > rows:
        what = ", ".join(lacking[:3]) or f"embeddings for {len(model.tokenizer) - rows} tokens"
        raise ModelError(
            f"{folder}: its model and {SETTINGS_FILE} do not belong together: it lacks {what}."
        )
    return Labeler(
        model,
        form,
        label_style=style,
        window_words=window_words,
        window_overlap=settings["window_overlap"],
        reward_specs=settings["reward"],
        is_trusted=False,
    )


def _wrong_settings(settings: Mapping[str, Any]) -> list[str]:
    """The names of the settings in a groot.json that are missing or cannot be."""

    def number(value: Any) -> int:
        return value if isinstance(value, int) and not isinstance(value, bool) else -1

    def are_names(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(name, str) and name for name in value)

    of = settings.get
    labels, words, overlap = of("labels"), number(of("window_words")), number(of("window_overlap"))
    is_good = {
        "format": of("format") in list(FORMATS),
        "labels": are_names(labels) and labels and len(set(labels)) == len(labels),
        "label_style": of("label_style") in get_args(LabelStyle),
        "window_words": words > 0,
        "window_overlap": 0 <= overlap < max(words, 1),
        "reward": are_names(of("reward")),
    }
    return [name for name, good in is_good.items() if not good]


def example_of(text: str, *, id: str = "") -> Example:
    """An example without gold, cut into words."""
    words, starts = split_words(text)
    return Example(text, tuple(words), tuple(starts), id=id)


def best_sums(lists: Sequence[Sequence[float]], k: int) -> list[tuple[tuple[int, ...], float]]:
    """The k best ways to take one number from each descending list, by their sum.

    >>> best_sums([[0.0, -1.0], [0.0, -3.0]], 3)
    [((0, 0), 0.0), ((1, 0), -1.0), ((0, 1), -3.0)]
    """
    if not all(lists):
        return []
    first = (0,) * len(lists)
    heap = [(-sum(numbers[0] for numbers in lists), first)]
    seen = {first}
    best: list[tuple[tuple[int, ...], float]] = []
    while heap and len(best) < k:
        cost, ranks = heapq.heappop(heap)
        best.append((ranks, -cost))
        for place, rank in enumerate(ranks):
            if rank + 1 < len(lists[place]):
                following = (*ranks[:place], rank + 1, *ranks[place + 1 :])
                if following not in seen:
                    seen.add(following)
                    change = lists[place][rank] - lists[place][rank + 1]
                    heapq.heappush(heap, (cost + change, following))
    return best


def with_probabilities(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Fill in each span's probability: the share of the candidates' mass whose spans include it.

    Normalised over the candidates given, so it is 1 for a span that all of them have.
    """
    scored = [c for c in candidates if c.log_p is not None]
    if not scored:
        return list(candidates)
    top = max(c.log_p for c in scored if c.log_p is not None)
    mass: dict[Span, float] = {}
    total = 0.0
    for candidate in scored:
        assert candidate.log_p is not None
        weight = math.exp(candidate.log_p - top)
        total += weight
        for span in candidate.spans:
            mass[span] = mass.get(span, 0.0) + weight
    filled = []
    for candidate in candidates:
        if candidate.spans:
            spans = tuple(
                dataclasses.replace(span, probability=min(1.0, mass.get(span, 0.0) / total))
                for span in candidate.spans
            )
            candidate = dataclasses.replace(candidate, output=spans)
        filled.append(candidate)
    return filled
