"""Suites on disk: `suite.jsonl` (the probes) and `suite.json` (version, digest, families, sources, licences). A frozen suite is read back only
as what it was: another probe, or one less, is an error."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueline.charter.probe_files import read_probes, write_probes
from trueline.core.clock import iso, utc_now
from trueline.data.jsonl import write_json
from trueline.errors import DataError, SuiteError
from trueline.evals.suites import Suite, freeze

MANIFEST, PROBES = "suite.json", "suite.jsonl"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class SuiteHead:
    """What a suite says of itself. `families`: probes in each; `sources`: probes from each; `licences`: source -> licence, as it was given;
    `charter`: the digest of the charter it was compiled from, None for a public suite."""

    name: str
    version: str
    digest: str
    charter: str | None
    families: Mapping[str, int]
    sources: Mapping[str, int]
    licences: Mapping[str, str]
    created: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `suite.json`."""
        return {
            "trueline_suite": FORMAT, "name": self.name, "version": self.version, "digest": self.digest, "charter": self.charter,
            "families": dict(self.families), "sources": dict(self.sources), "licences": dict(self.licences), "created": self.created,
            "probes": sum(self.families.values()),
        }  # fmt: skip


def source_of(source: str | None, origin: str) -> str:
    """The source without the row: `file:xstest.csv` of `file:xstest.csv sha256:... line 3`; the origin where there is none."""
    return source.split(" ")[0].partition("#")[0] if source else origin


def write_suite(
    folder: Path, suite: Suite, *, name: str, version: str, charter: str | None = None, licences: Mapping[str, str] | None = None
) -> SuiteHead:
    """Freezes a suite into a folder. Raises `SuiteError` where another version, or other probes of the same, lie there: what is frozen stays."""
    if (folder / MANIFEST).exists():
        old = read_head(folder)
        if old.version != version:
            what = f"version {old.version} of a suite is frozen here, got version {version}"
            raise SuiteError(what, remedy="give each version a folder of its own (--out)", file=folder / MANIFEST)
        if old.digest != suite.digest:
            what = f"version {version} of this suite is frozen with other probes ({old.digest[:12]}, got {suite.digest[:12]})"
            raise SuiteError(what, remedy="give another --version and folder", file=folder / MANIFEST)
    families = Counter(p.family for p in suite.probes)
    sources = Counter(source_of(p.source, p.origin) for p in suite.probes)
    head = SuiteHead(
        name, version, suite.digest, charter, dict(sorted(families.items())), dict(sorted(sources.items())), licences or {}, iso(utc_now())
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_probes(folder / PROBES, suite.probes)
    write_json(folder / MANIFEST, head.to_dict())
    return head


def read_head(folder: Path) -> SuiteHead:
    """The manifest alone. Raises `SuiteError` where there is none or it is none."""
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise SuiteError("no suite here", remedy="freeze one with `trueline probes freeze`", file=path) from None
    except (ValueError, RecursionError):
        raise SuiteError("this manifest is not JSON", remedy="freeze the suite again", file=path) from None
    if not isinstance(raw, dict) or raw.get("trueline_suite") != FORMAT:
        raise SuiteError(f"not a suite of format {FORMAT}", remedy="freeze the suite again", file=path)
    texts = [raw.get(k) for k in ("name", "version", "digest", "created")]
    tables = [raw.get(k) for k in ("families", "sources", "licences")]
    if (
        not all(isinstance(t, str) for t in texts)
        or not all(isinstance(t, dict) for t in tables)
        or not isinstance(raw.get("charter"), str | None)
    ):
        raise SuiteError("this manifest lacks a field or holds another type", remedy="freeze the suite again", file=path)
    return SuiteHead(
        raw["name"], raw["version"], raw["digest"], raw.get("charter"), raw["families"], raw["sources"], raw["licences"], raw["created"]
    )  # fmt: skip


def read_suite(folder: Path) -> tuple[SuiteHead, Suite]:
    """Reads a frozen suite. Raises `SuiteError` where the probes are not those that were frozen."""
    head = read_head(folder)
    try:
        suite = freeze(read_probes(folder / PROBES))
    except DataError as e:
        raise SuiteError(e.what, remedy=e.remedy, file=folder / PROBES) from None
    if suite.digest != head.digest:
        what = f"these are not the probes that were frozen: their digest is {suite.digest[:12]}, the manifest says {head.digest[:12]}"
        raise SuiteError(what, remedy="take the suite from where it was frozen", file=folder / PROBES)
    return head, suite
