"""`trueline check CHARTER`: what a charter compiles to, and every hole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(
    help="Lint a charter; print what it compiles to and every hole. A charter with a fault exits 64 with file:line and the remedy."
)
@click.argument("charter")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--prompt-budget", type=click.IntRange(1), help="Show the system prompt within this many tokens (default: all of it).")
@click.option("--show-prompt", is_flag=True, help="Print the compiled system prompt in full.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(charter: str, probes: Path | None, prompt_budget: int | None, show_prompt: bool, as_json: bool) -> int:
    """Compiles everything once and counts it."""
    import json

    from trueline.cli.project import open_project

    project = open_project(charter, probes)
    found = compiled(project, prompt_budget)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return 0
    loaded = project.loaded
    click.echo(f"{loaded.charter.name} {loaded.charter.version}: {found['clauses']} clauses, digest {loaded.digest[:12]}")
    prompt = found["prompt"]
    click.echo(f"  prompt    {prompt['tokens']} tokens (counted in words x 4/3), {len(prompt['left_out'])} clauses left out")
    if show_prompt:
        click.echo("\n".join("    " + line for line in str(prompt["text"]).splitlines()))
    click.echo(f"  few-shots {found['few_shots']} examples    demonstrations {found['demonstrations']}")
    click.echo(f"  constitution {found['principles']} principles, each with critique, revision and (A)/(B) requests")
    for kind, sides in sorted(found["probes"].items()):
        click.echo(f"  probes    {kind:22} written {sides['written']:4}   teach {sides['teach']:4}   test {sides['test']:4}")
    click.echo("  guard     " + ", ".join(f"{k} {v}" for k, v in sorted(found["guard"].items())))
    for r in found["review"]:
        click.echo(f"  review    {r['clause']}: {r['when']}, {r['approvals']} of {', '.join(r['by'])} within {r['within_seconds']} s")
    click.echo(f"{len(found['holes'])} holes")
    for h in found["holes"]:
        line = loaded.lines.get(h["clause"])
        click.echo(f"  {loaded.path.name}:{line or 1}: {h['clause']}: {h['what']}; {h['remedy']}")
    return 0


def compiled(project: Any, budget: int | None) -> dict[str, Any]:
    """Everything a charter compiles to, as counts and texts."""
    from collections import Counter

    from trueline.charter.compile.guarding import guard_rules
    from trueline.charter.compile.prompt import compile_prompt
    from trueline.charter.compile.reviewing import review_rules
    from trueline.charter.compile.shots import few_shots
    from trueline.charter.compile.teaching import demonstrations
    from trueline.charter.compile.written import written_probes
    from trueline.charter.lint import holes

    charter = project.loaded.charter
    prompt = compile_prompt(charter, budget=budget)
    counts: dict[str, dict[str, int]] = {}
    for p in (*written_probes(charter), *project.probes):
        side = "written" if p.origin == "written" else p.side
        counts.setdefault(p.kind, {"written": 0, "teach": 0, "test": 0})[side] += 1
    return {
        "charter": project.loaded.digest,
        "clauses": sum(1 for _ in charter.clauses()),
        "prompt": {"text": prompt.text, "tokens": prompt.tokens, "left_out": list(prompt.left_out)},
        "few_shots": len(few_shots(charter, 64)) // 2,
        "demonstrations": len(demonstrations(charter, project.probes)),
        "principles": len(charter.principles),
        "probes": counts,
        "guard": dict(Counter(r.action for r in guard_rules(charter))),
        "review": [
            {
                "clause": r.clause,
                "when": "always" if r.always else "detected",
                "by": list(r.by),
                "approvals": r.approvals,
                "within_seconds": r.within_seconds,
            }
            for r in review_rules(charter)
        ],
        "holes": [{"clause": h.clause, "what": h.what, "remedy": h.remedy} for h in holes(project.loaded, project.probes)],
    }
