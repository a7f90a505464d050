"""The table of public formats, and how their rows become probes of a clause."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trueline.charter.digests import digest_file
from trueline.charter.probes import OUTCOME_OF, Expectation, Probe, probe_id
from trueline.charter.turns import Message
from trueline.data.public import bbq, clinc, harmbench, jailbreakbench, strongreject, truthfulqa, xstest
from trueline.data.public.rows import PublicRow
from trueline.errors import DataError


@dataclass(frozen=True, slots=True)
class PublicFormat:
    """`licence`: that of the published file, for whoever passes a suite on; a copy may have another."""

    name: str
    licence: str
    read: Callable[[Path], Iterator[PublicRow]]


FORMATS: Mapping[str, PublicFormat] = {
    f.name: f
    for f in (
        PublicFormat("harmbench", "MIT", harmbench.read),
        PublicFormat("xstest", "CC BY 4.0", xstest.read),
        PublicFormat("strongreject", "MIT", strongreject.read),
        PublicFormat("jailbreakbench", "MIT", jailbreakbench.read),
        PublicFormat("bbq", "CC BY 4.0", bbq.read),
        PublicFormat("truthfulqa", "Apache-2.0", truthfulqa.read),
        PublicFormat("clinc", "CC BY 3.0", clinc.read),
    )
}


def _probe(row: PublicRow, name: str, source: str, clause: str | None) -> Probe:
    family, messages = f"{name}/{row.family}", (Message("user", row.text),)
    clause = clause or f"public:{name}"
    expect = Expectation(OUTCOME_OF[row.kind], row.contains)
    return Probe(
        probe_id(clause, row.kind, family, messages), clause, row.kind, messages, family, "test", "grown", expect,
        source=f"{source} row {row.at}", tags=row.tags,
    )  # fmt: skip


def read_public(path: Path, name: str, clause: str | None = None) -> tuple[Probe, ...]:
    """The probes of a public file, with where each came from, of the test side whatever their family: a suite that others measure with must not
    be taught. Without `clause` they belong to `public:FORMAT`. Prompts that stand twice are one. Raises `DataError` for another file."""
    source = f"file:{path.name} sha256:{digest_file(path)[:16]}" if path.is_file() else ""
    if not source:
        raise DataError("no such file", remedy="give a local file: nothing is downloaded", file=path)
    found = {p.id: p for p in (_probe(row, name, source, clause) for row in reversed(list(FORMATS[name].read(path))))}
    if not found:
        raise DataError(f"no row of this file is a probe for {name}", remedy="give another --format", file=path)
    return tuple(reversed(found.values()))
