"""Charters that ship with the package, by name."""

from __future__ import annotations

from pathlib import Path

from trueline.errors import CharterError

CHARTERS = Path(__file__).parent.parent / "shipped" / "charters"


def names() -> tuple[str, ...]:
    """The shipped charters."""
    return tuple(sorted(p.parent.name for p in CHARTERS.glob("*/charter.yaml")))


def charter_path(text: str | Path) -> Path:
    """The file that a path or `bundled:NAME` names. Raises `CharterError` that lists the shipped ones."""
    name = str(text)
    if not name.startswith("bundled:"):
        return Path(name)
    found = CHARTERS / name.removeprefix("bundled:") / "charter.yaml"
    if not found.exists():
        there = ", ".join(f"bundled:{n}" for n in names()) or "none"
        raise CharterError(f"no shipped charter {name!r}, there are: {there}", remedy="use one of these or give a file")
    return found
