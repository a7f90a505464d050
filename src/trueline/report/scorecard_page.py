"""The scorecard and the sheet of alignment methods as Markdown and as one self-contained HTML page: no script, vector plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from trueline.report.html import CSS
from trueline.report.markdown import code, prose
from trueline.report.provider_sheet import CRITERIA, Entry, entry_text
from trueline.report.scorecard import Column, lines

Card = Mapping[str, Any]  # `targets`, `replies`, `measures` (name -> a cell a target), `notes`
DESCRIBES = "A scorecard describes; only the gate decides. Intervals are 95 %, differences to the first have one-sided 95 % bounds."
SHEET = (
    "What a sheet says is asserted, by whoever is named; Trueline has not looked it up. Verified is only what it saw itself; where that differs"
    " from what is asserted it says contradicted. What nobody filled in is not stated."
)
LATENCY = "Latency is what each reply took when it was asked, at the concurrency of that run, waits for a rate limit left out; 'open' is an end that so few replies do not bound."


def cell_text(row: Mapping[str, Any] | None, gap: str = "\n") -> str:
    """One failure rate with its interval and its difference to the first."""
    if row is None:
        return "·"
    if row["failed"] is None:
        return f"not enough, {row['unscored']} unscored"
    text = f"{100 * row['failed']:.1f} % ({100 * row['low']:.1f}-{100 * row['high']:.1f}) n {row['n']}"
    against = row.get("against_first")
    if against:
        text += f"{gap}{100 * against['difference']:+.1f} ({100 * against['lower']:+.1f} to {100 * against['upper']:+.1f})"
    return text + (f"{gap}{row['unscored']} unscored" if row["unscored"] else "")


def _md(text: str) -> str:
    return "<br>".join(prose(line) for line in text.split("\n"))


def _md_table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for name, cells in rows:
        yield "| " + " | ".join((name.strip(), *cells)) + " |"
    yield ""


def _md_entry(e: Entry) -> str:
    """A cell of the sheet. Its links are the only ones on the page: `provider_sheet` lets none in that could close the angle brackets."""
    return " ".join(part for part in (_md(entry_text(e)), *(f"<{link}>" for link in e.links), _md(e.note)) if part)


def markdown(title: str, card: Card, columns: Sequence[Column], sheets: Sequence[Sequence[Entry]]) -> str:
    """The whole scorecard as Markdown."""
    names = [code(c.target, 120) for c in columns]
    out = [f"# {prose(title)}", "", DESCRIBES, "", "## Failure rates", ""]
    out += _md_table(["measure", *names], [(_md(m), [_md(cell_text(c)) for c in row]) for m, row in card["measures"].items()])
    out += ["## Cost, latency, style", "", LATENCY, ""]
    out += _md_table(["", *names], [(_md(what), [_md(t) for t in texts]) for what, texts in lines(columns)])
    out += ["## Alignment methods", "", SHEET, ""]
    rows = [(CRITERIA[n], [_md_entry(s[i]) for s in sheets]) for i, n in enumerate(CRITERIA)]
    out += _md_table(["criterion", *names], rows)
    return "\n".join([*out, *(f"- note: {prose(n)}" for n in card["notes"])]) + "\n"


def _plot(card: Card, columns: Sequence[Column]) -> str:
    """Failure rates by measure, one bar a target, as an SVG of our own."""
    bars = [(m, i, c) for m, row in card["measures"].items() for i, c in enumerate(row) if c is not None and c["failed"] is not None]
    if not bars:
        return "<p>not measured</p>"
    width, left, step = 900, 190, 18
    tones = ("var(--good)", "var(--mid)", "var(--bad)", "var(--soft)", "var(--ink)")
    out, y, before = [], 14, ""
    for measure, i, c in bars:
        if measure != before:
            y += 10 if before else 0
            out.append(f'<text x="0" y="{y + 4}">{escape(measure)}</text>')
            before = measure
        tone = tones[i % len(tones)]
        x = [left + (width - left - 210) * c[k] for k in ("low", "failed", "high")]
        out.append(f'<line x1="{left}" x2="{width - 210}" y1="{y}" y2="{y}" stroke="var(--line)"/>')
        out.append(
            f'<line x1="{x[0]:.1f}" x2="{x[2]:.1f}" y1="{y}" y2="{y}" stroke="{tone}" stroke-width="5" stroke-linecap="round" opacity=".5"/>'
        )
        out.append(f'<circle cx="{x[1]:.1f}" cy="{y}" r="4" fill="{tone}"/>')
        out.append(f'<text x="{width - 200}" y="{y + 4}">{100 * c["failed"]:.1f} % {escape(columns[i].target[-22:])}</text>')
        y += step
    box = (
        f'<svg viewBox="0 0 {width} {y + 4}" width="100%" role="img" aria-label="failure rates with 95 % intervals by measure and target">'
    )
    return box + "".join(out) + "</svg>"


def _table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    cells = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join(f"<tr><td>{escape(n)}</td>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for n, row in rows)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    return escape(text).replace("\n", "<br>")


TONE = {"verified": "g", "contradicted": "b", "asserted": "m"}


def _entry(e: Entry) -> str:
    links = " ".join(f'<a href="{escape(link, quote=True)}" rel="noreferrer">link</a>' for link in e.links)
    tone = TONE.get(e.status, "ci")
    note = f"<br>{escape(e.note)}" if e.note else ""
    return f'<span class="{tone}">{escape(entry_text(e))}</span> {links}{note}'


def page(title: str, card: Card, columns: Sequence[Column], sheets: Sequence[Sequence[Entry]]) -> str:
    """The whole scorecard as HTML. Everything that came from elsewhere is escaped; links are http(s) alone (`provider_sheet`)."""
    names = [c.target for c in columns]
    rates = [(m, [_cell(cell_text(c)) for c in row]) for m, row in card["measures"].items()]
    more = [(name, [_cell(t) for t in texts]) for name, texts in lines(columns)]
    methods = [(CRITERIA[n], [_entry(s[i]) for s in sheets]) for i, n in enumerate(CRITERIA)]
    notes = "".join(f"<li>{escape(n)}</li>" for n in card["notes"])
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(title)}</title><style>{CSS}td{{white-space:normal}}</style></head><body>',
        f'<h1>{escape(title)}</h1><p class="sub">{escape(DESCRIBES)}</p>',
        f"<h2>Failure rates</h2>{_plot(card, columns)}{_table(['measure', *names], rates)}",
        f"<h2>Cost, latency, style</h2><p>{escape(LATENCY)}</p>{_table(['', *names], more)}",
        f"<h2>Alignment methods</h2><p>{escape(SHEET)}</p>{_table(['criterion', *names], methods)}",
        f"<h2>Notes</h2><ul>{notes}</ul>" if notes else "",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"
