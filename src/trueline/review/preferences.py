"""What people decided, as preferences: an edit prefers the edited text, a comparison its winner, a refusal the sentence that was sent."""

from __future__ import annotations

from trueline.core.records import Preference
from trueline.store import holds, ratings
from trueline.store.database import Store


def _majorities(store: Store) -> dict[str, tuple[Preference, int]]:
    """Comparisons by their majority; the weight is how clear it was (Laplace), ties count for neither side."""
    votes: dict[str, list[int]] = {}
    pairs = {}
    for rating, comparison in ratings.all_ratings(store):
        if rating.kind == "comparison" and comparison is not None and rating.value is not None:
            votes.setdefault(comparison, []).append(int(rating.value))
            pairs[comparison] = rating
    out: dict[str, tuple[Preference, int]] = {}
    for name, given in votes.items():
        first, second = given.count(0), given.count(1)
        if first == second:
            continue
        better = 0 if first > second else 1
        share = (max(first, second) + 1) / (len(given) + 2)
        r = pairs[name]
        found = Preference(
            r.prompt, r.replies[better], r.replies[1 - better], weight=round(2 * share - 1, 4), clause=r.clause, source="comparison"
        )
        out[name] = (found, len(given))
    return out


def preferences(store: Store) -> list[Preference]:
    """All judgements that prefer one text over another, in a fixed order."""
    out = [p for p, _ in _majorities(store).values()]
    for h in holds.queue(store, states=("edited", "refused"), limit=1_000_000):
        if not h.draft.strip() or not h.released or h.released.strip() == h.draft.strip():
            continue
        out.append(Preference(h.request, h.released, h.draft, clause=h.clause, source="edit" if h.state == "edited" else "refusal"))
    return out


def votes_of(store: Store) -> list[tuple[str, ...]]:
    """The votes of each compared pair, one a rater."""
    votes: dict[str, dict[str, str]] = {}
    for rating, comparison in ratings.all_ratings(store):
        if rating.kind == "comparison" and comparison is not None and rating.value is not None:
            votes.setdefault(comparison, {})[rating.rater] = str(int(rating.value))
    return [tuple(v.values()) for v in votes.values()]
