"""Models from the Hub, from a folder, or made on the spot; symbols added, embeddings grown."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
)
from transformers.utils.logging import disable_progress_bar

from groot.errors import ModelError
from groot.models.codec import UNDERSCORES, LabelStyle, symbols_to_add
from groot.models.families import family_of
from groot.models.safety import refuse_unsafe_files
from groot.models.text_model import TextModel
from groot.targets.format import LabelFormat

logger = logging.getLogger(__name__)

# transformers draws bars for shards even where loading takes no time
disable_progress_bar()


def load_model(name: str | Path, *, dtype: torch.dtype = torch.float32) -> TextModel:
    """A model and its tokenizer, from safetensors only; nothing in the folder is ever run.

    Args:
        name: a folder, or a name on the Hub (needs a network once).
        dtype: of the weights; float32 is what T5 is safe in.

    Raises:
        ModelError: if the folder is missing or unsafe, or the architecture is not supported.
    """
    source = str(name)
    family = family_of(model_type_of(name))
    auto = AutoModelForCausalLM if family.architecture == "causal" else AutoModelForSeq2SeqLM
    with as_model_error(source):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    with as_model_error(source):
        loaded: Any = auto.from_pretrained(
            source,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=dtype,
            output_loading_info=True,
        )
    model, info = loaded
    lacking = sorted(set(info["missing_keys"]) & {name for name, _ in model.named_parameters()})
    if lacking:  # transformers would go on with random numbers in their place
        raise ModelError(
            f"{name}: {len(lacking)} of its weights are not in its files: {', '.join(lacking[:3])}"
            + (", ..." if len(lacking) > 3 else "")
        )
    if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        raise ModelError(f"{name}: its weights hold NaN or infinite values")
    return TextModel(model, tokenizer)


def model_type_of(name: str | Path) -> str:
    """What the config of a model in a folder or on the Hub says of its architecture.

    Raises:
        ModelError: if there is none, or the folder is unsafe.
    """
    refuse_no_model(name)
    with as_model_error(str(name)):
        config = AutoConfig.from_pretrained(str(name), trust_remote_code=False)
    return str(config.model_type)


def refuse_no_model(name: str | Path) -> None:
    """Refuse a folder that holds no model, or an unsafe one; a name on the Hub passes.

    Raises:
        ModelError: it is refused.
    """
    folder = Path(name)
    if folder.exists() or str(name).startswith((".", "/", "~")):
        if not (folder / "config.json").is_file():
            raise ModelError(f"{name}: no model here (config.json is missing)")
        refuse_unsafe_files(folder)


class as_model_error:
    """Turn the many errors of loading into one that names the model."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, ModelError):
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise ModelError(
                f"{self.source}: cannot be loaded as a model: {reason}\n"
                "  Give a folder that save_pretrained wrote (safetensors), or a name on the Hub"
                " that this machine can reach."
            ) from error


def add_symbols(
    text_model: TextModel, form: LabelFormat, *, label_style: LabelStyle, max_words: int
) -> int:
    """Add the tokens that a format needs; a label's embedding starts as the mean of its name's.

    Returns:
        how many tokens were added.
    """
    tokenizer, model = text_model.tokenizer, text_model.model
    new = symbols_to_add(form, tokenizer, label_style=label_style, max_words=max_words)
    if not new:
        return 0
    names = {
        token: tokenizer.encode(
            token.removeprefix("<tag:").removesuffix(">").translate(UNDERSCORES),
            add_special_tokens=False,
        )
        for token in new
        if token.startswith("<tag:")
    }
    tokenizer.add_tokens(new, special_tokens=True)
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model.resize_token_embeddings(len(tokenizer), mean_resizing=True)
    tables = {id(t): t for t in (model.get_input_embeddings(), model.get_output_embeddings())}
    with torch.no_grad():
        for token, pieces in names.items():
            row = tokenizer.convert_tokens_to_ids(token)
            for table in tables.values():
                if pieces:
                    table.weight[row] = table.weight[pieces].mean(0)
    logger.info("added %d tokens to the tokenizer", len(new))
    return len(new)


def add_lora(text_model: TextModel, *, r: int, alpha: int, dropout: float) -> TextModel:
    """The model with LoRA adapters; its own weights stay as they are, save the embeddings.

    The embeddings are trained whole, since the format's new tokens live there.
    """
    from peft import LoraConfig, get_peft_model

    causal = text_model.is_causal
    wanted = {"q", "v", "q_proj", "v_proj", "c_attn"}
    names = {name.rsplit(".", 1)[-1] for name, _ in text_model.model.named_modules()}
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=sorted(wanted & names),
        task_type="CAUSAL_LM" if causal else "SEQ_2_SEQ_LM",
        fan_in_fan_out="c_attn" in names,
    )
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        # peft still asks transformers by an old name
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(0)  # a run that is continued makes the same adapters again
        wrapped = get_peft_model(text_model.model, config)
    base: Any = wrapped.get_base_model()
    base.get_input_embeddings().weight.requires_grad_(True)
    return TextModel(wrapped, text_model.tokenizer)


def save_model(text_model: TextModel, folder: Path) -> None:
    """Write an ordinary transformers folder; LoRA adapters are merged into a copy first."""
    folder.mkdir(parents=True, exist_ok=True)
    model = text_model.model
    if hasattr(model, "peft_config"):
        import copy

        model = copy.deepcopy(model).merge_and_unload()
    model.save_pretrained(folder, safe_serialization=True)
    text_model.tokenizer.save_pretrained(folder)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ModelError: if the file is missing or holds no object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: expected a JSON object")
    return value
