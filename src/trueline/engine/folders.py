"""Model folders on disk: which folder a name means, what must be in it, and the digest of its weights."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_file, digest_of
from trueline.engine.bundled import locate
from trueline.errors import TargetError

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_DECIDES = (".safetensors", ".json", ".jinja", ".model", ".txt")
BASE = "trained_on.json"
"""In an adapter's folder: the digest of the weights that it was trained on."""


def folder_of(text: str | Path, beside: Path | None = None) -> Path:
    """The folder that a path, `bundled:NAME` or `hf:NAME` names (from the local cache; TRUELINE_ALLOW_DOWNLOAD=1 lets it
    be fetched). `beside`: where a relative path may also start from."""
    name = str(text)
    if name.startswith("bundled:"):
        return locate(name.removeprefix("bundled:"))
    if name.startswith("hf:"):
        return _cached(name.removeprefix("hf:"))
    if beside is not None and not Path(name).exists() and (beside / name).exists():
        return beside / name
    return Path(name)


def _cached(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    allow = os.environ.get("TRUELINE_ALLOW_DOWNLOAD") == "1"
    try:
        return Path(snapshot_download(name, local_files_only=not allow))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as e:
        what = f"hf:{name} is not in the local cache ({type(e).__name__})"
        raise TargetError(what, remedy="download it first, or set TRUELINE_ALLOW_DOWNLOAD=1") from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a model folder. Raises `TargetError` with the line."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as e:
        raise TargetError(f"not valid JSON: {e.msg}", remedy="write the file anew", file=path, line=e.lineno) from None
    except (OSError, UnicodeDecodeError) as e:
        raise TargetError(f"cannot read {path}: {e}", remedy="check the file") from None
    if not isinstance(found, dict):
        raise TargetError(f"expected a JSON object, got {type(found).__name__}", remedy="mend the file", file=path)
    return found


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds a LoRA adapter and no whole model."""
    return (folder / "adapter_config.json").exists() and not (folder / "config.json").exists()


def check_folder(folder: Path) -> None:
    """Raises `TargetError` where the folder cannot be a model: absent, no config, weights that are no whole safetensors
    or could run code, code of its own."""
    if not folder.is_dir():
        raise TargetError(f"no model folder at {folder}", remedy="give a folder, hf:NAME or bundled:harbor")
    adapter = is_adapter(folder)
    if not adapter and not (folder / "config.json").exists():
        what = f"{folder} has neither config.json nor adapter_config.json"
        raise TargetError(what, remedy="give a Hugging Face model folder")
    config = read_json(folder / ("adapter_config.json" if adapter else "config.json"))
    beside = folder / "tokenizer_config.json"
    for found, part in ((config, "architecture"), (read_json(beside) if beside.exists() else {}, "tokenizer")):
        if "auto_map" in found:
            what = f"{folder} needs code of its own ({', '.join(map(str, found['auto_map']))}), which is never run"
            raise TargetError(what, remedy=f"use a model whose {part} is part of transformers")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLES)
        what = f"{folder} has no .safetensors"
        what += f", only {', '.join(pickles[:3])}, which could run code when read" if pickles else ""
        raise TargetError(what, remedy="convert the weights to safetensors")
    for path in weights:
        _check_whole(path, quantized="quantization_config" in config)


def _check_whole(path: Path, quantized: bool) -> None:
    """A safetensors file says in its header how long it is: a broken download is found before anything is loaded. `quantized`: config.json
    says how whole numbers become weights; without that they would be taken for the weights themselves."""
    size = path.stat().st_size
    with path.open("rb") as f:
        start = f.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(size - 8, 100_000_000):
            pointer = ", it may be a Git LFS pointer" if size < 1024 else ""
            what = f"{path} is no safetensors file ({size} bytes{pointer})"
            raise TargetError(what, remedy="fetch the file again")
        try:
            header = json.loads(f.read(length))
            tensors = {n: t for n, t in header.items() if n != "__metadata__"}
            end = max((int(t["data_offsets"][1]) for t in tensors.values()), default=0)
            whole_numbers = [n for n, t in tensors.items() if n.endswith(".weight") and str(t["dtype"])[0] in "IU"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise TargetError(f"{path} has no readable header", remedy="fetch the file again") from None
    if 8 + length + end != size:
        what = f"{path} is cut off: {size} bytes, its header says {8 + length + end}"
        raise TargetError(what, remedy="fetch or save the file again")
    if whole_numbers and not quantized:
        what = f"{path} holds weights as whole numbers (e.g. {whole_numbers[0]}) and config.json has no quantization_config"
        raise TargetError(what, remedy="take the model in float32, bfloat16 or float16")


def check_base(adapter: Path, base: Path) -> None:
    """Raises `TargetError` where an adapter stands on another adapter, or on other weights than it was trained on (`BASE` of `train.lora`
    says which those were; adapters from elsewhere say nothing)."""
    if is_adapter(base):
        what = f"the base {base} of the adapter {adapter} is an adapter itself"
        raise TargetError(what, remedy="name a whole model in base_model_name_or_path, e.g. OUT/model of the run that made it")
    if not (adapter / BASE).exists():
        return
    known, found = read_json(adapter / BASE).get("weights"), weights_digest(base, (".safetensors",))
    if known != found:
        what = f"the adapter {adapter} was trained on other weights (digest {str(known)[:12]}) than those of {base} ({found[:12]})"
        raise TargetError(what, remedy=f"name its own base in base_model_name_or_path, or remove {BASE} if another one is meant")


def weights_digest(folder: Path, kinds: tuple[str, ...] = _DECIDES) -> str:
    """SHA-256 over the names and digests of all weight, config and tokenizer files (of those with the suffixes `kinds`)."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in kinds)
    known = _read_known()
    found, changed = {}, False
    for path in files:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}"
        if key not in known:
            known[key], changed = digest_file(path), True
        found[path.name] = known[key]
    if changed:
        _write_known(known)
    return digest_of(found)


def _known_path() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "trueline" / "file_digests.json"


def _read_known() -> dict[str, str]:
    """Digests by path, size and times, so that large files are read once. A cache that cannot be read is empty."""
    try:
        found = json.loads(_known_path().read_text())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _write_known(known: dict[str, str]) -> None:
    path = _known_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as f:
            json.dump(dict(list(known.items())[-2000:]), f)
        os.replace(f.name, path)
    except OSError:
        return  # a cache: without it the files are read again
