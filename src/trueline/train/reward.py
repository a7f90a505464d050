"""Reward models in a folder and out of it: `save_reward`, `load_reward`, `score`. What they are and how each backbone trains stands in
`reward_model`, `reward_causal` (a causal model with a head) and `reward_text` (n-grams, with or without a frozen sentence encoder).

A folder holds reward.json and, of each member, safetensors: a Hugging Face sequence classifier (causal; one member is the folder itself)
or member-K.safetensors (linear). An encoder is not copied: its name and digest stand in reward.json and are checked.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trueline.algos.losses.ensemble import COMBINE, combine
from trueline.algos.losses.reward import LOSSES
from trueline.charter.digests import digest_of
from trueline.core.records import Preference
from trueline.engine.encoder import encode, load_encoder
from trueline.engine.folders import check_folder, read_json, weights_digest
from trueline.engine.loading import LocalModel, check_finite, quietly
from trueline.engine.vocabulary import MARK, check_vocabulary
from trueline.errors import TargetError, TrainingError
from trueline.train.judged import of_pairs
from trueline.train.loop import Progress
from trueline.train.reward_causal import CausalMembers, MemberReport, RewardSettings, encode_groups, train_member, with_head
from trueline.train.reward_features import SPEC, Encode, Scaling
from trueline.train.reward_linear import LinearReward
from trueline.train.reward_model import RewardModel, Scale, score
from trueline.train.reward_text import TextMembers
from trueline.train.saving import save_model
from trueline.train.sharding import check_shard

__all__ = ["RewardModel", "RewardSettings", "encoding", "load_reward", "run_reward", "save_reward", "score", "with_head"]

FILE = "reward.json"
FORMAT = 1
BACKBONES = ("causal", "encoder", "text")
_TENSORS = ("columns", "centre", "factor", "grams_factor", "grams", "dense", "thresholds")


def run_reward(
    local: LocalModel,
    pairs: Sequence[Preference],
    settings: RewardSettings,
    folder: Path,
    progress: Progress | None = None,
    *,
    shard: bool = False,
) -> MemberReport:
    """Trains one model made by `with_head` on pairs, in place and without calibration. `shard`: spread its weights over the processes. Raises
    `TrainingError` where nothing fits."""
    check_shard(shard)
    limit = min(settings.max_tokens, local.context)
    data = encode_groups(local, of_pairs(pairs), limit)
    if not data.rows:
        raise TrainingError(f"none of {len(pairs)} pairs fits {limit} tokens", remedy="raise max_tokens")
    return train_member(local, data, settings, folder, progress, shard=shard)


def encoding(name: str) -> tuple[Encode, tuple[str, str]]:
    """(the encoder as a function of texts, its name and digest)."""
    loaded = load_encoder(name)
    return lambda texts: encode(loaded, texts), (name, loaded.digest)


def _linear_tensors(model: LinearReward) -> dict[str, Any]:
    s = model.scaling
    found = (s.columns, s.centre, s.factor, np.array([s.grams]), model.grams, model.dense, np.array(model.thresholds, dtype=np.float64))
    return {name: np.ascontiguousarray(value) for name, value in zip(_TENSORS, found, strict=True)}


def save_reward(model: RewardModel, folder: Path) -> str:
    """Writes the model whole or not at all; returns the digest of what was written."""
    from safetensors.numpy import save_file

    s = model.scale
    told = {
        "format": FORMAT, "backbone": model.backbone, "loss": model.loss, "members": len(s.centres), "centres": s.centres,
        "scales": s.scales, "combine": s.combine, "penalty": s.penalty, "length_slope": s.slope, "temperature": s.temperature,
        "calibration_pairs": s.pairs, "thresholds": model.thresholds, "encoder": model.encoder,
    }  # fmt: skip
    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    if isinstance(model.members, CausalMembers):
        for k, local in enumerate(model.members.models):
            save_model(local, _member(beside, k, len(s.centres)), "float32")
    else:
        assert isinstance(model.members, TextMembers)
        for k, linear in enumerate(model.members.models):
            save_file(_linear_tensors(linear), beside / f"member-{k}.safetensors")
    (beside / FILE).write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(beside, folder)
    shutil.rmtree(old, ignore_errors=True)
    return reward_digest(folder)


def reward_digest(folder: Path) -> str:
    """SHA-256 over reward.json and all members."""
    return digest_of([weights_digest(folder), *(weights_digest(p) for p in sorted(folder.glob("member-*")) if p.is_dir())])


def _member(folder: Path, k: int, members: int) -> Path:
    return folder if members == 1 else folder / f"member-{k}"


def _bad(folder: Path, what: str) -> TargetError:
    return TargetError(what, remedy="save the reward model again with `trueline train reward`", file=folder / FILE)


def _numbers(told: Mapping[str, Any], key: str, folder: Path, n: int | None = None) -> tuple[float, ...]:
    found = told.get(key)
    found = found if isinstance(found, list) else [found]
    if not all(isinstance(x, int | float) and not isinstance(x, bool) and np.isfinite(x) for x in found) or n not in (None, len(found)):
        raise _bad(folder, f"{key} must be {n or 1} finite numbers, got {found!r:.60}")
    return tuple(float(x) for x in found)


def _scale(told: Mapping[str, Any], folder: Path) -> Scale:
    members = told.get("members")
    if not isinstance(members, int) or members < 1:
        raise _bad(folder, f"members must be a whole number of at least 1, got {members!r:.30}")
    how, penalty = told.get("combine"), told.get("penalty")
    if how not in COMBINE:
        raise _bad(folder, f"unknown way to combine {how!r:.30}, expected one of {', '.join(COMBINE)}")
    try:
        combine(how, penalty)
    except (TrainingError, TypeError) as e:
        raise _bad(folder, getattr(e, "what", f"the penalty {penalty!r:.30} is no number")) from None
    slope, temperature = _numbers(told, "length_slope", folder, 1)[0], _numbers(told, "temperature", folder, 1)[0]
    scales = _numbers(told, "scales", folder, members)
    if temperature <= 0 or min(scales) <= 0:
        raise _bad(folder, f"temperature and scales must be above 0, got {temperature} and {scales}")
    pairs = told.get("calibration_pairs")
    return Scale(
        _numbers(told, "centres", folder, members), scales, how, penalty, slope, temperature, pairs if isinstance(pairs, int) else 0
    )


def _linear(path: Path) -> LinearReward:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError) as e:
        raise TargetError(f"cannot read this member ({type(e).__name__})", remedy="save the reward model again", file=path) from None
    missing = [name for name in _TENSORS if name not in found]
    if missing:
        raise TargetError(f"this member lacks {', '.join(missing)}", remedy="save the reward model again", file=path)
    columns, centre, factor, one, grams, dense, thresholds = (found[name] for name in _TENSORS)
    shapes = (grams.shape == columns.shape, dense.shape == centre.shape == factor.shape, one.shape == (1,), columns.dtype == np.int64)
    if not all(shapes) or (len(columns) and not 0 <= int(columns.min()) <= int(columns.max()) < SPEC.buckets):
        raise TargetError("the tensors of this member do not fit each other", remedy="save the reward model again", file=path)
    if not all(np.isfinite(x).all() for x in (centre, factor, one, grams, dense, thresholds)):
        raise TargetError("this member holds numbers that are not finite", remedy="train it again", file=path)
    return LinearReward(Scaling(columns, centre, factor, float(one[0])), grams, dense, tuple(thresholds.tolist()))


def _causal(folder: Path) -> LocalModel:
    import transformers

    check_folder(folder)
    try:
        with quietly():
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=torch.float32, trust_remote_code=False, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
    except Exception as e:  # noqa: BLE001  # whatever a malformed config makes transformers raise
        why = f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"
        raise TargetError(f"cannot load {folder}: {why}", remedy="save the reward model again") from None
    lacking = [str(k) for kind in ("missing_keys", "mismatched_keys") for k in report.get(kind) or ()]
    if lacking:
        what = f"{folder} lacks weights that its config.json promises ({len(lacking)}, e.g. {lacking[0]})"
        raise TargetError(what, remedy="save the reward model again")
    check_vocabulary(getattr(model.config, MARK, None), tokenizer, folder)
    check_finite(model, folder)
    place = "cuda" if torch.cuda.is_available() else "cpu"
    return LocalModel(model.eval().to(place), tokenizer, folder, weights_digest(folder), frozenset(), ())


def load_reward(folder: Path) -> RewardModel:
    """A reward model that `save_reward` wrote. Safetensors alone are read; a pickle, a cut or foreign file, another encoder than it was trained
    on: `TargetError`."""
    if not (folder / FILE).is_file():
        raise TargetError(f"no reward model at {folder} ({FILE} is missing)", remedy="give the folder OUT/model of `trueline train reward`")
    told = read_json(folder / FILE)
    backbone, loss = told.get("backbone"), told.get("loss")
    if told.get("format") != FORMAT or backbone not in BACKBONES or loss not in LOSSES:
        raise _bad(folder, f"expected format {FORMAT} with a known backbone and loss, got {told.get('format')!r:.20}, {backbone!r:.20}")
    scale = _scale(told, folder)
    k = len(scale.centres)
    given = told.get("thresholds") or []
    thresholds = tuple(_numbers({"thresholds": t}, "thresholds", folder) for t in given) if isinstance(given, list) else ()
    if backbone == "causal":
        return RewardModel(backbone, loss, CausalMembers(tuple(_causal(_member(folder, i, k)) for i in range(k))), scale, thresholds)
    encode_texts, source = None, ("", "")
    if backbone == "encoder":
        named = told.get("encoder")
        if not isinstance(named, list) or len(named) != 2 or not all(isinstance(x, str) for x in named):
            raise _bad(folder, "encoder must be a name and a digest")
        encode_texts, source = encoding(named[0])
        if source[1] != named[1]:
            raise _bad(
                folder, f"the encoder {named[0]} is not the one this model was trained on (digest {source[1][:12]}, not {named[1][:12]})"
            )
    return RewardModel(backbone, loss, _text_members(folder, k, encode_texts), scale, thresholds, source)


def _text_members(folder: Path, members: int, encode_texts: Encode | None) -> TextMembers:
    models = []
    for k in range(members):
        path = folder / f"member-{k}.safetensors"
        if not path.is_file():
            others = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".npz"))
            beside = f", only {', '.join(others[:3])}, which could run code when read" if others else ""
            raise TargetError(f"{folder} lacks member-{k}.safetensors{beside}", remedy="save the reward model again")
        models.append(_linear(path))
    if len({len(m.dense) for m in models}) > 1:
        raise _bad(folder, "the members have different features")
    return TextMembers(tuple(models), encode_texts)
