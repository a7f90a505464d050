"""Provider sheets: what a provider says about how a model was aligned, by a fixed list of criteria that the user fills with links.

Trueline knows nothing about any provider and ships no facts. What a sheet says is asserted, by whom and when; only what Trueline saw itself
(a version named with every reply, a model card that lies in the folder) is marked as verified, and where the two differ that is said."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trueline.charter.parse import read_yaml, validate
from trueline.errors import DataError

CRITERIA: Mapping[str, str] = {
    "training_method": "training method disclosed",
    "specification": "constitution or specification published",
    "third_party_red_teaming": "red teaming by third parties",
    "system_card": "system card or model card",
    "incident_reporting": "incidents reported",
    "regression_policy": "regression policy: what is tested before a change",
    "data_use": "use of customers' data stated",
    "versioning": "versions pinned and named",
}
ADDRESS = re.compile(
    r"[A-Za-z0-9:/?#@!$&()*+,;=.~%_\[\]'-]+"
)  # what RFC 3986 allows: no space, bracket, quote or bar that could end a link
Value = Literal["yes", "partly", "no", "unknown"]
Status = Literal["asserted", "verified", "contradicted", "not stated"]


class Criterion(BaseModel):
    """One criterion: `value`, `links` to where it is said, `note`, `asserted_by` (a person or the provider), `date` of looking."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    value: Value = "unknown"
    links: tuple[str, ...] = ()
    note: str = ""
    asserted_by: str = ""
    date: datetime.date | None = None

    @model_validator(mode="after")
    def _supported(self) -> Criterion:
        for link in self.links:
            parts = urlsplit(link)
            if parts.scheme not in ("http", "https") or not parts.hostname or not ADDRESS.fullmatch(link):
                raise ValueError(f"links must be http(s) addresses of plain characters, got {link!r:.60}")
            if parts.username or parts.password:
                raise ValueError("a link holds a secret")
        if self.value in ("yes", "partly", "no") and not self.asserted_by:
            raise ValueError(f"value {self.value!r} needs asserted_by: who says so")
        if self.value in ("yes", "partly") and not self.links:
            raise ValueError(f"value {self.value!r} needs at least one link to where it is said")
        return self


class Criteria(BaseModel):
    """The fixed list; what is left out is not stated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training_method: Criterion = Criterion()
    specification: Criterion = Criterion()
    third_party_red_teaming: Criterion = Criterion()
    system_card: Criterion = Criterion()
    incident_reporting: Criterion = Criterion()
    regression_policy: Criterion = Criterion()
    data_use: Criterion = Criterion()
    versioning: Criterion = Criterion()


class ProviderSheet(BaseModel):
    """A sheet: `provider`, `target` (the TARGET on the scorecard that it is about), criteria."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider_sheet: Literal[1]
    provider: Annotated[str, Field(min_length=1)]
    target: Annotated[str, Field(min_length=1)]
    criteria: Criteria = Criteria()


@dataclass(frozen=True, slots=True)
class Seen:
    """What Trueline saw itself about a criterion: whether it `holds`, and in words what was seen."""

    holds: bool
    words: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell of the sheet: the value, how far it can be relied on, and why."""

    criterion: str
    value: Value
    status: Status
    links: tuple[str, ...] = ()
    note: str = ""
    asserted_by: str = ""
    date: str | None = None
    seen: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def read_sheet(path: Path) -> ProviderSheet:
    """Reads a provider sheet. Raises `DataError` (file:line)."""
    return validate(read_yaml(path, DataError), ProviderSheet, path, DataError)


def entries(sheet: ProviderSheet | None, seen: Mapping[str, Seen]) -> tuple[Entry, ...]:
    """The fixed list for one target: what the sheet asserts (or nothing), beside what was seen."""
    out = []
    for name in CRITERIA:
        c: Criterion = getattr(sheet.criteria, name) if sheet is not None else Criterion()
        found = seen.get(name)
        stated = c.value != "unknown"
        status: Status = "asserted" if stated else "not stated"
        if found is not None:
            denied = stated and (c.value == "no") == found.holds
            status = "contradicted" if denied else "verified"
        value = c.value if stated or found is None else "yes" if found.holds else "no"
        day = None if c.date is None else c.date.isoformat()
        out.append(Entry(name, value, status, c.links, c.note, c.asserted_by, day, found.words if found else ""))
    return tuple(out)


def versions_seen(named: Mapping[str, int], replies: int) -> Seen | None:
    """Whether the server named a version with every reply. Naming a model and no fingerprint is not enough to tell two versions apart."""
    if not replies:
        return None
    prints = {v: n for v, n in named.items() if " " in v.strip()}
    whole = sum(prints.values()) == replies
    words = f"{sum(prints.values())} of {replies} replies named a fingerprint" + (f" ({len(prints)} different)" if prints else "")
    return Seen(whole, words)


def card_seen(folder: Path) -> Seen | None:
    """Whether a local model carries a model card; None for what is no folder."""
    if not folder.is_dir():
        return None
    card = folder / "README.md"
    there = card.is_file() and card.stat().st_size > 0
    return Seen(there, f"{card.name} lies in the folder" if there else "no README.md in the folder")


def entry_text(e: Entry) -> str:
    """A cell in words."""
    if e.status == "not stated":
        return "not stated"
    who = f", {e.asserted_by}" + (f" {e.date}" if e.date else "") if e.asserted_by else ""
    mark = {"asserted": f"asserted{who}", "verified": f"verified: {e.seen}", "contradicted": f"asserted{who}; contradicted: {e.seen}"}[
        e.status
    ]
    return f"{e.value} ({mark})"
