"""Files of probes beside a charter: `probes.jsonl` (accepted) and `probes.drafts.jsonl` (waiting for a person)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from trueline.charter.probes import Probe, probe_from
from trueline.charter.splits import side_of
from trueline.errors import SuiteError, TruelineError

ACCEPTED, DRAFTS = "probes.jsonl", "probes.drafts.jsonl"


def probes_beside(charter: Path) -> Path:
    """Where the accepted probes of a charter file are."""
    return charter.parent / ACCEPTED


def read_probes(path: Path) -> tuple[Probe, ...]:
    """Reads a file of probes; a missing file has none. Raises `SuiteError` (file:line), also for a family on the wrong
    side and for ids that stand twice."""
    if not path.exists():
        return ()
    out: dict[str, Probe] = {}
    sides: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: a text may hold other line ends, such as U+2028
    except (OSError, UnicodeDecodeError) as e:
        raise SuiteError(f"cannot read this file ({e})", remedy="give a UTF-8 JSON lines file", file=path) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            probe = probe_from(json.loads(line))
            json.dumps(probe.to_dict(), ensure_ascii=False).encode("utf-8")  # half a character cannot be written again
        except TruelineError as e:
            raise SuiteError(e.what, remedy=e.remedy, file=path, line=number) from None
        except (ValueError, RecursionError) as e:
            what = f"this line is not JSON ({' '.join(str(e).split())[:80]})"
            raise SuiteError(what, remedy="one JSON object a line", file=path, line=number) from None
        brought = probe.source is not None and probe.side == "test"  # from outside: it measures, whatever its family's digest would say
        if probe.origin == "grown" and probe.side != side_of(probe.family) and not brought:
            what = f"family {probe.family!r:.60} belongs to {side_of(probe.family)}, got {probe.side}: families never cross"
            raise SuiteError(what, remedy="leave `side` as it was grown", file=path, line=number)
        if sides.setdefault(probe.family, probe.side) != probe.side:
            what = f"family {probe.family!r:.60} stands on both sides, teach and test: families never cross"
            raise SuiteError(what, remedy="give one of them another family", file=path, line=number)
        if probe.id in out:
            raise SuiteError(f"the probe {probe.id!r} stands twice", remedy="remove one", file=path, line=number)
        out[probe.id] = probe
    return tuple(out.values())


def write_probes(path: Path, probes: Iterable[Probe]) -> None:
    """Writes all probes, whole or not at all."""
    beside = path.with_name(path.name + ".part")
    with beside.open("w", encoding="utf-8") as f:
        for probe in probes:
            f.write(json.dumps(probe.to_dict(), ensure_ascii=False, sort_keys=True) + "\n")
    os.replace(beside, path)


def mend_tail(path: Path) -> None:
    """Cuts the half line that a kill in the middle of a write leaves at the end, so that the file can be gone on with."""
    raw = path.read_bytes() if path.exists() else b""
    if raw and not raw.endswith(b"\n"):
        os.truncate(path, raw.rfind(b"\n") + 1)


def append_probe(path: Path, probe: Probe) -> None:
    """Adds one line at once, so that a killed run keeps what it had."""
    with path.open("a", encoding="utf-8") as f:
        f.write(json.dumps(probe.to_dict(), ensure_ascii=False, sort_keys=True) + "\n")
        f.flush()
