"""`trueline ratings`: judgements out as preferences, pairs in for comparison, and how far people agree."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(help="Export ratings as preferences, import pairs to compare, and measure agreement.")
def command() -> None:
    """The group."""


def _there(db: str) -> str:
    """The database, which must exist: one that is made by asking for its ratings would say that there are none."""
    from trueline.errors import StoreError

    path = db.removeprefix("sqlite:///")
    if "://" not in path and not Path(path).exists():
        raise StoreError("there is no database here", remedy="name the one that `trueline serve --db` uses", file=path)
    return db


@command.command("export", help="Write all judgements as standard preference rows.")
@click.option("--db", required=True, help="Database file or URL of `trueline serve`.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File of preference rows to write.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def export(db: str, out: Path, as_json: bool) -> int:
    """Edits, comparisons and refusals as (chosen, rejected)."""
    import json
    from collections import Counter

    from trueline.data.jsonl import write_jsonl
    from trueline.review.preferences import preferences
    from trueline.store.database import open_store

    store = open_store(_there(db))
    try:
        found = preferences(store)
    finally:
        store.close()
    write_jsonl(out, (p.to_dict() for p in found))
    counts = dict(Counter(p.source for p in found))
    click.echo(
        json.dumps({"out": str(out), "rows": len(found), "by": counts}) if as_json else f"{len(found)} preferences -> {out}  {counts}"
    )
    return 0


@command.command("import", help="Bring in pairs of replies to be compared (preference rows, or prompt with two replies).")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--db", required=True, help="Database file or URL of `trueline serve`.")
@click.option("--json", "as_json", is_flag=True, help="Print the count as JSON.")
def import_(file: Path, db: str, as_json: bool) -> int:
    """Each row becomes a comparison that waits for raters."""
    import json

    from trueline.charter.turns import messages_from
    from trueline.data.conversations import preference_from
    from trueline.data.jsonl import read_jsonl
    from trueline.errors import DataError
    from trueline.store.database import open_store
    from trueline.store.ratings import add_comparison

    rows = []
    for number, row in read_jsonl(file):
        try:
            if isinstance(row.get("replies"), list):
                if len(row["replies"]) != 2 or not all(isinstance(r, str) for r in row["replies"]):
                    raise DataError(f"replies must be two strings, got {len(row['replies'])}", remedy="give exactly two")
                if not isinstance(row.get("clause"), str | None):
                    raise DataError(f"clause must be text or null, got {row['clause']!r:.40}", remedy="mend 'clause'")
                rows.append((messages_from(row.get("prompt")), (row["replies"][0], row["replies"][1]), row.get("clause")))
            else:
                pair = preference_from(row)
                rows.append((pair.prompt, (pair.chosen, pair.rejected), pair.clause))
            if rows[-1][1][0] == rows[-1][1][1]:
                raise DataError("both replies are the same", remedy="remove the row")
        except DataError as e:
            raise DataError(e.what, remedy=e.remedy, file=file, line=number) from None
    if not rows:
        raise DataError("this file has no rows", remedy="give at least one pair", file=file)
    store = open_store(db)
    try:
        for prompt, replies, clause in rows:
            add_comparison(store, prompt, replies, clause=clause, source=file.name)
    finally:
        store.close()
    click.echo(json.dumps({"comparisons": len(rows)}) if as_json else f"{len(rows)} pairs wait for comparison")
    return 0


@command.command("agreement", help="Raw agreement and Krippendorff's alpha of the comparisons, with a bootstrap interval.")
@click.option("--db", help="Database file or URL of `trueline serve`.")
@click.option("--file", "file", type=click.Path(path_type=Path), help="File of rows with `votes` (0 tie, 1, 2), one a rater.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def agreement(db: str | None, file: Path | None, as_json: bool) -> int:
    """From the database or from a file of votes."""
    import json

    from trueline.algos.agreement import agree
    from trueline.data.jsonl import read_jsonl
    from trueline.errors import DataError
    from trueline.review.preferences import votes_of
    from trueline.store.database import open_store

    if (db is None) == (file is None):
        raise DataError("got neither or both of --db and --file, expected one", remedy="give one of them")
    if file is not None:
        units = []
        for number, row in read_jsonl(file):
            votes = row.get("votes")
            if not isinstance(votes, list) or not all(type(v) is int and v in (0, 1, 2) for v in votes):
                what = f"votes must be a list of 0 (tie), 1 and 2, one a rater, got {votes!r:.40}"
                raise DataError(what, remedy="mend 'votes'", file=file, line=number)
            units.append(tuple(str(v) for v in votes))
    else:
        assert db is not None
        store = open_store(_there(db))
        try:
            units = votes_of(store)
        finally:
            store.close()
    found = agree(units)
    told = {
        "raw": found.raw,
        "alpha": found.alpha,
        "alpha_low": found.low,
        "alpha_high": found.high,
        "units": found.units,
        "votes": found.votes,
    }
    click.echo(
        json.dumps(told)
        if as_json
        else f"raw agreement {found.raw:.3f}, alpha {found.alpha:.3f} ({found.low:.3f} to {found.high:.3f}), {found.units} items, {found.votes} votes"
    )
    return 0
