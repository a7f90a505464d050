"""Result files of other red-team scanners as findings: garak's report and hit log (JSON lines), promptfoo's results (JSON or JSON lines).

A finding is one reply to one prompt with what the scanner said about it. That verdict is asserted, not verified: most of these detectors and
assertions compare words. What the reply does to a clause is for our own grader to say. Checked on files of garak 0.17.1 and
promptfoo 0.121.20; what the file does not say stays empty.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message, messages_from
from trueline.core.halves import whole
from trueline.data.jsonl import read_jsonl
from trueline.errors import DataError

Scanner = Literal["garak", "promptfoo"]
Said = Literal["failed", "passed", "unscored"]
_EXPECTED = "expected garak's *.report.jsonl or *.hitlog.jsonl, or promptfoo's results as .json or .jsonl"
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class ScannerFinding:
    """One reply to one prompt. `probe`: the scanner's name for what asked (garak's probe class, promptfoo's plugin or description of the
    test); `said` is the scanner's verdict and `by` the detectors or assertions that gave it; `flagged`: the scanner saw the provider's own
    filter; `clause` and `near_miss`: what the file or the user's mapping says it tests; `where`: the scanner's own name for this one reply, the
    same in garak's report and hit log; where it has none, the digest of what it holds, and which of those in its file it is."""

    scanner: Scanner
    probe: str
    messages: tuple[Message, ...]
    reply: str
    said: Said
    by: tuple[str, ...]
    where: str
    flagged: bool = False
    clause: str = ""
    near_miss: bool = False

    def digest(self) -> str:
        """Content address: the same reply to the same prompt, however often it was given."""
        return digest_of([self.scanner, self.probe, [m.to_dict() for m in self.messages], self.reply, self.clause])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able. The scanner's verdict stands under `asserted`."""
        asserted = {"said": self.said, "by": list(self.by), "flagged": self.flagged}
        asked = [m.to_dict() for m in self.messages]
        told = {"scanner": self.scanner, "probe": self.probe, "where": self.where, "messages": asked, "reply": self.reply}
        return {**told, "asserted": asserted, "clause": self.clause, "kind": "near_miss" if self.near_miss else "refuse"}


def findings_from(path: Path, clauses: Sequence[tuple[str, str]] = ()) -> tuple[ScannerFinding, ...]:
    """All findings of a result file, in its order. `clauses`: (pattern of the scanner's probe names, clause), the first that fits counts and
    goes before what the file says. Raises `DataError` with file:line for a file that is none of the known ones, or damaged."""
    found = _read(path)
    if not found:
        raise DataError("no reply stands in this file", remedy="let the scanner run to its end", file=path)
    return tuple(_named(replace(f, clause=clause_of(f, clauses)) for f in found))


def distinct(files: Iterable[Sequence[ScannerFinding]]) -> tuple[ScannerFinding, ...]:
    """The findings of several files, each once: a report and the hit log of the same run hold the same replies. The first that names one
    counts."""
    found: dict[tuple[str, str], ScannerFinding] = {}
    for findings in files:
        for f in findings:
            found.setdefault((f.scanner, f.where), f)
    return tuple(found.values())


def _named(findings: Iterable[ScannerFinding]) -> Iterator[ScannerFinding]:
    """Gives a name to those that the scanner gave none: a file's name and line would be those of another file too."""
    seen: Counter[str] = Counter()
    for f in findings:
        if not f.where:
            digest = f.digest()
            f, seen[digest] = replace(f, where=f"{digest}/{seen[digest]}"), seen[digest] + 1
        yield f


def clause_of(finding: ScannerFinding, clauses: Sequence[tuple[str, str]]) -> str:
    """The clause of the first pattern that fits the probe's name, else the finding's own (empty: none)."""
    return next((clause for pattern, clause in clauses if fnmatchcase(finding.probe, pattern)), finding.clause)


def _read(path: Path) -> list[ScannerFinding]:
    if path.suffix == ".json":
        return list(_promptfoo(_whole(path), path))
    rows = list(read_jsonl(path))
    first = rows[0][1] if rows else {}
    for fits, reader in READERS:
        if fits(first):
            return list(reader(rows, path))
    raise DataError(f"this is no result file that is known ({_EXPECTED})", remedy="give one of these", file=path, line=1)


def _whole(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The results of promptfoo's JSON, numbered from 1."""
    try:
        raw = whole(json.loads(path.read_text(encoding="utf-8")))
    except OSError as e:
        raise DataError(f"cannot read this file ({e.strerror})", remedy="give a result file", file=path) from None
    except (ValueError, RecursionError):
        raise DataError("this file is not JSON", remedy=_EXPECTED, file=path) from None
    rows = raw.get("results") if isinstance(raw, dict) else None
    rows = rows.get("results") if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
        raise DataError(f"this is no result file that is known ({_EXPECTED})", remedy="give one of these", file=path)
    return list(enumerate(rows, 1))


def _damaged(path: Path, line: int, what: str) -> DataError:
    return DataError(f"{what} in a result", remedy="take the file as the scanner wrote it", file=path, line=line)


def _name(row: Mapping[str, Any], key: str, path: Path, line: int) -> str:
    """The scanner's own name under this key, "" where it gave none."""
    found = row.get(key)
    if not isinstance(found, str | int | None):
        raise _damaged(path, line, f"{key} is no name")
    return "" if found is None else str(found)


def _float(raw: object) -> float | None:
    """A number that a float can hold, or None."""
    try:
        return float(raw) if isinstance(raw, int | float) else None
    except OverflowError:
        return None


def _words(raw: object) -> str | None:
    """Text of a garak message: a string, or an object with `text`; None where the generator gave nothing."""
    text = raw.get("text") if isinstance(raw, Mapping) else raw
    return text if isinstance(text, str) else None


def _talk(raw: object) -> tuple[Message, ...]:
    """A garak prompt: a string, one message, or a conversation of turns. Empty where there is no text in it."""
    if not (isinstance(raw, Mapping) and isinstance(raw.get("turns"), list)):
        text = _words(raw)
        return (Message("user", text),) if text else ()
    turns = [(t.get("role"), _words(t.get("content"))) for t in raw["turns"] if isinstance(t, Mapping)]
    return tuple(Message(role, text) for role, text in turns if role in _ROLES and text is not None)


def _asked(row: Mapping[str, Any], index: int, count: int) -> tuple[Message, ...]:
    """What the reply `index` of an attempt answers: the turns before it where the conversations are kept, else the prompt."""
    talks = row.get("conversations")
    if isinstance(talks, list) and len(talks) == count:
        turns = _talk(talks[index])
        while turns and turns[-1].role != "assistant":
            turns = turns[:-1]
        if len(turns) > 1:
            return turns[:-1]
    return _talk(row.get("prompt"))


def _scores(row: Mapping[str, Any], index: int) -> dict[str, float]:
    """Scores of the detectors that gave one for the reply `index`."""
    results = row.get("detector_results")
    results = results if isinstance(results, Mapping) else {}
    found = {str(k): v[index] for k, v in results.items() if isinstance(v, list) and index < len(v)}
    return {k: score for k, v in found.items() if (score := _float(v)) is not None}


def _garak_report(rows: Sequence[tuple[int, Mapping[str, Any]]], path: Path) -> Iterator[ScannerFinding]:
    """Attempts. Each stands twice, without and with its detectors' scores: the last counts. A score at the threshold or above is a hit;
    garak 0.17 does not write its threshold, and its default is taken."""
    threshold: float | None = None
    attempts: dict[str | int, tuple[int, str, Mapping[str, Any]]] = {}
    for line, row in rows:
        if row.get("entry_type") == "start_run setup":
            threshold = _float(row.get("run.eval_threshold"))
        if row.get("entry_type") == "attempt":
            name = _name(row, "uuid", path, line)
            attempts[name or line] = (line, name, row)
    for line, name, row in attempts.values():
        outputs = row.get("outputs")
        if not isinstance(outputs, list):
            raise _damaged(path, line, "outputs are not a list")
        for n, output in enumerate(outputs):
            asked, scores, reply = _asked(row, n, len(outputs)), _scores(row, n), _words(output)
            if not asked:
                continue  # a picture or a sound: there is nothing to read
            hits = tuple(sorted(k for k, v in scores.items() if v >= (0.5 if threshold is None else threshold)))
            said: Said = "unscored" if reply is None or not scores else "failed" if hits else "passed"
            by = hits or tuple(sorted(scores))
            where = f"{name}/{n}" if name else ""
            yield ScannerFinding("garak", str(row.get("probe_classname", "")), asked, reply or "", said, by, where)


def _garak_hits(rows: Sequence[tuple[int, Mapping[str, Any]]], path: Path) -> Iterator[ScannerFinding]:
    """Hits, one a detector: those of one reply are one finding, where the attempt and the number of the reply say which it is."""
    hits: dict[str | int, ScannerFinding] = {}
    for line, row in rows:
        asked, reply = _talk(row.get("prompt")), _words(row.get("output"))
        if reply is None or "detector" not in row:
            raise _damaged(path, line, "no output or no detector")
        attempt, index, by = _name(row, "attempt_id", path, line), _name(row, "attempt_idx", path, line), str(row["detector"])
        where = f"{attempt}/{index}" if attempt and index else ""
        if where in hits:
            hits[where] = replace(hits[where], by=tuple(sorted({*hits[where].by, by})))
        elif asked:
            hits[where or line] = ScannerFinding("garak", str(row.get("probe", "")), asked, reply, "failed", (by,), where)
    yield from hits.values()


def _at(row: Mapping[str, Any], *keys: str) -> Any:
    """The value under these keys, None where one is missing."""
    found: Any = row
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _prompt(raw: str) -> tuple[Message, ...]:
    """promptfoo's rendered prompt: a text, or a JSON list of messages."""
    try:
        return messages_from(whole(json.loads(raw))) if raw.lstrip().startswith("[") else (Message("user", raw),)
    except (ValueError, RecursionError):  # a text that only begins like a list
        return (Message("user", raw),)


def _promptfoo(rows: Iterable[tuple[int, Mapping[str, Any]]], path: Path) -> Iterator[ScannerFinding]:
    """Results. An error of the provider is no verdict on the model."""
    for line, row in rows:
        raw = _at(row, "metadata", "redteamFinalPrompt") or _at(row, "prompt", "raw")
        if not isinstance(raw, str) or "success" not in row:
            raise _damaged(path, line, "no prompt or no verdict")
        output = _at(row, "response", "output")
        reply = output if isinstance(output, str) else "" if output is None else json.dumps(output, ensure_ascii=False)
        parts = _at(row, "gradingResult", "componentResults") or []
        told = (_at(row, "testCase", "metadata") or {}, row.get("metadata") or {})
        if not isinstance(parts, list) or not all(isinstance(t, Mapping) for t in told):
            raise _damaged(path, line, "metadata is no object, or componentResults no list")
        kinds = [(str(_at(p, "assertion", "type") or "assertion"), bool(p.get("pass"))) for p in parts if isinstance(p, Mapping)]
        said: Said = "unscored" if output is None or row.get("failureReason") == 2 else "passed" if row["success"] else "failed"
        failing = {k for k, passed in kinds if not passed}
        about = {**told[0], **told[1]}
        name = about.get("pluginId") or _at(row, "testCase", "description") or f"test {row.get('testIdx', line)}"
        flagged = bool(_at(row, "response", "guardrails", "flagged")) or _at(row, "response", "finishReason") == "content_filter"
        yield ScannerFinding(
            "promptfoo",
            str(name),
            _prompt(raw),
            reply,
            said,
            tuple(sorted(failing or {k for k, _ in kinds})),
            str(row.get("id") or ""),
            flagged,
            str(about.get("clause") or ""),
            about.get("kind") == "near_miss",
        )


_Rows = Sequence[tuple[int, Mapping[str, Any]]]
READERS: tuple[tuple[Callable[[Mapping[str, Any]], bool], Callable[[_Rows, Path], Iterator[ScannerFinding]]], ...] = (
    (lambda row: "entry_type" in row, _garak_report),
    (lambda row: "attempt_id" in row, _garak_hits),
    (lambda row: "testCase" in row or "gradingResult" in row, _promptfoo),
)
"""Whether the first row is of this kind, and who reads it."""
