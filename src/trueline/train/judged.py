"""What people said of replies, in one form: pairs, rankings and ratings as groups of replies to one prompt, and their losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from trueline.algos.losses.reward import bradley_terry, ordinal, plackett_luce
from trueline.charter.digests import digest_of
from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.data.rankings import Ranking, Rated


@dataclass(frozen=True, slots=True)
class Judged:
    """Replies to one prompt. `ranks`: 1 is the best, one a reply (a pair: 1, 2; a rating: 1). `level`: of a rating, from 0."""

    prompt: tuple[Message, ...]
    replies: tuple[str, ...]
    ranks: tuple[int, ...]
    level: int = -1
    margin: float = 0.0
    weight: float = 1.0
    source: str = ""

    def family(self) -> str:
        """Digest of the conversation's first words: rows that grew out of one opening never stand on both sides of a fold."""
        return digest_of([m.content for m in self.prompt if m.role != "system"][:1])

    def digest(self) -> str:
        """Content address."""
        prompt = [m.to_dict() for m in self.prompt]
        return digest_of([prompt, self.replies, self.ranks, self.level, self.margin, self.weight])


def of_pairs(pairs: Sequence[Preference]) -> list[Judged]:
    """Preferences as groups of two, the better first."""
    return [Judged(p.prompt, (p.chosen, p.rejected), (1, 2), -1, p.margin, p.weight, p.source) for p in pairs]


def of_rankings(rows: Sequence[Ranking]) -> list[Judged]:
    """Rankings as they are."""
    return [Judged(r.prompt, r.replies, r.ranks, -1, 0.0, r.weight, r.source) for r in rows]


def of_ratings(rows: Sequence[Rated]) -> list[Judged]:
    """Ratings as groups of one; the level counts the ratings that occur, in order."""
    levels = {rating: k for k, rating in enumerate(sorted({r.rating for r in rows}))}
    return [Judged(r.prompt, (r.reply,), (1,), levels[r.rating], 0.0, r.weight, r.source) for r in rows]


def ordered_index(rows: Sequence[Judged]) -> list[tuple[int, int, int]]:
    """(row, better, worse) of every two replies to one prompt whose order people gave: the row they stand in and their positions among the
    replies of all rows. Ties give none; ratings of one prompt are compared where they differ."""
    rated: dict[str, list[tuple[int, int]]] = {}
    out, at = [], 0
    for n, row in enumerate(rows):
        if row.level >= 0:
            rated.setdefault(digest_of([m.to_dict() for m in row.prompt]), []).append((n, at))
        for i, j in combinations(range(len(row.replies)), 2):
            if row.ranks[i] != row.ranks[j]:
                a, b = (i, j) if row.ranks[i] < row.ranks[j] else (j, i)
                out.append((n, at + a, at + b))
        at += len(row.replies)
    for group in rated.values():
        for (n, x), (m, y) in combinations(group, 2):
            if rows[n].level != rows[m].level:
                out.append((n, x, y) if rows[n].level > rows[m].level else (n, y, x))
    return out


def conversations_of(rows: Sequence[Judged]) -> list[tuple[tuple[Message, ...], str]]:
    """(prompt, reply) of all replies of all rows, in order."""
    return [(row.prompt, reply) for row in rows for reply in row.replies]


def split_judged(rows: Sequence[Judged], share: float, name: str) -> tuple[list[Judged], list[Judged]]:
    """(rest, `share` of the families), by digests salted with `name`."""
    rest: list[Judged] = []
    part: list[Judged] = []
    for row in rows:
        (part if int(digest_of([name, row.family()])[:8], 16) / 2**32 < share else rest).append(row)
    return rest, part


def folds_of(rows: Sequence[Judged], folds: int, name: str) -> list[int]:
    """The fold of each row, by family, of nearly equal size: families in the order of their salted digests fill one fold after another."""
    members: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        members.setdefault(row.family(), []).append(i)
    out, placed = [0] * len(rows), 0
    for family in sorted(members, key=lambda f: digest_of([name, f])):
        for i in members[family]:
            out[i] = min(folds - 1, placed * folds // len(rows))
        placed += len(members[family])
    return out


def _pairs(rewards: torch.Tensor, rows: Sequence[Judged], thresholds: torch.Tensor | None, margin: bool) -> torch.Tensor:
    margins = torch.tensor([r.margin if margin else 0.0 for r in rows], dtype=rewards.dtype, device=rewards.device)
    return bradley_terry(rewards[0::2], rewards[1::2], margins)


def _rankings(rewards: torch.Tensor, rows: Sequence[Judged], thresholds: torch.Tensor | None, margin: bool) -> torch.Tensor:
    width, at = max(len(r.replies) for r in rows), 0
    index = torch.zeros((len(rows), width), dtype=torch.long)
    ranks = torch.ones((len(rows), width), dtype=torch.long)
    keep = torch.zeros((len(rows), width), dtype=torch.bool)
    for i, row in enumerate(rows):
        k = len(row.replies)
        index[i, :k], ranks[i, :k], keep[i, :k] = torch.arange(at, at + k), torch.tensor(row.ranks), True
        at += k
    return plackett_luce(rewards[index.to(rewards.device)], ranks.to(rewards.device), keep.to(rewards.device))


def _ratings(rewards: torch.Tensor, rows: Sequence[Judged], thresholds: torch.Tensor | None, margin: bool) -> torch.Tensor:
    assert thresholds is not None
    return ordinal(rewards, torch.tensor([r.level for r in rows], device=rewards.device), thresholds)


LossOf = Callable[[torch.Tensor, Sequence[Judged], torch.Tensor | None, bool], torch.Tensor]
LOSS_OF: dict[str, LossOf] = {"bradley-terry": _pairs, "plackett-luce": _rankings, "ordinal": _ratings}
"""Name -> losses (rows,) of the rewards (replies of all rows in order,), the thresholds of `ordinal`, and whether margins count."""
