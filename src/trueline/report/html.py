"""The report of a run: one self-contained HTML file, no script, vector plots, readable in light, dark and print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from trueline.charter.schema import Charter
from trueline.core.decisions import GateDecision, MeasureFinding
from trueline.core.evaluations import Evaluation
from trueline.core.matrix import ClauseMatrix, FamilyRate
from trueline.core.records import Interval
from trueline.report.decision import impact_outcome, percent
from trueline.report.layers import layers

CSS = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#667;--line:#dde1e8;--paper:#fff;--good:#1a7f4b;--mid:#b7791f;--bad:#c0392b;--tint:#f5f7fa}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa3b2;--line:#343b48;--paper:#14181f;--good:#4cc38a;--mid:#e0b050;--bad:#ff7b6b;--tint:#1c222c}}
*{box-sizing:border-box}body{font:15px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1080px;margin:2.5rem auto;padding:0 1.5rem}
h1{font-size:1.7rem;margin:0 0 .2rem}h2{font-size:1.15rem;margin:2.4rem 0 .7rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
p.sub{color:var(--soft);margin:0}.verdict{display:inline-block;font-weight:700;letter-spacing:.04em;padding:.25rem .8rem;border-radius:999px;color:#fff}
.PASS{background:var(--good)}.FAIL,.INVALID{background:var(--bad)}.INCONCLUSIVE{background:var(--mid)}
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:middle;white-space:nowrap;font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--soft)}th:first-child,td:first-child{text-align:left}td.hole{color:var(--soft);background:repeating-linear-gradient(45deg,transparent 0 5px,var(--tint) 5px 10px)}
td .ci{color:var(--soft);font-size:.82em}.g{color:var(--good)}.m{color:var(--mid)}.b{color:var(--bad)}tr.group td{background:var(--tint);font-weight:600;color:var(--soft)}
blockquote{margin:.3rem 0 .9rem;padding:.4rem .8rem;border-left:3px solid var(--line);background:var(--tint);white-space:pre-wrap;overflow-wrap:anywhere}
code{font:.86em ui-monospace,monospace}svg text{fill:var(--ink);font:12px system-ui,sans-serif}.wide{overflow-x:auto}
@media print{body{max-width:none;margin:0}h2{break-after:avoid}tr{break-inside:avoid}}
"""


def _rate(rate: Interval | None) -> str:
    if rate is None:
        return '<td class="hole">not measured</td>'
    tone = "g" if rate.estimate >= 0.9 else "b" if rate.estimate < 0.5 else "m"
    return f'<td><span class="{tone}">{100 * rate.estimate:.0f} %</span> <span class="ci">{100 * rate.low:.0f}-{100 * rate.high:.0f}</span></td>'


def _count(n: int | None) -> str:
    return '<td class="hole">-</td>' if n is None else f"<td>{n}</td>"


def _matrix(matrix: ClauseMatrix) -> Iterator[str]:
    yield '<div class="wide"><table><thead><tr><th>clause</th><th>taught</th><th>probes</th><th>before</th><th>after</th><th>written</th><th>attack success</th>'
    yield "<th>guard recall</th><th>holds</th><th>reviews</th></tr></thead><tbody>"
    group = ""
    for r in matrix.rows:
        if r.group != group:
            group = r.group
            yield f'<tr class="group"><td colspan="10">{escape(group)}</td></tr>'
        cells = [_count(r.taught), _count(r.probes), _rate(r.before), _rate(r.after), _rate(r.written), _rate(r.attacked), _rate(r.caught)]
        yield f"<tr><td><code>{escape(r.clause)}</code></td>{''.join(cells)}{_count(r.holds)}{_count(r.reviews)}</tr>"
    yield "</tbody></table></div>"


def _plot(findings: tuple[MeasureFinding, ...]) -> str:
    """Failure rates with one-sided bounds against their caps, as an SVG of our own: no browser, no script."""
    rows = [f for f in findings if f.upper is not None and f.lower is not None and f.rate is not None]
    if not rows:
        return "<p>not measured</p>"
    top = max(0.1, *(f.upper or 0 for f in rows), *(f.cap or 0 for f in rows)) * 1.05
    width, left, step = 820, 130, 34

    def x(v: float) -> float:
        return left + (width - left - 150) * v / top

    out = [f'<svg viewBox="0 0 {width} {step * len(rows) + 34}" width="100%" role="img" aria-label="failure rates with bounds and caps">']
    for i, f in enumerate(rows):
        y = 20 + step * i
        assert f.rate is not None
        tone = {"PASS": "var(--good)", "FAIL": "var(--bad)"}.get(f.outcome, "var(--mid)")
        out.append(
            f'<text x="0" y="{y + 4}">{escape(f.measure)}</text><line x1="{left}" x2="{width - 150}" y1="{y}" y2="{y}" stroke="var(--line)"/>'
        )
        out.append(
            f'<line x1="{x(f.lower or 0):.1f}" x2="{x(f.upper or 0):.1f}" y1="{y}" y2="{y}" stroke="{tone}" stroke-width="6" stroke-linecap="round" opacity=".55"/>'
        )
        out.append(f'<circle cx="{x(f.rate):.1f}" cy="{y}" r="5" fill="{tone}"/>')
        if f.cap is not None:
            out.append(f'<line x1="{x(f.cap):.1f}" x2="{x(f.cap):.1f}" y1="{y - 11}" y2="{y + 11}" stroke="var(--ink)" stroke-width="2"/>')
        out.append(f'<text x="{width - 142}" y="{y + 4}">{percent(f.rate)}, cap {percent(f.cap)}</text>')
    out.append(
        f'<text x="{left}" y="{step * len(rows) + 28}">bar: one-sided 95 % bounds of the failure rate; upright line: the cap</text></svg>'
    )
    return "".join(out)


def _impacts(decision: GateDecision) -> Iterator[str]:
    if not decision.impacts:
        yield "<p>not measured: the charter has no fairness clause</p>"
        return
    yield '<div class="wide"><table><thead><tr><th>decision</th><th>by</th><th>yes</th><th>pairs</th><th>families</th><th>lowest / highest</th><th>minimum</th><th>outcome</th></tr></thead><tbody>'
    for f in decision.impacts:
        yes = "<br>".join(f"{escape(name)}: {percent(rate)}" for name, rate in f.rates.items())
        tone = {"PASS": "g", "FAIL": "b"}.get(f.outcome, "m")
        ratio = "-" if f.ratio is None else f"{f.ratio:.2f}"
        yield f"<tr><td><code>{escape(f.clause)}</code></td><td>{escape(f.attribute)}</td><td>{yes}</td><td>{f.n}</td><td>{f.families}</td>"
        yield f'<td>{ratio} <span class="ci">{f.lower:.3f}-{f.upper:.3f}</span></td><td>{f.minimum:.2f}</td><td class="{tone}">{impact_outcome(f)}</td></tr>'
    yield "</tbody></table></div>"


def _flips(decision: GateDecision, after: Evaluation) -> Iterator[str]:
    rows = {r.probe: r for r in after.rows}
    failed = [rows[p] for p in decision.flipped_worse if p in rows] or [r for r in after.rows if r.result == "fail"]
    if not failed:
        yield "<p>none</p>"
    for r in failed[:25]:
        yield f"<p><code>{escape(r.probe)}</code> {escape(r.seen)} {escape(r.reason)}</p><blockquote>{escape(r.reply)}</blockquote>"
    if len(failed) > 25:
        yield f"<p>and {len(failed) - 25} more in <code>replies.jsonl</code></p>"


def _layers(evaluation: Evaluation) -> Iterator[str]:
    found = layers(evaluation.rows)
    if all(f.layer == "model" for f in found):
        yield "<p>The model decided every reply: no guard stood before it, or none had to act.</p>"
        return
    yield '<div class="wide"><table><thead><tr><th>layer</th><th>replies</th><th>right</th><th>wrong</th><th>unscored</th><th>of them</th><th>for</th></tr></thead><tbody>'
    for f in found:
        kinds, clauses = (", ".join(f"{escape(k)} {n}" for k, n in counts.items()) or "-" for counts in (f.kinds, f.clauses))
        numbers = "".join(f"<td>{n}</td>" for n in (f.replies, f.passed, f.failed, f.unscored))
        yield f"<tr><td>{f.layer}</td>{numbers}<td>{kinds}</td><td>{clauses}</td></tr>"
    yield "</tbody></table></div>"


def _graders(evaluation: Evaluation) -> Iterator[str]:
    for name, identity in evaluation.graders.items():
        parts = []
        for key in ("sensitivity", "specificity"):
            v = identity.get(key)
            parts.append(
                f"{key} {percent(v['estimate'])} ({percent(v['low'])} to {percent(v['high'])}, n {v['n']})" if v else f"{key} not measured"
            )
        exact = sum(r.grader == "exact" for r in evaluation.rows)
        yield f"<p><code>{escape(name)}</code>: {exact} of {len(evaluation.rows)} grades exact; the general grader has {' and '.join(parts)} on human labels.</p>"


def _inherited(families: Sequence[FamilyRate]) -> Iterator[str]:
    if not families:
        yield "<p>not measured: ask them with <code>trueline eval TARGET --suite inherited</code> and name the folder with <code>--inherited</code></p>"
        return
    yield '<div class="wide"><table><thead><tr><th>family</th><th>measure</th><th>kept</th><th>replies</th><th>failed</th><th>by exact checks</th><th>unscored</th></tr></thead><tbody>'
    for f in families:
        kept = None if f.rate is None else Interval(1 - f.rate.estimate, 1 - f.rate.high, 1 - f.rate.low, f.rate.n)
        numbers = "".join(f"<td>{n}</td>" for n in (f.n, f.failed, f.exact, f.unscored))
        yield f"<tr><td><code>{escape(f.family)}</code></td><td>{escape(f.measure)}</td>{_rate(kept)}{numbers}</tr>"
    yield "</tbody></table></div>"


def html_report(
    charter: Charter,
    matrix: ClauseMatrix,
    before: Evaluation | None,
    after: Evaluation,
    decision: GateDecision,
    families: Sequence[FamilyRate] = (),
) -> str:
    """The whole page; `families`: of the inherited probes. Everything that a model wrote is escaped."""
    corrected = [f for f in decision.measures if f.corrected is not None]
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(charter.name)}: report</title><style>{CSS}</style></head><body>',
        f'<h1>{escape(charter.name)}</h1><p class="sub">version {escape(charter.version)}, candidate <code>{escape(after.target)}</code>, {len(after.rows)} replies, {escape(after.created[:16])}</p>',
        f'<h2>Decision</h2><p><span class="verdict {decision.outcome}">{decision.outcome}</span></p><ul>{"".join(f"<li>{escape(r)}</li>" for r in decision.reasons)}</ul>',
        f"<h2>Measures</h2>{_plot(decision.measures)}",
        "".join(
            f"<p>{escape(f.measure)} behind the grader's error: {percent(f.corrected)} ({percent(f.corrected_low)} to {percent(f.corrected_high)})</p>"
            for f in corrected
        ),
        f"<h2>Impact ratios</h2>{''.join(_impacts(decision))}",
        f"<h2>Clause matrix</h2>{''.join(_matrix(matrix))}",
        f"<h2>What every charter inherits</h2>{''.join(_inherited(families))}",
        f"<h2>{'Probes that got worse' if decision.flipped_worse else 'Failed probes'}</h2>{''.join(_flips(decision, after))}",
        f"<h2>Who decided</h2>{''.join(_layers(after))}",
        f"<h2>Graders</h2>{''.join(_graders(after))}",
        f"<h2>Provenance</h2><p>charter <code>{decision.charter}</code><br>suite <code>{decision.suite}</code><br>before <code>{escape(before.target) if before else 'not measured'}</code></p>",
        "</body></html>",
    ]
    return "\n".join(parts)
