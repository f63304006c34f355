"""Preferences in token ids: what a reward model learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from groot.data.preferences import Preference
from groot.models.alternatives import position_limit
from groot.reward_models.classifier_reward import ClassifierReward
from groot.reward_models.prefix_model import RewardModel
from groot.types import Example, Gold
from groot.writer.notation import Notation


@dataclass(frozen=True, slots=True)
class SpelledPair:
    """A preference in token ids.

    Args:
        input_ids: the prompt.
        chosen, rejected: ids of the outputs, end included.
        chosen_reward, rejected_reward: 1 and 0 where the preference has none.
    """

    input_ids: list[int]
    chosen: list[int]
    rejected: list[int]
    chosen_reward: float = 1.0
    rejected_reward: float = 0.0


@dataclass(frozen=True, slots=True)
class SpelledTextPair(SpelledPair):
    """A preference for a classifier, which reads texts; the ids say how long they are.

    Args:
        prompt, chosen_text, rejected_text: what is read.
    """

    prompt: str = ""
    chosen_text: str = ""
    rejected_text: str = ""


Spell = Callable[[Preference], SpelledPair | str]
"""How a preference is written for a model: itself in token ids, or the reason why not."""

SAME_TOKENS = "chosen and rejected are the same tokens"


def prefix_speller(model: RewardModel, notation: Notation) -> Spell:
    """How preferences are read by a model of prefixes.

    Args:
        model: reads the tokens.
        notation: how the writer whose tokens they are spells inputs and targets.
    """
    limit = position_limit(model.backbone)

    def spell(pair: Preference) -> SpelledPair | str:
        example_and_outputs = _example_and_outputs(pair, is_text=notation.task == "text")
        if isinstance(example_and_outputs, str):
            return example_and_outputs
        example, *outputs = example_and_outputs
        if len(notation.windows(example)) > 1:
            return "the text has more words than one window of the labeler"
        targets = [notation.target(example, output) for output in outputs]
        if targets[0] is None or targets[1] is None:
            return "an output cannot be written in the label format"
        if not (notation.can_write(targets[0]) and notation.can_write(targets[1])):
            return "an output has more tokens than the generator writes"
        prompt = model.conversation_ids(pair.messages) if pair.messages else None
        if prompt is None:
            prompt = list(notation.input_ids(example))
        chosen, rejected = list(targets[0].tokens), list(targets[1].tokens)
        needed = len(prompt) + max(len(chosen), len(rejected))
        if limit is not None and needed > limit:
            return f"{needed} tokens of prompt and output, but the model has {limit} positions"
        if chosen == rejected:
            return SAME_TOKENS
        return SpelledPair(prompt, chosen, rejected, *_rewards(pair))

    return spell


def classifier_speller(model: ClassifierReward) -> Spell:
    """How preferences are read by a classifier: as texts, in tokens of its own."""

    def spell(pair: Preference) -> SpelledPair | str:
        if pair.chosen_output is not None or pair.rejected_output is not None:
            return "its outputs are labels, and a classifier reads texts"
        chosen, rejected = (model.spell(text)[0] for text in (pair.chosen, pair.rejected))
        longest, limit = max(len(chosen), len(rejected)), model.output_limit
        if limit is not None and longest > limit:
            return f"an output has {longest} tokens, but the classifier reads {limit} at most"
        if not chosen or not rejected:
            return "an output has no token that the classifier knows"
        if chosen == rejected:
            return SAME_TOKENS
        return SpelledTextPair(
            [],
            chosen,
            rejected,
            prompt=pair.prompt,
            chosen_text=pair.chosen,
            rejected_text=pair.rejected,
        )

    return spell


def _example_and_outputs(pair: Preference, *, is_text: bool) -> tuple[Example, Gold, Gold] | str:
    """A preference as outputs of an example, or the reason why it is none."""
    chosen, rejected = pair.chosen_output, pair.rejected_output
    if is_text:
        if chosen is not None or rejected is not None:
            return "its outputs are labels; give the folder of a labeler as --model"
        return Example(pair.prompt), pair.chosen, pair.rejected
    if pair.example is None or chosen is None or rejected is None:
        return "a labeler is judged on candidates of labelled examples, not on texts"
    return pair.example, chosen, rejected


def _rewards(pair: Preference) -> tuple[float, float]:
    """The rewards of both outputs; 1 and 0 where one of them is not known."""
    if pair.chosen_reward is None or pair.rejected_reward is None:
        return 1.0, 0.0
    return pair.chosen_reward, pair.rejected_reward
