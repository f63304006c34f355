"""Models for CTranslate2, a runtime without Python or torch: converted, and run to compare.

CTranslate2 has no grammars. Left to itself it writes what the model finds likeliest in the whole
vocabulary, and a labeler of groot never learnt to write what its grammar forces (the sentinels):
nearly all such targets are illegal. But two things that CTranslate2 has can hold it to a label
grammar, where each label is one token: a vocabulary map, which leaves only the labels, the
sentinels of the text and the end, and suppressed sequences, which leave only what may follow. Its
scores are then log_p over the allowed tokens, and its beams those of groot without the certificate.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from transformers import PreTrainedTokenizerBase

from groot.errors import ModelError, OutputError
from groot.models.codec import Codec
from groot.models.loading import save_model
from groot.models.text_model import TextModel

Quantization = Literal[
    "float32", "float16", "bfloat16", "int16", "int8", "int8_float32", "int8_float16"
]
QUANTIZATIONS: tuple[str, ...] = get_args(Quantization)
NEVER = -1e4  # nats; CTranslate2 counts a suppressed token as less than that, not as impossible
VMAP_FILE = "vmap.txt"
NEEDED = (
    "ctranslate2 is not installed, which this export needs. Install it beside groot:\n"
    "  pip install 'groot-nlp[ctranslate2]'"
)


def convert_to_ctranslate2(
    text_model: TextModel,
    folder: Path,
    *,
    codec: Codec | None = None,
    quantization: str = "float32",
) -> None:
    """Write a model as a CTranslate2 folder, its tokenizer beside it; LoRA is merged first.

    Args:
        text_model: an encoder-decoder or causal model.
        codec: of the labels; an encoder-decoder model gets a vocabulary map for its grammar.
        folder: made; must not exist, and appears only once everything is in it.
        quantization: how weights are stored, one of QUANTIZATIONS. Where the machine that loads
            them has no such arithmetic, CTranslate2 turns them into what it has.

    Raises:
        ModelError: if CTranslate2 is not installed or cannot convert the architecture.
        OutputError: if the folder exists or cannot be written.
    """
    converters = _imported().converters
    if folder.exists():
        raise OutputError(f"{folder} exists already. Name another --out, or remove it first.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        room = tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error}). Name another --out.") from error
    with room as place:
        source, made = Path(place) / "transformers", Path(place) / "made"
        save_model(text_model, source)
        _name_old_settings(source / "config.json")
        try:
            converters.TransformersConverter(str(source)).convert(
                str(made), quantization=quantization
            )
        except (ValueError, AttributeError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"CTranslate2 cannot convert this {text_model.config.model_type} model: {error}"
            ) from error
        _name_tokens(made / "config.json", text_model.tokenizer)
        if codec is not None and not text_model.is_causal and grammar_rules(codec, 1) is not None:
            (made / VMAP_FILE).write_text(_vocabulary_map(codec), encoding="utf-8")
        for path in sorted(source.glob("*token*.json")):
            shutil.copyfile(path, made / path.name)
        try:
            made.replace(folder)
        except OSError as error:  # somebody made it meanwhile
            raise OutputError(f"{folder}: cannot be written ({error}).") from error


def _imported() -> Any:
    try:
        import ctranslate2
        import ctranslate2.converters
    except ImportError as error:
        raise ModelError(NEEDED) from error
    return ctranslate2


def _name_old_settings(config: Path) -> None:
    """Settings that the converter reads and newer transformers no longer writes."""
    settings = json.loads(config.read_text(encoding="utf-8"))
    if settings.get("model_type") == "bart":
        # transformers knows BART with norms behind each layer and behind the embeddings only
        settings |= {"normalize_before": False, "normalize_embedding": True}
    config.write_text(json.dumps(settings), encoding="utf-8")


def _name_tokens(config: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Special tokens that a tokenizer lacks: CTranslate2 wants each to be some token."""
    settings = json.loads(config.read_text(encoding="utf-8"))
    for name in ("bos_token", "eos_token", "unk_token", "decoder_start_token"):
        if name in settings and settings[name] is None:
            settings[name] = tokenizer.eos_token
    config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _vocabulary_map(codec: Codec) -> str:
    """Which target tokens a text may need: all labels and the end, and the sentinels it holds."""
    name = codec.tokenizer.convert_ids_to_tokens
    end = codec.glue_ids(1)[-1]
    always = [name(int(token)) for token in (*codec.choice_ids.tolist(), *end)]
    lines = ["\t" + " ".join(always)]
    for sentinel in codec.form.sentinels(codec.max_words):
        (token,) = codec.symbol_ids(sentinel)
        lines.append(f"{name(token)}\t{name(token)}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class GrammarRules:
    """A grammar for targets of one number of slots, as CTranslate2 can keep it.

    Args:
        begins: tokens that every target begins with.
        forbidden: sequences of tokens that no target holds.
        length: tokens of a target at most, end included.
    """

    begins: tuple[int, ...]
    forbidden: tuple[tuple[int, ...], ...]
    length: int


def grammar_rules(codec: Codec, n_slots: int) -> GrammarRules | None:
    """The rules for targets of n_slots slots; None where forbidden sequences cannot say them.

    They can where each symbol is one token and what may follow depends on the last choice only;
    and either one token is forced before each slot (Sentinel+Tag), or there is one slot with
    nothing before it (classes).
    """
    grammar, glue = codec.grammar, codec.glue_ids(n_slots)
    choices = codec.choice_ids.tolist()
    after: dict[int, int] = {}
    closes: dict[int, bool] = {}
    for state, tokens in enumerate(grammar.tokens):
        for place, token in enumerate(tokens):
            following, closing = grammar.next_states[state][place], grammar.closes[state][place]
            if (after.setdefault(token, following), closes.setdefault(token, closing)) != (
                following,
                closing,
            ):
                return None
    if not grammar.one_token_symbols or len(glue[-1]) != 1:
        return None
    end = glue[-1][0]
    tokenizer = codec.tokenizer
    used = {*choices, *(token for tokens in glue for token in tokens)}
    special = {tokenizer.unk_token_id, tokenizer.pad_token_id, tokenizer.bos_token_id} - {None}
    rules: list[tuple[int, ...]] = [(int(token),) for token in sorted(special - used)]

    def illegal(state: int) -> list[int]:
        return [token for token in choices if token not in grammar.tokens[state]]

    if n_slots == 1 and not glue[0]:
        if illegal(0):
            return None
        for token in choices:
            wrong = choices if closes[token] else [*illegal(after[token]), end]
            rules += [(token, other) for other in wrong]
        return GrammarRules((), tuple(rules), len(choices) + 2)
    if not all(closes.values()) or any(len(tokens) != 1 for tokens in glue):
        return None
    forced = [tokens[0] for tokens in glue]
    rules += [(choice, other) for choice in choices for other in choices]
    rules += [(forced[0], token) for token in illegal(0)]
    for slot, mark in enumerate(forced[:-1]):
        rules += [(mark, other) for other in forced]
        for token in choices:
            rules += [(mark, token, other) for other in forced if other != forced[slot + 1]]
            if slot:
                rules += [(token, mark, other) for other in illegal(after[token])]
    return GrammarRules((forced[0],), tuple(rules), 2 * n_slots + 1)


class CTranslate2Model:
    """A converted model, run on the CPU.

    Args:
        folder: what `convert_to_ctranslate2` wrote.
        codec: that of the model.
        compute_type: arithmetic; "default" is that of the stored weights where the machine has it.
        threads: of one batch.

    Raises:
        ModelError: if CTranslate2 is not installed or cannot load the folder.
    """

    def __init__(
        self, folder: Path, codec: Codec, *, compute_type: str = "default", threads: int = 1
    ) -> None:
        ctranslate2 = _imported()
        ctranslate2.set_log_level(logging.ERROR)
        self.codec = codec
        self.keeps_grammar = (folder / VMAP_FILE).is_file()
        self._rules: dict[int, tuple[GrammarRules, list[list[str]]]] = {}
        kind = ctranslate2.Generator if codec.is_causal else ctranslate2.Translator
        settings = {"compute_type": compute_type, "inter_threads": 1, "intra_threads": threads}
        try:
            self._model: Any = kind(str(folder), device="cpu", **settings)
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{folder}: CTranslate2 cannot load it: {error}") from error

    @property
    def compute_type(self) -> str:
        """The arithmetic in use."""
        return str(self._model.compute_type)

    def _texts(self, rows: Sequence[Sequence[int]]) -> list[list[str]]:
        return [self.codec.tokenizer.convert_ids_to_tokens(list(ids)) for ids in rows]

    def search(
        self,
        inputs: Sequence[Sequence[int]],
        *,
        k: int = 1,
        max_new_tokens: int,
        min_new_tokens: int = 1,
    ) -> list[list[list[int]]]:
        """The k targets that beam search of width k ends with (k = 1: greedy), without a grammar.

        Args:
            inputs: token ids of each input.
            max_new_tokens: of a target; reached by those that do not end.
            min_new_tokens: no target ends before.

        Returns:
            token ids of each target, best first, the end token included where it was written.
        """
        end = self.codec.tokenizer.eos_token
        common = {
            "beam_size": k,
            "num_hypotheses": k,
            "length_penalty": 0,
            "max_batch_size": 0,
            "end_token": end,
            "return_end_token": True,
        }
        if self.codec.is_causal:
            results = self._model.generate_batch(
                self._texts(inputs),
                max_length=max_new_tokens,
                min_length=min_new_tokens,
                include_prompt_in_result=False,
                **common,
            )
            return [[list(ids) for ids in result.sequences_ids] for result in results]
        results = self._model.translate_batch(
            self._texts(inputs),
            max_decoding_length=max_new_tokens,
            min_decoding_length=min_new_tokens,
            **common,
        )
        return [self._ids(result) for result in results]

    def _ids(self, result: Any) -> list[list[int]]:
        ids_of = self.codec.tokenizer.convert_tokens_to_ids
        return [list(ids_of(tokens)) for tokens in result.hypotheses]

    def search_legal(
        self, inputs: Sequence[Sequence[int]], n_slots: Sequence[int], *, k: int = 1
    ) -> list[list[tuple[list[int], float]]]:
        """The same held to the label grammar; texts with equally many slots run together.

        Args:
            inputs: token ids of each input.
            n_slots: slots of each target, at least 1.

        Returns:
            per input, best first: token ids of a target and its log_p over the allowed tokens.
            Fewer than k where no more targets are legal.

        Raises:
            ModelError: if the folder was written without a vocabulary map.
        """
        if not self.keeps_grammar:
            raise ModelError("this export cannot be held to its label grammar (no vmap.txt in it)")
        targets: list[list[tuple[list[int], float]]] = [[] for _ in inputs]
        for n in sorted(set(n_slots)):
            places = [place for place, slots in enumerate(n_slots) if slots == n]
            rules, forbidden = self._rules_of(n)
            begins = self._texts([rules.begins])[0]
            results = self._model.translate_batch(
                self._texts([inputs[place] for place in places]),
                target_prefix=[begins] * len(places) if begins else None,
                suppress_sequences=forbidden,
                use_vmap=True,
                max_decoding_length=rules.length,
                beam_size=k,
                num_hypotheses=k,
                length_penalty=0,
                max_batch_size=0,
                return_scores=True,
                return_end_token=True,
            )
            for place, result in zip(places, results, strict=True):
                targets[place] = [
                    (ids, score)
                    for ids, score in zip(self._ids(result), result.scores, strict=True)
                    if score > NEVER
                ]
        return targets

    def _rules_of(self, n_slots: int) -> tuple[GrammarRules, list[list[str]]]:
        if n_slots not in self._rules:
            rules = grammar_rules(self.codec, n_slots)
            assert rules is not None  # the folder would hold no vocabulary map
            self._rules[n_slots] = rules, self._texts(rules.forbidden)
        return self._rules[n_slots]
