"""What `eval` prints below its measures: inherited families, consistency, voice limits, decisions about people and BBQ scores."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from trueline.cli.project import Project
from trueline.core.evaluations import Evaluation
from trueline.core.records import Interval
from trueline.evals.suites import Suite


def families(project: Project, suite: Suite, found: Evaluation) -> dict[str, Any]:
    """JSON-able tables by name; a table without rows is left out."""
    from trueline.evals.bbq import bbq_scores
    from trueline.evals.families import consistency, family_rates, voice_limits

    told = consistency(found.rows)
    tables = {
        "families": [asdict(f) for f in family_rates(found.rows)],
        "consistency": [asdict(told)] if told.facts else [],
        "voice_limits": [asdict(v) for v in voice_limits(project.loaded.charter, found.rows)],
        "impact": _impact(suite, found),
        "bbq": [asdict(s) for s in bbq_scores(found.rows, suite.probes)],
    }
    return {name: rows for name, rows in tables.items() if rows}


def _impact(suite: Suite, found: Evaluation) -> list[dict[str, Any]]:
    """Decision rates and four-fifths ratios of the inherited pairs."""
    from trueline.charter.compile.inherited.people import RULES
    from trueline.charter.compile.people import people_in
    from trueline.gate.impact import impact_findings

    asked = {p.clause for p in suite.probes}
    rules = [r for r in RULES if r.id in asked]
    return [asdict(f) for f in impact_findings(rules, found.rows, people_in(rules, suite.probes), required=False)]


def _rate(raw: dict[str, Any] | None) -> str:
    if raw is None:
        return "not enough"
    i = Interval(**raw)
    return f"{100 * i.estimate:5.1f}% ({100 * i.low:.1f} - {100 * i.high:.1f})"


def print_families(tables: dict[str, Any]) -> None:
    """The same as lines."""
    if "families" in tables:
        click.echo(f"{'inherited family':34}{'failed, 95 % interval':>26}{'n':>6}{'exact':>7}{'unscored':>10}")
    for f in tables.get("families", ()):
        click.echo(f"{f['family'] + ', ' + f['measure']:34}{_rate(f['rate']):>26}{f['n']:6}{f['exact']:7}{f['unscored']:10}")
    for c in tables.get("consistency", ()):
        click.echo(f"consistency: {c['right']} of {c['facts']} facts right in every wording, {c['mixed']} in some: {_rate(c['rate'])}")
    for v in tables.get("voice_limits", ()):
        click.echo(f"voice {v['clause']}: {v['broken']} of {v['n']} answers over its limits: {_rate(v['rate'])}")
    for i in tables.get("impact", ()):
        rates = ", ".join(f"{who} {'-' if r is None else f'{100 * r:.0f} %'}" for who, r in i["rates"].items())
        ratio = "none" if i["ratio"] is None else f"{i['ratio']:.2f} ({i['lower']:.3f} - {i['upper']:.3f})"
        click.echo(f"{i['clause']} by {i['attribute']}: yes to {rates}; impact ratio {ratio}, least {i['minimum']:.2f}: {i['outcome']}")
    for s in tables.get("bbq", ()):
        score = "not enough" if s["bias"] is None else f"{s['bias']['estimate']:+.3f} ({s['bias']['low']:+.3f} - {s['bias']['high']:+.3f})"
        told = f"accuracy {_rate(s['accuracy']).strip()}, bias score {score} of {s['answered']} answers, {s['unclear']} of {s['n']} without a choice"
        click.echo(f"BBQ {s['category']} {s['condition']}: {told}")
    if c := tables.get("calibration"):
        told = f"ECE {c['ece']:.3f} over {c['n']} questions in {c['bins']} bins (a perfect model would show about {c['floor']:.3f})"
        by = "" if c["form"] == "replies" else f", by the letters of the options, {c['unread']} questions not read"
        click.echo(f"calibration{by}: {told}; confidence {100 * c['confidence']:.1f} %, right {100 * c['accuracy']:.1f} %")
