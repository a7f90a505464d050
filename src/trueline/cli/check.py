"""`trueline check CHARTER`: what a charter compiles to, and every hole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trueline.cli.project import Project


@click.command(
    help="Lint a charter; print what it compiles to and every hole. A charter with a fault exits 64 with file:line and the remedy."
)
@click.argument("charter")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--prompt-budget", type=click.IntRange(1), help="Show the system prompt within this many tokens (default: all of it).")
@click.option("--show-prompt", is_flag=True, help="Print the compiled system prompt in full.")
@click.option("--show-requests", is_flag=True, help="Print a critique, a revision and an (A)/(B) request for every principle.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(charter: str, probes: Path | None, prompt_budget: int | None, show_prompt: bool, show_requests: bool, as_json: bool) -> int:
    """Compiles everything once and counts it."""
    import json

    from trueline.cli.check_tables import show
    from trueline.cli.project import open_project

    project = open_project(charter, probes)
    found = compiled(project, prompt_budget)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        show(project, found, prompt=show_prompt or prompt_budget is not None, requests=show_requests)
    return 0


def compiled(project: Project, budget: int | None) -> dict[str, Any]:
    """Everything a charter compiles to, as plain data: `prompt` (tokens in words x 4/3), `few_shots`, `demonstrations`
    and `probes` as counts, `requests` of the constitution, `guard` and `review` rules, `holes` with their lines."""
    from trueline.charter.compile.prompt import compile_prompt
    from trueline.charter.compile.shots import few_shots
    from trueline.charter.compile.teaching import demonstrations
    from trueline.charter.lint import holes

    loaded = project.loaded
    prompt = compile_prompt(loaded.charter, budget=budget)
    return {
        "charter": loaded.digest,
        "name": loaded.charter.name,
        "version": loaded.charter.version,
        "clauses": sum(1 for _ in loaded.charter.clauses()),
        "prompt": {"text": prompt.text, "tokens": prompt.tokens, "budget": budget, "left_out": list(prompt.left_out)},
        "few_shots": len(few_shots(loaded.charter, 64)) // 2,
        "demonstrations": len(demonstrations(loaded.charter, project.probes)),
        "principles": len(loaded.charter.principles),
        "requests": _requests(project),
        "probes": _probes(project),
        "guard": _guard(project),
        "review": _review(project),
        "holes": [
            {"clause": h.clause, "line": loaded.lines.get(h.clause), "what": h.what, "remedy": h.remedy}
            for h in holes(loaded, project.probes)
        ],
    }


def _probes(project: Project) -> dict[str, dict[str, int]]:
    """Kind -> hand-written, grown to teach, grown to test."""
    from trueline.charter.compile.written import written_probes

    counts: dict[str, dict[str, int]] = {}
    for p in (*written_probes(project.loaded.charter), *project.probes):
        side = "written" if p.origin == "written" else p.side
        counts.setdefault(p.kind, {"written": 0, "teach": 0, "test": 0})[side] += 1
    return counts


def _requests(project: Project) -> list[dict[str, str]]:
    """The requests of each principle, asked about its own first prompt to refuse."""
    from trueline.charter.compile.constitution import choice_request, critique_request, revision_request
    from trueline.charter.turns import Message

    out = []
    for p in project.loaded.charter.principles:
        asked = (Message("user", p.ask.refuse[0]),)
        out.append(
            {
                "clause": p.id,
                "critique": critique_request(p, asked, "<reply>"),
                "revision": revision_request(p, asked, "<reply>"),
                "choice": choice_request(p, asked, "<reply>", "<other reply>"),
            }
        )
    return out


def _guard(project: Project) -> list[dict[str, Any]]:
    from trueline.charter.compile.guarding import guard_rules

    return [
        {
            "clause": r.clause,
            "kind": r.kind,
            "action": r.action,
            "phrases": len(r.phrases),
            "examples": len(r.examples),
            "counter_examples": len(r.counter_examples),
        }
        for r in guard_rules(project.loaded.charter)
    ]


def _review(project: Project) -> list[dict[str, Any]]:
    from trueline.charter.compile.reviewing import review_rules

    return [
        {
            "clause": r.clause,
            "when": "always" if r.always else "detected",
            "on": list(r.on),
            "by": list(r.by),
            "approvals": r.approvals,
            "within_seconds": r.within_seconds,
        }
        for r in review_rules(project.loaded.charter)
    ]
