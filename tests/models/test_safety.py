"""Model folders with a payload: it must not run, and the folder must be refused (M1, M3)."""

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from groot.errors import ModelError
from groot.models.safety import refuse_unsafe_files


class Payload:
    """Whatever unpickles it writes the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return (os.system, (f"touch {self.canary}",))


def good_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "t5", "architectures": ["T5"]}))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"auto_map": 1}}}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_file": "/root/of/another/machine/tokenizer.json"})
    )
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "README.md").write_text("# A model")
    (folder / "spiece.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    save_file({"w": torch.zeros(2)}, folder / "model.safetensors")
    np.save(folder / "numbers.npy", np.arange(3))
    (folder / "checkpoint-500").mkdir(exist_ok=True)
    (folder / "checkpoint-500" / "optimizer.pt").write_bytes(b"never read")
    return folder


def pickled(name: str) -> Callable[[Path, Path], None]:
    def write(folder: Path, canary: Path) -> None:
        (folder / name).write_bytes(pickle.dumps(Payload(canary)))

    return write


def torch_saved(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, canary: torch.save({"w": Payload(canary)}, folder / name)


def settings(name: str, **values) -> Callable[[Path, Path], None]:
    def write(folder: Path, canary: Path) -> None:
        path = folder / name
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**before, **values}))
        code = f"import os; os.system('touch {canary}')\n"
        (folder / "checkpoint-500" / "code.py").write_text(code)

    return write


def code(name: str) -> Callable[[Path, Path], None]:
    def write(folder: Path, canary: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"import os; os.system('touch {canary}')\n")

    return write


def object_array(folder: Path, canary: Path) -> None:
    np.save(folder / "embeddings.npy", np.array([Payload(canary)], dtype=object))


def object_arrays(folder: Path, canary: Path) -> None:
    np.savez(folder / "embeddings.npz", fine=np.arange(2), bad=np.array([Payload(canary)]))


def link_out(folder: Path, canary: Path) -> None:
    (folder / "vocab.txt").symlink_to("/etc/hostname")


def link_folder_out(folder: Path, canary: Path) -> None:
    (folder / "additional_chat_templates").symlink_to("/etc")


def link_to_nothing(folder: Path, canary: Path) -> None:
    (folder / "vocab.txt").symlink_to(folder / "absent")


def pipe(folder: Path, canary: Path) -> None:
    os.mkfifo(folder / "vocab.txt")


def deep_json(folder: Path, canary: Path) -> None:
    (folder / "config.json").write_text("[" * 200_000 + "]" * 200_000)


def cut_json(folder: Path, canary: Path) -> None:
    (folder / "config.json").write_text('{"model_type": ')


def joblib_file(folder: Path, canary: Path) -> None:
    joblib.dump(Payload(canary), folder / "head.joblib")


def long_header_array(folder: Path, canary: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"1," * 40_000 + b")}"
    (folder / "a.npy").write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header)


def zip_with_pickle(folder: Path, canary: Path) -> None:
    with zipfile.ZipFile(folder / "weights.dat", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(canary)))


INDEX = "model.safetensors.index.json"
HOSTILE = {
    "pytorch_model.bin": (torch_saved("pytorch_model.bin"), "may hold a pickle"),
    "training_args.bin": (torch_saved("training_args.bin"), "may hold a pickle"),
    "adapter_model.bin": (torch_saved("adapter_model.bin"), "may hold a pickle"),
    "optimizer.pt": (torch_saved("optimizer.pt"), "may hold a pickle"),
    "rng_state.pth": (torch_saved("rng_state.pth"), "may hold a pickle"),
    "pickle": (pickled("scaler.pkl"), "may hold a pickle"),
    "upper case": (pickled("SCALER.PKL"), "may hold a pickle"),
    "joblib": (joblib_file, "may hold a pickle"),
    "pickle by another name": (pickled("weights"), "holds a pickle"),
    "pickle named safetensors": (pickled("model.safetensors"), "holds a pickle"),
    "torch file named safetensors": (torch_saved("model.safetensors"), "holds a pickle"),
    "zip": (zip_with_pickle, "holds a pickle"),
    "object array": (object_array, "Python objects"),
    "object arrays": (object_arrays, "Python objects"),
    "array with a long header": (long_header_array, "not a readable NumPy array"),
    "auto_map": (
        settings("config.json", auto_map={"AutoModel": "checkpoint-500/code.Model"}),
        "auto_map",
    ),
    "auto_map inside": (
        settings("config.json", text_config={"auto_map": {"AutoConfig": "code.Config"}}),
        "auto_map",
    ),
    "tokenizer auto_map": (
        settings("tokenizer_config.json", auto_map={"AutoTokenizer": ["code.Tok", None]}),
        "auto_map",
    ),
    "model code": (code("modeling_evil.py"), "program code"),
    "tokenizer code": (code("tokenization_evil.py"), "program code"),
    "generate code": (code("custom_generate/generate.py"), "program code"),
    "compiled code": (code("evil.so"), "program code"),
    "adapter that imports": (
        settings("adapter_config.json", auto_mapping={"parent_library": "antigravity"}),
        "antigravity",
    ),
    "adapter with megatron": (
        settings("adapter_config.json", megatron_config={"a": 1}, megatron_core="antigravity"),
        "megatron_core",
    ),
    "attention from the Hub": (
        settings("config.json", _attn_implementation="someone/kernel"),
        "code to download",
    ),
    "index that leads out": (settings(INDEX, weight_map={"w": "../w.safetensors"}), "'../w"),
    "index with a root": (settings(INDEX, weight_map={"w": "/w.safetensors"}), "'/w"),
    "index for Windows": (settings(INDEX, weight_map={"w": "C:\\w.safetensors"}), "outside"),
    "index of something else": (settings(INDEX, weight_map={"w": 3}), "outside"),
    "weights that lead out": (
        settings("config.json", transformers_weights="../../w.safetensors"),
        "transformers_weights",
    ),
    "tokenizer that leads out": (
        settings("tokenizer_config.json", fast_tokenizer_files=["../tokenizer.9.json"]),
        "fast_tokenizer_files",
    ),
    "link out": (link_out, "leads out of the folder"),
    "folder link out": (link_folder_out, "leads out of the folder"),
    "link to nothing": (link_to_nothing, "a link to nothing"),
    "pipe": (pipe, "not an ordinary file"),
    "deep JSON": (deep_json, "nested too deeply"),
    "cut JSON": (cut_json, "not readable as JSON"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_folder_is_refused_and_runs_nothing(tmp_path, kind):
    write, reason = HOSTILE[kind]
    canary = tmp_path / "canary"
    folder = good_folder(tmp_path / "model")
    write(folder, canary)
    with pytest.raises(ModelError) as caught:
        refuse_unsafe_files(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder} is refused")
    assert reason in message
    assert not canary.exists()


def test_the_payloads_work(tmp_path):
    """Or the canaries above would prove nothing."""
    for number, kind in enumerate(("pickle", "joblib", "optimizer.pt", "object array")):
        canary = tmp_path / f"canary-{number}"
        folder = good_folder(tmp_path / str(number))
        HOSTILE[kind][0](folder, canary)
        new = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        if kind == "pickle":
            pickle.loads(new.read_bytes())
        elif kind == "joblib":
            joblib.load(new)
        elif kind == "optimizer.pt":
            torch.load(new, weights_only=False)
        else:
            np.load(new, allow_pickle=True)
        assert canary.exists(), kind


def test_an_ordinary_folder_is_fine(tmp_path):
    folder = good_folder(tmp_path)
    index = {"metadata": {}, "weight_map": {"w": "model-00001-of-00002.safetensors"}}
    (folder / INDEX).write_text(json.dumps(index))
    adapter = {
        "auto_mapping": {"parent_library": "transformers.models.t5"},
        "megatron_config": None,
    }
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    assert refuse_unsafe_files(folder) is None  # an unsafe one raises


def test_a_snapshot_in_the_cache_of_the_hub_is_fine_but_not_a_link_further_out(tmp_path):
    home = tmp_path / "models--google--t5"
    (home / "blobs").mkdir(parents=True)
    (home / "blobs" / "ab12").write_text("{}")
    snapshot = home / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to("../../blobs/ab12")
    refuse_unsafe_files(snapshot)
    (home / "refs").write_text("")
    (snapshot / "vocab.json").symlink_to("../../refs")
    with pytest.raises(ModelError, match="leads out"):
        refuse_unsafe_files(snapshot)


def test_everything_wrong_is_told_at_once(tmp_path):
    folder = good_folder(tmp_path)
    for kind in ("pickle", "model code", "auto_map"):
        HOSTILE[kind][0](folder, tmp_path / "canary")
    with pytest.raises(ModelError) as caught:
        refuse_unsafe_files(folder)
    assert len([line for line in str(caught.value).splitlines() if line.startswith("  ")]) == 3 + 3


def test_what_is_no_folder_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="not a model folder"):
        refuse_unsafe_files(tmp_path / "absent")
