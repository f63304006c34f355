"""groot's own encoder: words by their features, read from both sides; learnt from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from groot.errors import ShapeError
from groot.models.aligned.word_features import ABSENT, WordTable
from groot.models.dropout import dropout


@dataclass(frozen=True, slots=True)
class WordEncoderSettings:
    """Sizes of a word encoder, and what is hidden from it in training.

    Args:
        size: of a word's vector.
        hidden: of the state of each reading direction; a word's state has twice as many numbers.
        dropout: share of the numbers of word vectors that are dropped.
        hide_rare: a word that stands n times in the training texts is hidden with probability
            hide_rare / (hide_rare + n), so that only its features are left.
        hide_any: the least probability with which a word is hidden.
        hide_features: share of the words that are hidden together with their features.
        drop_features: share of the features of a word that are dropped.
    """

    size: int = 128
    hidden: int = 128
    dropout: float = 0.4
    hide_rare: float = 0.5
    hide_any: float = 0.03
    hide_features: float = 0.03
    drop_features: float = 0.1


class WordEncoder(nn.Module):
    """States of words: vectors of a word and of its features, summed, then a bidirectional LSTM.

    The gradients of the vectors are sparse: `RowAdamW` steps with them.

    Args:
        table: rows of the training words and their features.
        settings: sizes and dropout.
    """

    def __init__(self, table: WordTable, settings: WordEncoderSettings | None = None) -> None:
        super().__init__()
        self.table = table
        self.settings = settings or WordEncoderSettings()
        size, hidden = self.settings.size, self.settings.hidden
        n_words, n_features = len(table.counts) + 1, len(table.features) + 1
        self.words = nn.Embedding(n_words, size, padding_idx=ABSENT, sparse=True)
        self.features = nn.Embedding(n_features, size, padding_idx=ABSENT, sparse=True)
        for vectors in (self.words, self.features):
            nn.init.normal_(vectors.weight, 0.0, 0.1)
            nn.init.zeros_(vectors.weight[ABSENT])
        self.unknown = nn.Parameter(torch.zeros(size))
        self.norm = nn.LayerNorm(size)
        self.forwards = nn.LSTM(size, hidden, batch_first=True)
        self.backwards = nn.LSTM(size, hidden, batch_first=True)

    @property
    def size(self) -> int:
        """Numbers in a word's state."""
        return 2 * self.settings.hidden

    def forward(self, texts: Sequence[Sequence[str]]) -> Tensor:
        """States [B, T, size] of the words of B texts; what stands behind a text's end is 0.

        Raises:
            ShapeError: a text has no word.
        """
        lengths = torch.tensor([len(words) for words in texts])
        if not len(lengths) or not lengths.all():
            raise ShapeError("an encoder needs texts of at least one word each.")
        device = self.unknown.device
        forms = self.table.form_ids(word for words in texts for word in words)
        vectors = self._vectors(forms)  # [N, size]
        places = torch.arange(int(lengths.max()))
        is_word = (places < lengths[:, None]).to(device)  # [B, T]
        padded = vectors.new_zeros((*is_word.shape, vectors.shape[1]))
        padded[is_word] = vectors
        padded = dropout(padded, self.settings.dropout, is_training=self.training)
        from_end = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
        from_end = from_end[..., None].to(device)  # [B, T, 1] place of each word from the end
        ahead = _read(self.forwards, padded)
        behind = _read(self.backwards, padded.gather(1, from_end.expand_as(padded)))
        states = torch.cat([ahead, behind.gather(1, from_end.expand_as(behind))], dim=-1)
        return states * is_word[..., None]

    def _vectors(self, forms: np.ndarray) -> Tensor:
        """[N, size] of words of these forms [N], normalised."""
        settings, device = self.settings, self.unknown.device
        different, places = in_order(forms)
        rows = torch.from_numpy(self.table.feature_rows(different))  # [forms, MAX_FEATURES]
        weights = (rows != ABSENT).float()
        words = torch.from_numpy(self.table.word_rows(forms))  # [N]
        if self.training:
            weights = functional.dropout(weights, settings.drop_features)
            words = words.masked_fill(self._is_hidden(forms), ABSENT)
        described = functional.embedding_bag(
            rows.to(device),
            self.features.weight,
            per_sample_weights=weights.to(self.features.weight),
            mode="sum",
            padding_idx=ABSENT,
            sparse=self.features.sparse,
        )
        is_unknown = (words == ABSENT)[:, None].to(device)
        vectors = described[torch.from_numpy(places).to(device)] + self.words(words.to(device))
        vectors = vectors + is_unknown * self.unknown
        if self.training:
            is_gone = torch.rand(len(forms)) < settings.hide_features
            vectors = torch.where(is_gone[:, None].to(device), self.unknown, vectors)
        normal: Tensor = self.norm(vectors)
        return normal

    def _is_hidden(self, forms: np.ndarray) -> Tensor:
        """[N] which words are hidden this time, rare ones more often."""
        counts = torch.from_numpy(self.table.word_counts(forms))
        share = self.settings.hide_rare / (self.settings.hide_rare + counts).clamp(min=1e-9)
        return torch.rand(len(forms)) < share.clamp(min=self.settings.hide_any)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes an untrained encoder of the same shape of."""
        return {"table": self.table.to_json(), "settings": asdict(self.settings)}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> WordEncoder:
        """An untrained encoder of a saved shape, for weights to be loaded into."""
        settings = WordEncoderSettings(**saved["settings"])
        return cls(WordTable.from_json(saved["table"]), settings)


def in_order(forms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different ones of N forms as they come first, and the place of each of the N there.

    Ids of forms tell what was read before; what is drawn for a form must not follow from it.

    >>> different, places = in_order(np.array([7, 2, 7]))
    >>> different.tolist(), places.tolist()
    ([7, 2], [0, 1, 0])
    """
    different, first, places = np.unique(forms, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return different[order], rank[places]


def _read(lstm: nn.LSTM, padded: Tensor) -> Tensor:
    """[B, T, hidden] states of B texts that are read from the left.

    One text is read twice: the product of one row with a matrix is summed in another order.
    """
    if len(padded) > 1:
        states: Tensor = lstm(padded)[0]
        return states
    twice: Tensor = lstm(padded.expand(2, -1, -1).contiguous())[0]
    return twice[:1]
