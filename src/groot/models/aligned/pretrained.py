"""States of words from a pretrained encoder: each word's first piece, windows for long texts."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    AutoTokenizer,
    PreTrainedModel,
)

from groot.errors import ShapeError
from groot.models.aligned.word_features import MAX_FORMS
from groot.models.families import supported
from groot.models.loading import as_model_error, refuse_no_model

UNBOUNDED = 512  # pieces at a time of an encoder with relative positions, which knows no end


@dataclass(frozen=True, slots=True)
class EncoderFamily:
    """How encoders of one `config.model_type` are taken.

    Args:
        is_half: an encoder-decoder model, of which the encoder is taken.
        has_places: whether its config's max_position_embeddings bounds the pieces of a text.
        first_place: numbers of places that it keeps for itself.
        needs_space: its tokenizer spells a word that begins a text differently, so that each is
            given the space before it.
    """

    is_half: bool = False
    has_places: bool = True
    first_place: int = 0
    needs_space: bool = False


# A family is listed once `tests/models/aligned/test_pretrained.py` has shown its word states to be
# the same beside any other text.
ENCODER_FAMILIES: dict[str, EncoderFamily] = {
    "bert": EncoderFamily(),
    "distilbert": EncoderFamily(),
    "electra": EncoderFamily(),
    "roberta": EncoderFamily(first_place=2, needs_space=True),
    "xlm-roberta": EncoderFamily(first_place=2),
    "mpnet": EncoderFamily(first_place=2),
    "deberta-v2": EncoderFamily(has_places=False),  # v3 too
    "modernbert": EncoderFamily(needs_space=True),
    "t5": EncoderFamily(is_half=True, has_places=False),
    "mt5": EncoderFamily(is_half=True, has_places=False),
}


def encoder_family(model_type: str) -> EncoderFamily:
    """The family of a model type.

    Raises:
        ModelError: if the type is not in the table.
    """
    refusal = f"encoders of type {model_type!r} are not supported."
    return supported(ENCODER_FAMILIES, model_type, refusal)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a text that the encoder reads at once.

    Args:
        first: the first word read.
        end: one behind the last word read.
        owned: (first, one behind the last) of the words whose states are taken from here.
    """

    first: int
    end: int
    owned: tuple[int, int]


def windows(n_pieces: Sequence[int], capacity: int) -> list[Window]:
    """Windows of at most `capacity` pieces over words, half of each read by the next one too.

    A word's state is taken from the window in which it stands farther from the edge.

    Args:
        n_pieces: of each word, each from 1 to capacity.

    >>> windows([1, 1, 1], 4)
    [Window(first=0, end=3, owned=(0, 3))]
    >>> [(window.first, window.end, window.owned) for window in windows([1] * 6, 4)]
    [(0, 4, (0, 3)), (2, 6, (3, 6))]
    """
    ends = [0, *accumulate(n_pieces)]  # pieces before each word
    spans: list[tuple[int, int]] = []
    first = 0
    while True:
        end = first
        while end < len(n_pieces) and ends[end + 1] - ends[first] <= capacity:
            end += 1
        spans.append((first, end))
        if end == len(n_pieces):
            break
        following = end  # at least one new word in each window
        while following - 1 > first and ends[end] - ends[following - 1] <= capacity // 2:
            following -= 1
        while ends[end + 1] - ends[following] > capacity:  # so that the next word fits
            following += 1
        first = following
    seams = [0]
    for (_, end), (first, _) in pairwise(spans):
        seams.append((first + end + 1) // 2)
    seams.append(len(n_pieces))
    return [Window(first, end, (seams[at], seams[at + 1])) for at, (first, end) in enumerate(spans)]


class PretrainedEncoder(nn.Module):
    """States of words by an encoder of the transformers library.

    Args:
        model: the encoder alone.
        tokenizer: of the same model.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: Any) -> None:
        super().__init__()
        self.model: Any = model  # or its adapters around it
        self.tokenizer = tokenizer
        self.family = encoder_family(model.config.model_type)
        self.size = int(model.config.hidden_size)
        self._pieces: dict[str, list[int]] = {}
        begin = tokenizer.cls_token_id if not self.family.is_half else None
        end = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
        self._before = [] if begin is None else [begin]
        self._behind = [] if end is None else [end]
        places = UNBOUNDED
        if self.family.has_places:
            places = model.config.max_position_embeddings - self.family.first_place
        self.capacity = places - len(self._before) - len(self._behind)

    def pieces(self, word: str) -> list[int]:
        """Ids of a word's pieces, at least one and at most `capacity`."""
        ids = self._pieces.get(word)
        if ids is None:
            spelled = f" {word}" if self.family.needs_space else word
            ids = self.tokenizer.encode(spelled, add_special_tokens=False)[: self.capacity]
            if len(self._pieces) > MAX_FORMS:
                self._pieces.clear()
            self._pieces[word] = ids = ids or [self.tokenizer.unk_token_id]
        return ids

    def forward(self, texts: Sequence[Sequence[str]]) -> Tensor:
        """States [B, T, size] of the words of B texts; what stands behind a text's end is 0.

        Raises:
            ShapeError: a text has no word.
        """
        if not texts or not all(texts):
            raise ShapeError("an encoder needs texts of at least one word each.")
        inputs: list[Tensor] = []
        taken: list[tuple[int, int, list[int]]] = []  # text, first word, places of first pieces
        for text, words in enumerate(texts):
            spelled = [self.pieces(word) for word in words]
            for window in windows([len(ids) for ids in spelled], self.capacity):
                read = spelled[window.first : window.end]
                ids = [*self._before, *(piece for word in read for piece in word), *self._behind]
                places = list(accumulate(map(len, read), initial=len(self._before)))
                first, end = window.owned
                inputs.append(torch.tensor(ids))
                taken.append((text, first, places[first - window.first : end - window.first]))
        return self._states(inputs, taken, (len(texts), max(map(len, texts))))

    def _states(
        self,
        inputs: Sequence[Tensor],
        taken: Sequence[tuple[int, int, list[int]]],
        shape: tuple[int, int],
    ) -> Tensor:
        """States of words out of those of the pieces of all windows."""
        device = self.model.device
        pad = self.tokenizer.pad_token_id or 0
        ids = pad_sequence(list(inputs), batch_first=True, padding_value=pad).to(device)
        lengths = torch.tensor([len(of_window) for of_window in inputs])
        is_piece = (torch.arange(ids.shape[1]) < lengths[:, None]).long().to(device)
        hidden = self.model(input_ids=ids, attention_mask=is_piece).last_hidden_state
        rows, columns, texts, words = list[int](), list[int](), list[int](), list[int]()
        for row, (text, first, places) in enumerate(taken):
            rows += [row] * len(places)
            columns += places
            texts += [text] * len(places)
            words += range(first, first + len(places))
        states = hidden.new_zeros((*shape, self.size))
        return states.index_put(
            (torch.tensor(texts, device=device), torch.tensor(words, device=device)),
            hidden[rows, columns],
        )

    def save(self, folder: Path) -> None:
        """Write an ordinary folder of the transformers library: encoder and tokenizer."""
        model = self.model
        if hasattr(model, "peft_config"):
            model = copy.deepcopy(model).merge_and_unload()
        model.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)


def load_encoder(source: str | Path) -> PretrainedEncoder:
    """A pretrained encoder from a folder or by its name on the Hub, from safetensors only.

    Raises:
        ModelError: its family is not in the table, or it is unsafe or cannot be loaded.
    """
    name = str(source)
    refuse_no_model(source)
    with as_model_error(name):
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    kind = AutoModelForTextEncoding if encoder_family(config.model_type).is_half else AutoModel
    with as_model_error(name):
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = kind.from_pretrained(
            name, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
    return PretrainedEncoder(model, tokenizer)


def add_lora(encoder: PretrainedEncoder, *, r: int, alpha: int, dropout: float) -> None:
    """Put LoRA adapters into every linear map of the encoder; only they are trained then."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules="all-linear")
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
        torch.manual_seed(0)  # a run that is continued makes the same adapters again
        encoder.model = get_peft_model(encoder.model, config)
