"""What a user holds: a model with its label format, grammar and search."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from groot.errors import ModelError
from groot.evaluation.calibration_map import CALIBRATION_FILE, Calibration, read_calibration
from groot.guides.guide import Guide
from groot.models.codec import Codec, LabelStyle, symbols_to_add
from groot.models.labeler_settings import LabelerSettings, labeler_folder, read_settings
from groot.models.loading import load_model, save_model
from groot.models.model_folder import SETTINGS_FILE
from groot.models.prompts import Prompts
from groot.models.scoring import candidate_log_p
from groot.models.text_model import TextModel
from groot.outputs.choose import choose_all
from groot.outputs.items import Item
from groot.outputs.marginals import Marginals, filled_in, joined, marginals
from groot.rewards import Reward, parse_rewards, refuse_code
from groot.search.found import Found, best_sums, by_score, united
from groot.search.label_search import MAX_WIDTH, first_width, label_search
from groot.search.steered_search import steered_search
from groot.targets import FORMATS, LabelFormat
from groot.targets.windows import Window
from groot.targets.words import split_words
from groot.types import Candidate, Example, Gold

_Searched = tuple[list[Window], list[Found]]  # the windows of a text, and what was found in each


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one text.

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
        return all(one.exact for one in self.searches) if self.searches else None


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
        calibration: maps the model's probabilities to those that it states; None states its own.
    """

    writes_labels = True

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
        calibration: Calibration | None = None,
    ) -> None:
        self.model = model
        self.form = form
        self.window_words = window_words
        self.window_overlap = window_overlap
        self.reward_specs = tuple(reward_specs)
        self.is_trusted = is_trusted
        self.calibration = calibration
        self.codec = Codec(
            form,
            model.tokenizer,
            label_style=label_style,
            max_words=window_words,
            is_causal=model.is_causal,
        )
        self.prompts = Prompts(model.tokenizer, is_causal=model.is_causal)

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
            refuse_code(self.reward_specs, "model")
        return parse_rewards(
            list(self.reward_specs if specs is None else specs),
            gold_text=lambda example: (
                None if example.gold is None else self.form.encode(example, example.gold)
            ),
            open_labeler=load,
            **settings,
        )

    def __call__(
        self,
        texts: str | Sequence[str],
        *,
        top_k: int = 1,
        choose: Literal["top", "mbr"] = "top",
        reward: Sequence[str] | None = None,
        guide: Guide | None = None,
        probability_candidates: int = 16,
        calibrated: bool | None = None,
        exact: bool = True,
        batch_size: int = 64,
    ) -> list[list[Candidate]]:
        """Label texts.

        Args:
            texts: one text or several.
            top_k: candidates per text, best first.
            choose: "top" orders by log_p; "mbr" by expected reward among at least 16 candidates.
            reward: what "mbr" maximises; None is what the labeler was optimised for.
            guide: steers the search; see `predict`.
            probability_candidates: see `predict`; 0 is fastest.
            calibrated: see `predict`.
            exact: see `predict`.
            batch_size: texts searched together.

        Returns:
            per text its candidates; `candidate.spans` hold character offsets, labels,
            probabilities.
        """
        examples = [example_of(text) for text in ([texts] if isinstance(texts, str) else texts)]
        return self.label(
            examples,
            top_k=top_k,
            choose=choose,
            reward=reward,
            guide=guide,
            probability_candidates=probability_candidates,
            calibrated=calibrated,
            exact=exact,
            batch_size=batch_size,
        )

    def label(
        self,
        examples: Sequence[Example],
        *,
        top_k: int = 1,
        choose: Literal["top", "mbr"] = "top",
        reward: Sequence[str] | None = None,
        mbr_candidates: int = 16,
        guide: Guide | None = None,
        guide_width: int = 4,
        probability_candidates: int = 16,
        calibrated: bool | None = None,
        exact: bool = True,
        batch_size: int = 64,
    ) -> list[list[Candidate]]:
        """Like calling the labeler, for examples; their gold is not looked at."""
        predictions = self.predict(
            examples,
            top_k=top_k,
            choose=choose,
            reward=reward,
            mbr_candidates=mbr_candidates,
            guide=guide,
            guide_width=guide_width,
            probability_candidates=probability_candidates,
            calibrated=calibrated,
            exact=exact,
            batch_size=batch_size,
        )
        return [one.candidates for one in predictions]

    def predict(
        self,
        examples: Sequence[Example],
        *,
        top_k: int = 1,
        choose: Literal["top", "mbr"] = "top",
        reward: Sequence[str] | None = None,
        mbr_candidates: int = 16,
        guide: Guide | None = None,
        guide_width: int = 4,
        probability_candidates: int = 16,
        calibrated: bool | None = None,
        exact: bool = True,
        batch_size: int = 64,
    ) -> list[Prediction]:
        """Label examples, with the probability of each span or class and what it rests on.

        Args:
            examples: their gold is not looked at.
            top_k: candidates per text, best first.
            choose: "top" orders by log_p; "mbr" by expected reward.
            reward: what "mbr" maximises; None is what the labeler was optimised for.
            mbr_candidates: "mbr" chooses among at least so many.
            guide: of a reward model of this labeler's targets; candidates are then searched and
                ordered by log_p and its rewards, see `steered_search`; "mbr" takes softmax of this
                score for a candidate's probability. Probabilities that are told stay the labeler's.
            guide_width: prefixes that a guided search keeps, top_k at least; 1 is greedy.
            probability_candidates: at least so many are searched for the probabilities; only those
                asked for are proven to be the likeliest. 0 searches no more than the others ask
                for; of a single candidate no probability of a span can be told, and it is None.
            calibrated: True maps probabilities by the labeler's calibration, False leaves them the
                model's own; None maps where there is a calibration.
            exact: whether candidates are searched until they are proven to be the most probable;
                False takes what the first search finds, proven or not.
            batch_size: texts searched together.

        Raises:
            ModelError: calibrated=True, and the labeler has no calibration.
            ConfigError: for a guide that does not steer labels.
        """
        if calibrated and self.calibration is None:
            raise ModelError(
                "the labeler has no calibration. Make one with groot calibrate, or take the model's"
                " own probabilities."
            )
        mapped = None if calibrated is False else self.calibration
        k = top_k if choose == "top" else max(top_k, mbr_candidates)
        many = max(k, probability_candidates)
        asked, plain, searched = self._searches(
            examples, k, many, guide, guide_width, is_exact=exact, batch_size=batch_size
        )
        chosen = self._all_candidates(examples, asked, k)
        unguided = chosen if guide is None else self._all_candidates(examples, plain, 1)
        likeliest: list[Gold] = [(some[0].output or ()) if some else () for some in unguided]
        known = chosen if guide is None else [[]] * len(examples)
        if choose == "mbr":
            weighed = chosen
            if guide is not None:
                weighed = [
                    self._candidates(example, cut, list(map(by_score, found)), k)
                    for example, (cut, found) in zip(examples, asked, strict=True)
                ]
            with self.reward(reward) as maximised:
                ranked = choose_all(examples, weighed, maximised, "mbr")
            chosen = [
                _with_log_p(some, before) for some, before in zip(ranked, chosen, strict=True)
            ]
        predictions = []
        rows = zip(examples, searched, known, chosen, likeliest, strict=True)
        for example, (cut, found), first, some, said in rows:
            own = self._marginals(example, cut, found, first)
            items, values = list(own.of), [one.probability for one in own.of.values()]
            if mapped is not None:
                values = mapped(values, [item in said for item in items]).tolist()
            is_one = many == 1  # its spans have a share of one, always
            probabilities = {} if is_one else dict(zip(items, values, strict=True))
            candidates = [filled_in(one, probabilities) for one in some[:top_k]]
            searches = tuple(found) if guide is None else ()
            predictions.append(Prediction(candidates, own.covered, probabilities, own, searches))
        return predictions

    def _searches(
        self,
        examples: Sequence[Example],
        k: int,
        many: int,
        guide: Guide | None,
        guide_width: int,
        *,
        is_exact: bool,
        batch_size: int,
    ) -> tuple[list[_Searched], list[_Searched], list[_Searched]]:
        """What the k candidates, what is likeliest, and the probabilities are taken from.

        Without a guide one search serves all three. Bounds of probabilities hold for any targets,
        so those beyond the k candidates need no proof that they are the likeliest.
        """
        if guide is None:
            width = None if many == k else max(many, first_width(k))
            every = self._search(
                examples,
                k=many,
                n_proven=k,
                width=width,
                max_width=MAX_WIDTH if is_exact else 0,
                batch_size=batch_size,
            )
            return every, every, every
        guided = self._search(
            examples, k=k, width=max(guide_width, k), guide=guide, batch_size=batch_size
        )
        if many == k:
            return guided, guided, guided
        plain = self._search(examples, k=many, width=many, max_width=0, batch_size=batch_size)
        both = [
            (cut, list(map(united, found, more)))
            for (cut, found), (_, more) in zip(guided, plain, strict=True)
        ]
        return guided, plain, both

    def candidates(
        self,
        examples: Sequence[Example],
        *,
        k: int,
        width: int | None = None,
        max_width: int = MAX_WIDTH,
        batch_size: int = 64,
    ) -> list[list[Candidate]]:
        """The top k candidates of each example with log_p, best first.

        Texts of more than window_words words are searched window by window; the windows' targets
        count as independent, so the log_p of the whole is the sum.
        """
        searched = self.searched_candidates(
            examples, k=k, width=width, max_width=max_width, batch_size=batch_size
        )
        return [candidates for candidates, _ in searched]

    def searched_candidates(
        self,
        examples: Sequence[Example],
        *,
        k: int,
        width: int | None = None,
        max_width: int = MAX_WIDTH,
        batch_size: int = 64,
    ) -> list[tuple[list[Candidate], list[Found]]]:
        """Like `candidates`, with the certificates of the searches.

        Returns:
            per example its candidates, and what was found in each of its windows.
        """
        searched = self._search(
            examples, k=k, width=width, max_width=max_width, batch_size=batch_size
        )
        every = self._all_candidates(examples, searched, k)
        return [(some, found) for some, (_, found) in zip(every, searched, strict=True)]

    def _all_candidates(
        self, examples: Sequence[Example], searched: Sequence[_Searched], k: int
    ) -> list[list[Candidate]]:
        """The first k candidates of each example."""
        return [
            self._candidates(example, cut, found, k)
            for example, (cut, found) in zip(examples, searched, strict=True)
        ]

    def _search(
        self,
        examples: Sequence[Example],
        *,
        k: int,
        n_proven: int | None = None,
        width: int | None = None,
        max_width: int = MAX_WIDTH,
        guide: Guide | None = None,
        batch_size: int = 64,
    ) -> list[_Searched]:
        """The windows of each example with what was found in each."""
        cuts = [self.windows(example) for example in examples]
        flat = [window.example for cut in cuts for window in cut]
        inputs = [self.codec.input_ids(piece) for piece in flat]
        slots = [self.form.slots(piece) for piece in flat]
        if guide is not None:
            every = steered_search(
                self.model,
                self.codec,
                inputs,
                slots,
                guide=guide,
                k=k,
                width=width or k,
                batch_size=batch_size,
            )
        else:
            every = label_search(
                self.model,
                self.codec,
                inputs,
                slots,
                k=k,
                n_proven=n_proven,
                width=width,
                max_width=max_width,
                batch_size=batch_size,
            )
        found = iter(every)
        return [(cut, [next(found) for _ in cut]) for cut in cuts]

    def _marginals(
        self,
        example: Example,
        cut: list[Window],
        found: list[Found],
        known: Sequence[Candidate],
    ) -> Marginals:
        """Of a text in windows each span has the marginal of the window that says it.

        Args:
            known: of a text in one window, the candidates of the first paths found, any number.
        """
        if len(cut) == 1:
            (one,), n = found, len(known)
            more = zip(one.paths[n:], one.log_p[n:], strict=True)
            rest = [Candidate("", self.form.output(example, path), log_p) for path, log_p in more]
            return marginals([*known, *rest])
        parts = []
        for window, one in zip(cut, found, strict=True):
            outputs = [self.form.output(window.example, path) for path in one.paths]
            outputs = [self.form.merge(example, [window], [output or ()]) for output in outputs]
            scored = zip(outputs, one.log_p, strict=True)
            parts.append(marginals([Candidate("", output, log_p) for output, log_p in scored]))
        return joined(parts)

    def windows(self, example: Example) -> list[Window]:
        """The windows that an example is searched in; one for all but long texts."""
        return self.form.windows(example, max_words=self.window_words, overlap=self.window_overlap)

    def _candidates(
        self, example: Example, cut: list[Window], found: list[Found], k: int
    ) -> list[Candidate]:
        if len(cut) == 1:
            return [
                Candidate(self.form.text(path), self.form.output(example, path), log_p)
                for path, log_p in zip(found[0].paths[:k], found[0].log_p[:k], strict=True)
            ]
        seen: dict[Gold, Candidate] = {}
        for ranks, _ in best_sums([one.scores or one.log_p for one in found], k):
            paths = [one.paths[rank] for one, rank in zip(found, ranks, strict=True)]
            log_p = sum(one.log_p[rank] for one, rank in zip(found, ranks, strict=True))
            outputs: list[Gold] = []
            for window, path in zip(cut, paths, strict=True):
                said = self.form.output(window.example, path)
                assert said is not None  # search writes legal paths only
                outputs.append(said)
            output = self.form.merge(example, cut, outputs)
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
        settings = LabelerSettings(
            format=self.form.name,
            labels=tuple(self.form.labels),
            label_style=self.codec.label_style,
            window_words=self.window_words,
            window_overlap=self.window_overlap,
            reward=self.reward_specs,
        )
        settings.save(folder)
        (folder / CALIBRATION_FILE).unlink(missing_ok=True)  # of the model that was there before
        if self.calibration is not None:
            self.calibration.save(folder)


def load(folder: str | Path) -> Labeler:
    """The labeler in a folder: one that `save` wrote, or a run's folder.

    Raises:
        ModelError: if there is none, or it is unsafe or damaged.
    """
    folder = labeler_folder(folder)
    settings = read_settings(folder)
    model, form = load_model(folder), FORMATS[settings.format](settings.labels)
    style, max_words = settings.label_style, settings.window_words
    lacking = symbols_to_add(form, model.tokenizer, label_style=style, max_words=max_words)
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
        window_words=max_words,
        window_overlap=settings.window_overlap,
        reward_specs=settings.reward,
        is_trusted=False,
        calibration=read_calibration(folder),
    )


def example_of(text: str, *, id: str = "") -> Example:
    """An example without gold, cut into words."""
    words, starts = split_words(text)
    return Example(text, tuple(words), tuple(starts), id=id)


def _with_log_p(ranked: Sequence[Candidate], known: Sequence[Candidate]) -> list[Candidate]:
    """The candidates in the order of ranked, with the log_p that the known ones have."""
    log_p = {one.target: one.log_p for one in known}
    return [dataclasses.replace(one, log_p=log_p[one.target]) for one in ranked]
