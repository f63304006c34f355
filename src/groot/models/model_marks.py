"""The mark of a model: of the files it is loaded from, wherever they are."""

from __future__ import annotations

from pathlib import Path

from transformers.utils import cached_file

from groot.engine.marks import content_files, mark_of_files
from groot.models.model_folder import model_folder

# Written beside a model without changing what it computes, or with a mark of its own.
_BESIDE = ("calibration.json",)
# What loading a model of the Hub may read; its cache can hold the same weights in other forms.
_READ_ENDINGS = (".safetensors", ".json", ".txt", ".model", ".jinja")


def mark_of_model(name: str | Path) -> str | None:
    """SHA-256 over the contents of the files that a model is loaded from.

    Args:
        name: a folder of a run or a model, or a name on the Hub, of which the files in the cache
            of this machine count. Nothing is fetched.

    Returns:
        The mark; None where neither a folder nor the cache holds the model. A calibration beside
        the model does not count: it has a mark of its own.

    Raises:
        CheckpointError: a link in the folder leads out of it.
    """
    folder = model_folder(name)
    if folder.is_dir():
        files = content_files(folder, links_within=_links_within(folder))
        return mark_of_files({key: files[key] for key in files.keys() - set(_BESIDE)})
    snapshot = _cached_snapshot(str(name))
    if snapshot is None:
        return None
    files = content_files(snapshot, links_within=_links_within(snapshot))
    return mark_of_files({key: files[key] for key in files if key.endswith(_READ_ENDINGS)})


def _links_within(folder: Path) -> Path:
    """Where links of a folder may lead: a snapshot of the Hub's cache links to blobs beside it."""
    return folder.parents[1] if folder.parent.name == "snapshots" else folder


def _cached_snapshot(name: str) -> Path | None:
    try:
        config = cached_file(name, "config.json", local_files_only=True)
    except (OSError, ValueError):  # not in the cache, or no name that the Hub could have
        return None
    return None if config is None else Path(config).parent
