"""What a gateway needs to know: the charter's rules at run time, and how requests are answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trueline.core.chat import Sampling
from trueline.guard.rules import MAIN_ROUTE, RunTimeRules, rules_for

if TYPE_CHECKING:
    from trueline.charter.schema import Charter

__all__ = ["MAIN_ROUTE", "GatewayConfig", "config_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig(RunTimeRules):
    """`name`: the model's name on the wire; `identity`: JSON-able facts that decide its replies; `charter`: digest; `sampling`: where a
    request is silent. `wait`, `heartbeat`, `poll`, `retry_window` in seconds; `largest` request in bytes; `most_held`: holds of one key that may wait at once. `keys_required`: a request
    without a valid key is refused."""

    name: str
    charter: str
    identity: Mapping[str, Any] = field(default_factory=dict)
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=256))
    wait: float = 30.0
    heartbeat: float = 5.0
    poll: float = 0.25
    retry_window: float = 900.0
    largest: int = 2_000_000
    most_held: int = 500
    keys_required: bool = False


def config_for(charter: Charter, digest: str, name: str, **more: Any) -> GatewayConfig:
    """The configuration that a charter compiles to; `more`: the other fields. Raises `GatewayError` for what cannot work."""
    said = rules_for(charter)
    return GatewayConfig(said.replies, said.rules, name=name, charter=digest, **more)
