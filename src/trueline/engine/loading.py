"""Loads a local model: a Hugging Face folder (or a LoRA adapter folder), safetensors only, no code from the folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trueline.charter.digests import digest_file, digest_of
from trueline.engine.bundled import locate
from trueline.errors import TargetError


@dataclass(frozen=True, slots=True)
class LocalModel:
    """`model` and `tokenizer` are transformers objects; `digest` is that of all weight and tokenizer files;
    `stops` all token ids that end a turn; `notes` what a person should know (fallbacks)."""

    model: Any
    tokenizer: Any
    path: Path
    digest: str
    stops: frozenset[int]
    notes: tuple[str, ...]

    @property
    def context(self) -> int:
        """The longest sequence in tokens."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2048)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        found = next(self.model.parameters()).device
        assert isinstance(found, torch.device)
        return found


def folder_of(text: str | Path) -> Path:
    """The folder that a path, `bundled:NAME` or `hf:NAME` (from the local cache only) names."""
    name = str(text)
    if name.startswith("bundled:"):
        return locate(name.removeprefix("bundled:"))
    if name.startswith("hf:"):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        allow = os.environ.get("TRUELINE_ALLOW_DOWNLOAD") == "1"
        try:
            return Path(snapshot_download(name.removeprefix("hf:"), local_files_only=not allow))
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as e:
            what = f"{name} is not in the local cache ({type(e).__name__})"
            raise TargetError(what, remedy="download it first, or set TRUELINE_ALLOW_DOWNLOAD=1") from None
    return Path(name)


def weights_digest(folder: Path) -> str:
    """SHA-256 over the names and digests of all weight, config and tokenizer files."""
    kinds = (".safetensors", ".json", ".jinja", ".model", ".txt")
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in kinds and p.name != "README.md")
    return digest_of({p.name: digest_file(p) for p in files})


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise TargetError(f"no model folder at {folder}", remedy="give a folder, hf:NAME or bundled:harbor")
    if not (folder / "config.json").exists() and not (folder / "adapter_config.json").exists():
        raise TargetError(f"{folder} has neither config.json nor adapter_config.json", remedy="give a Hugging Face folder")
    if not list(folder.glob("*.safetensors")):
        pickles = [p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".ckpt")]
        what = f"{folder} has no .safetensors" + (f", only {', '.join(pickles[:3])}, which could run code" if pickles else "")
        raise TargetError(what, remedy="convert the weights to safetensors")


def _stops(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every id that ends a turn: of the tokenizer, of the generation config (one or several) and of the template."""
    found: set[int] = set()
    for value in (
        tokenizer.eos_token_id,
        getattr(model.generation_config, "eos_token_id", None),
        model.config.eos_token_id,
    ):
        found.update(value if isinstance(value, list | tuple) else [value] if value is not None else [])
    known = tokenizer.get_vocab()
    for name in ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "</s>"):
        if name in known and (tokenizer.chat_template or "").find(name) >= 0:
            found.add(known[name])
    return frozenset(int(i) for i in found)


def load_local(text: str | Path, *, dtype: str = "float32", device: str | None = None) -> LocalModel:
    """Loads model and tokenizer. Raises `TargetError` with a remedy for everything a user can have wrong."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = folder_of(text)
    _check(folder)
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    adapter, base = None, folder
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        adapter = folder
        base = folder_of(json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"])
        _check(base)
    try:
        source = folder if (folder / "tokenizer_config.json").exists() else base
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            base, dtype=getattr(torch, dtype), trust_remote_code=False, use_safetensors=True, local_files_only=True
        )
        if adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as e:
        why = " ".join(str(e).split())[:200]
        raise TargetError(f"cannot load {folder}: {why}", remedy="check config.json, tokenizer and weights of the folder") from None
    notes = []
    if not tokenizer.chat_template:
        notes.append("no chat template: turns are written as 'User: ...' and 'Assistant: ...' lines")
    digest = weights_digest(base) if adapter is None else digest_of([weights_digest(base), weights_digest(adapter)])
    model.eval().to(place)
    return LocalModel(model, tokenizer, folder, digest, _stops(model, tokenizer), tuple(notes))
