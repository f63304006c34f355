"""Aligned labelers on disk: safetensors for weights, JSON for the rest, nothing that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from groot.engine.files import write_json
from groot.errors import ModelError
from groot.models.aligned.labeler import AlignedLabeler
from groot.models.aligned.word_encoder import WordEncoder
from groot.models.loading import as_model_error, read_json

SHAPE_FILE = "aligned.json"
WEIGHTS_FILE = "aligned.safetensors"
ENCODER_FOLDER = "encoder"  # of a pretrained encoder: an ordinary transformers folder


def save_aligned(labeler: AlignedLabeler, folder: Path) -> None:
    """Write a labeler that `load_aligned` reads, into a folder that is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = labeler.encoder
    shape: dict[str, Any] = {
        "tags": list(labeler.tags),
        "classes": list(labeler.classes),
        "decoder": labeler.settings,
    }
    weights = labeler.state_dict()
    if isinstance(encoder, WordEncoder):
        shape["words"] = encoder.to_json()
    else:
        encoder.save(folder / ENCODER_FOLDER)
        weights = {name: weight for name, weight in weights.items() if name.startswith("decoder.")}
    save_file(
        {name: weight.contiguous() for name, weight in weights.items()}, folder / WEIGHTS_FILE
    )
    write_json(folder / SHAPE_FILE, shape)


def load_aligned(folder: Path) -> AlignedLabeler:
    """The labeler that `save_aligned` wrote, in eval mode.

    Raises:
        ModelError: a file is missing or unsafe, or the files do not belong together.
    """
    shape = read_json(folder / SHAPE_FILE)
    encoder: Any
    if "words" in shape:
        encoder = WordEncoder.from_json(shape["words"])
    else:
        from groot.models.aligned.pretrained import load_encoder

        encoder = load_encoder(folder / ENCODER_FOLDER)
    labeler = AlignedLabeler(encoder, shape["tags"], shape["classes"], **shape["decoder"])
    with as_model_error(str(folder / WEIGHTS_FILE)):
        weights = load_file(folder / WEIGHTS_FILE)
    prefix = "" if "words" in shape else "decoder."
    wanted = {name for name in labeler.state_dict() if name.startswith(prefix)}
    try:
        missing, unexpected = labeler.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ModelError(f"{folder / WEIGHTS_FILE}: not the weights of {SHAPE_FILE}.") from error
    if unexpected or wanted & set(missing):
        raise ModelError(f"{folder / WEIGHTS_FILE}: not the weights of {SHAPE_FILE}.")
    return labeler.eval()
