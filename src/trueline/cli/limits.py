"""Options that limit how hard, how long and at what cost a TARGET is asked: the same for every verb that measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from trueline.evals.pacing import Limits

F = TypeVar("F", bound=Callable[..., Any])
POSITIVE = click.FloatRange(min=0, min_open=True)

OPTIONS = (
    click.option("--max-rps", type=POSITIVE, help="At most this many requests a second."),
    click.option("--max-tpm", type=POSITIVE, help="At most this many tokens a minute, read and written."),
    click.option("--fixed-concurrency", is_flag=True, help="Keep --concurrency requests under way even where fewer saturate the target."),
    click.option("--timeout", type=POSITIVE, help="Seconds a request may take before it is asked again (default: 120)."),
    click.option(
        "--budget-requests", type=click.IntRange(1), help="Stop before this many requests are exceeded; the same command resumes."
    ),
    click.option("--budget-tokens", type=click.IntRange(1), help="Stop before this many tokens, read and written, are exceeded."),
    click.option("--budget-money", type=POSITIVE, help="Stop before this much money is exceeded; needs prices."),
    click.option("--price-in", type=click.FloatRange(0), default=0.0, help="Price of a million tokens that the target reads."),
    click.option("--price-out", type=click.FloatRange(0), default=0.0, help="Price of a million tokens that the target writes."),
)
NAMES = (
    "max_rps", "max_tpm", "fixed_concurrency", "timeout", "budget_requests", "budget_tokens", "budget_money", "price_in", "price_out",
)  # fmt: skip


def limit_options(command: F) -> F:
    """Adds the options; the command takes them as keywords and hands them to `limits_of`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def limits_of(concurrency: int, given: dict[str, Any]) -> Limits:
    """The limits that the options ask for. Raises `TruelineError` for money without prices."""
    from trueline.evals.budget import Caps
    from trueline.evals.pacing import Limits

    caps = Caps(given["budget_requests"], given["budget_tokens"], given["budget_money"], given["price_in"], given["price_out"])
    return Limits(concurrency, not given["fixed_concurrency"], given["max_rps"], given["max_tpm"], given["timeout"], caps)
