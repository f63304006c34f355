"""Preferences in token ids: what a reward model learns from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from groot.data.preferences import Preference
from groot.models.alternatives import position_limit
from groot.models.codec import Codec
from groot.reward_models.classifier_reward import ClassifierReward
from groot.reward_models.prefix_model import RewardModel


@dataclass(frozen=True, slots=True)
class PairItem:
    """A preference in token ids.

    Args:
        input_ids: of the prompt.
        chosen, rejected: ids of the outputs, end included.
        chosen_reward, rejected_reward: 1 and 0 where the preference has none.
    """

    input_ids: list[int]
    chosen: list[int]
    rejected: list[int]
    chosen_reward: float = 1.0
    rejected_reward: float = 0.0


@dataclass(frozen=True, slots=True)
class TextPairItem(PairItem):
    """A preference for a classifier, which reads texts; the ids say how long they are.

    Args:
        prompt, chosen_text, rejected_text: what is read.
    """

    prompt: str = ""
    chosen_text: str = ""
    rejected_text: str = ""


Spell = Callable[[Preference], PairItem | str]
"""How a preference is written for a model: its item, or the reason why there is none."""


def text_speller(model: RewardModel, max_new_tokens: int | None) -> Spell:
    """How preferences of texts are read by a model of tokens; longer outputs are left out."""

    def spell(pair: Preference) -> PairItem | str:
        if pair.chosen_output is not None or pair.rejected_output is not None:
            return "its outputs are labels; give the folder of a labeler as --model"
        chosen, rejected = map(model.prompts.target_ids, (pair.chosen, pair.rejected))
        if max_new_tokens is not None and max(len(chosen), len(rejected)) > max_new_tokens:
            return f"an output has more than the generator's {max_new_tokens} tokens"
        prompt = model.conversation_ids(pair.messages) if pair.messages else None
        if prompt is None:
            prompt = model.prompts.input_ids(pair.prompt, limit=model.max_prompt_tokens)
        return _item(pair, prompt, chosen, rejected)

    return spell


def label_speller(codec: Codec) -> Spell:
    """How preferences of labels are read: as targets of the labeler."""

    def spell(pair: Preference) -> PairItem | str:
        if pair.example is None or pair.chosen_output is None or pair.rejected_output is None:
            return "a labeler is judged on candidates of labelled examples, not on texts"
        if len(pair.example.words) > codec.max_words:
            return f"the text has more words than one window of the labeler ({codec.max_words})"
        targets = [
            codec.encode(pair.example, output)
            for output in (pair.chosen_output, pair.rejected_output)
        ]
        if targets[0] is None or targets[1] is None:
            return "an output cannot be written in the label format"
        chosen, rejected = list(targets[0].tokens), list(targets[1].tokens)
        return _item(pair, codec.input_ids(pair.example), chosen, rejected)

    return spell


def classifier_speller(model: ClassifierReward) -> Spell:
    """How preferences are read by a classifier: as texts, in tokens of its own."""

    def spell(pair: Preference) -> PairItem | str:
        if pair.chosen_output is not None or pair.rejected_output is not None:
            return "its outputs are labels, and a classifier reads texts"
        chosen, rejected = (model.spell(text)[0] for text in (pair.chosen, pair.rejected))
        longest, limit = max(len(chosen), len(rejected)), model.output_limit
        if limit is not None and longest > limit:
            return f"an output has {longest} tokens, but the classifier reads {limit} at most"
        if not chosen or not rejected:
            return "an output has no token that the classifier knows"
        return _text_item(pair, chosen, rejected)

    return spell


def _item(
    pair: Preference, prompt: list[int], chosen: list[int], rejected: list[int]
) -> PairItem | str:
    if chosen == rejected:
        return "chosen and rejected are the same tokens"
    better, worse = pair.chosen_reward, pair.rejected_reward
    if better is None or worse is None:
        better, worse = 1.0, 0.0
    return PairItem(prompt, chosen, rejected, better, worse)


def _text_item(pair: Preference, chosen: list[int], rejected: list[int]) -> PairItem | str:
    if chosen == rejected:
        return "chosen and rejected are the same tokens"
    return TextPairItem([], chosen, rejected, 1.0, 0.0, pair.prompt, pair.chosen, pair.rejected)


def pair_items(
    pairs: Sequence[Preference], spell: Spell, model: RewardModel | ClassifierReward
) -> tuple[list[PairItem], list[str]]:
    """The items of preferences, and a line on each pair that cannot be used."""
    limit = position_limit(model.backbone) if isinstance(model, RewardModel) else None
    items: list[PairItem] = []
    missed: list[str] = []
    for pair in pairs:
        item = spell(pair)
        if not isinstance(item, str) and limit is not None:
            needed = len(item.input_ids) + max(len(item.chosen), len(item.rejected))
            if needed > limit:
                item = f"{needed} tokens of prompt and output, but the model has {limit} positions"
        if isinstance(item, str):
            missed.append(f"{pair.source}: {item}")
        else:
            items.append(item)
    return items, missed
