"""A gate's decision as Markdown for a pull request: the outcome first, then reasons, measures, clauses, and the flipped probes folded away.

Everything that a model, a file or a user wrote may be hostile: prose is escaped so that it can mention nobody, link nowhere, close nothing
and hold no HTML; replies stand in code spans. The whole stays below the 65,536 characters of a comment on GitHub; what is cut is said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from trueline.core.decisions import GateDecision, MeasureFinding
from trueline.core.findings import ClauseFinding, Flip, percent
from trueline.report.decision import impact_outcome
from trueline.report.details import sections

LIMIT = 60_000  # characters, below GitHub's 65,536
REASONS, FLIPS = 30, 40
SIGNS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "⚠️", "INVALID": "⛔"}
SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+|~!])")
APART = "\u200b"  # breaks a mention, a reference or an address, and is not seen


def plain(text: str) -> str:
    """One line without control, format and half characters: nothing turns the direction of the line or hides in it."""
    return " ".join("".join(c if unicodedata.category(c)[0] != "C" or c.isspace() else "" for c in text).split())


def prose(text: str) -> str:
    """Text that Markdown shows as it stands. Mentions, references and addresses are recognised after rendering, where no escape helps:
    an invisible space parts them."""
    line = plain(text).replace("&", "&amp;")
    line = re.sub(r"(?i)(https?|ftp|mailto|www)([:.])", rf"\1{APART}\2{APART}", line)
    line = re.sub(r"(?<=[\w])-(?=\d)", f"{APART}-", line)  # GH-1
    line = re.sub(r'([@#!~%$^])(?=[\w"])', rf"\1{APART}", line)
    return SPECIAL.sub(r"\\\1", line)


def code(text: str, limit: int = 240) -> str:
    """Text in a code span, in which nothing is a mention, a link or HTML. Backticks and bars become look-alikes, for a table's sake."""
    line = plain(text).replace("`", "ˋ").replace("|", "¦")
    return f"`{line[: limit - 1]}…`" if len(line) > limit else f"`{line}`" if line else "(nothing)"


def decision_markdown(decision: GateDecision) -> str:
    """The whole comment."""
    against = f" against {code(decision.baseline, 120)}" if decision.baseline else ""
    top = [f"## {SIGNS[decision.outcome]} Trueline gate: {decision.outcome}", "", f"{code(decision.candidate, 120)}{against}", ""]
    said = [f"- {prose(r[:1900])}" for r in decision.reasons[:REASONS]]
    while sum(map(len, said)) > LIMIT // 2:
        said.pop()
    top += said
    if len(decision.reasons) > len(said):
        top.append(f"- and {len(decision.reasons) - len(said)} more reasons in the JSON")
    blocks = [_measures(decision), _impacts(decision), _clauses(decision), _sections(decision), *_folded(decision)]
    foot = f"<sub>charter {code(decision.charter[:12])}, suite {code(decision.suite[:12])}; bounds are one-sided at 95 %</sub>"
    return _fitting("\n".join(top), [b for b in blocks if b], foot)


def _fitting(top: str, blocks: list[str], foot: str) -> str:
    """As many whole blocks as fit; what is left out is said."""
    out, left = [top], 0
    room = LIMIT - len(out[0]) - len(foot) - 200
    for block in blocks:
        if len(block) + 2 <= room and not left:
            out.append(block)
            room -= len(block) + 2
        else:
            left += 1
    if left:
        out.append(f"_{left} more parts did not fit; they stand in the JSON of the decision._")
    return "\n\n".join([*out, foot]) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"|{'|'.join(['---', *['---:'] * (len(names) - 1)])}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _measures(d: GateDecision) -> str:
    def row(f: MeasureFinding) -> list[str]:
        bounds = f"{percent(f.lower)} to {percent(f.upper)}" if f.upper is not None else "-"
        worse = f"{percent(f.difference)} (≤ {percent(f.difference_upper)})" if f.difference is not None else "-"
        outcome = f"{SIGNS[f.outcome]} {f.outcome}"
        return [f.measure, f"{f.failures} of {f.n}", percent(f.rate), bounds, percent(f.cap), worse, percent(f.margin), outcome]

    names = ("measure", "failed", "rate", "95 % bounds", "cap", "worse by", "margin", "outcome")
    return _table(names, map(row, d.measures)) if d.measures else ""


def _impacts(d: GateDecision) -> str:
    rows = [
        [code(f"{f.clause} by {f.attribute}"), "-" if f.ratio is None else f"{f.ratio:.2f}", f"{f.lower:.3f} to {f.upper:.3f}", f"{f.minimum:.2f}",
         str(f.n), impact_outcome(f)]
        for f in d.impacts
    ]  # fmt: skip
    return _table(("impact ratio", "lowest / highest", "95 % bounds", "minimum", "pairs", "outcome"), rows) if rows else ""


def _clauses(d: GateDecision) -> str:
    def row(f: ClauseFinding) -> list[str]:
        moved = ("-", "-") if f.worse is None else (str(f.worse), str(f.better))
        bounds = f"{percent(f.lower)} to {percent(f.upper)}"
        return [code(f.clause) + (" **stands out**" if f.stands_out else ""), f.measure, f"{f.failures} of {f.n}", bounds, *moved]

    rows = [row(f) for f in sorted(d.clauses, key=lambda f: (not f.stands_out, -f.lower)) if f.failures or f.worse]
    if not rows:
        return ""
    table = _table(("clause", "measure", "failed", "95 % bounds", "worse", "better"), rows[:60])
    return f"<details><summary>{len(rows)} clauses in which something failed</summary>\n\n{table}\n\n</details>"


def _sections(d: GateDecision) -> str:
    return "\n\n".join("\n".join([f"**{title}**", "", *(f"- {prose(line)}" for line in lines)]) for title, lines in sections(d))


def _folded(d: GateDecision) -> Iterable[str]:
    for name, all_of, result in (("got worse", d.flipped_worse, "fail"), ("got better", d.flipped_better, "pass")):
        told = [x for x in d.flips if x.after == result]
        if told:
            more = f"\n\n{len(told) - FLIPS} more replies stand in the JSON." if len(told) > FLIPS else ""
            body = "\n".join(_flip(x) for x in told[:FLIPS])
            yield f"<details><summary>{len(all_of)} probes {name}</summary>\n\n{body}{more}\n\n</details>"


def _flip(x: Flip) -> str:
    lines = [f"- {code(x.probe)} ({x.measure}, sample {x.sample}): {x.before} → {x.after}"]
    if x.prompt:
        lines.append(f"  - asked: {code(x.prompt)}")
    return "\n".join([*lines, f"  - before: {code(x.reply_before)}", f"  - now: {code(x.reply_after)}"])
