"""Models that ship with the package, by name."""

from __future__ import annotations

from pathlib import Path

from trueline.errors import TargetError

MODELS = Path(__file__).parent.parent / "shipped" / "models"


def locate(name: str) -> Path:
    """Folder of `bundled:<name>` (the part after the colon). Raises `TargetError` that lists what there is."""
    folder = MODELS / name
    if not (folder / "config.json").exists():
        there = ", ".join(sorted(p.parent.name for p in MODELS.glob("*/config.json"))) or "none"
        raise TargetError(f"no bundled model {name!r}, there are: {there}", remedy="use one of these, e.g. bundled:harbor")
    return folder
