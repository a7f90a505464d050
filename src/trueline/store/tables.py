"""The tables, as SQLAlchemy core. Times are ISO 8601 text in UTC of fixed width (they sort as they stand), structures are JSON text.

What a person may ask to have erased (requests, drafts, replies) stands in `exchanges`, `holds` and `ratings`; the log
`decisions` holds digests only, salted where the content is short, so that erasing content does not break its proof.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

exchanges = Table(
    "exchanges", metadata,
    Column("id", String(64), primary_key=True),  # the completion's id on the wire
    Column("created", String(40), nullable=False),
    Column("finished", String(40)),
    Column("state", String(16), nullable=False),  # open | held | completed | failed
    Column("route", String(64), nullable=False),
    Column("key", String(64)),
    Column("model", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("charter", String(64), nullable=False),
    Column("request", Text, nullable=False),
    Column("request_digest", String(64), nullable=False),
    Column("draft", Text),  # what the model wrote, where the reply differs from it
    Column("reply", Text),
    Column("tool_calls", Text, nullable=False),
    Column("finish_reason", String(16)),
    Column("input_verdict", Text, nullable=False),
    Column("output_verdict", Text, nullable=False),
    Column("clause", String(64)),
    Column("action", String(16), nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    CheckConstraint("state in ('open','held','completed','failed')", name="exchange_state"),
    Index("exchanges_by_request", "request_digest", "created"),
    Index("exchanges_by_time", "created"),
)  # fmt: skip

holds = Table(
    "holds", metadata,
    Column("id", String(64), primary_key=True),
    Column("exchange", String(64), ForeignKey("exchanges.id"), nullable=False, unique=True),
    Column("created", String(40), nullable=False),
    Column("expires", String(40), nullable=False),
    Column("clause", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("by_roles", Text, nullable=False),
    Column("approvals", Integer, nullable=False),
    Column("request", Text, nullable=False),
    Column("draft", Text, nullable=False),
    Column("tool_calls", Text, nullable=False),
    Column("proposal", Text, nullable=False),  # what would be released now: the draft, or the last edit of it
    Column("proposal_calls", Text, nullable=False),
    Column("salt", String(64), nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("neutral", Text, nullable=False),  # what the client reads while a person decides
    Column("model", Text, nullable=False),
    Column("charter", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("released", Text),
    Column("released_calls", Text, nullable=False),
    Column("decided_by", String(128)),
    Column("decided_at", String(40)),
    Column("note", Text, nullable=False),
    CheckConstraint("state in ('pending','approved','edited','refused','expired')", name="hold_state"),
    CheckConstraint("(state = 'pending') = (released is null)", name="hold_released_when_decided"),
    Index("holds_by_state", "state", "expires"),
)  # fmt: skip

reviews = Table(
    "reviews", metadata,
    Column("id", String(64), primary_key=True),
    Column("hold", String(64), ForeignKey("holds.id"), nullable=False),
    Column("created", String(40), nullable=False),
    Column("reviewer", String(128), nullable=False),
    Column("role", String(64), nullable=False),
    Column("action", String(16), nullable=False),
    Column("content_hash", String(64), nullable=False),  # what the reviewer saw
    Column("result_hash", String(64), nullable=False),  # what the reviewer left: differs after an edit
    Column("text", Text),
    Column("note", Text, nullable=False),
    Column("judgement", Text),  # said before the draft was revealed
    Column("seconds", Float),
    CheckConstraint("action in ('approve','edit','refuse')", name="review_action"),
    Index("reviews_by_hold", "hold", "created"),
)  # fmt: skip

judgements = Table(
    "judgements", metadata,
    Column("hold", String(64), ForeignKey("holds.id"), primary_key=True),
    Column("reviewer", String(128), primary_key=True),
    Column("created", String(40), nullable=False),
    Column("judgement", String(32), nullable=False),  # answer | careful | refuse, said before the draft was shown
)  # fmt: skip

comparisons = Table(
    "comparisons", metadata,
    Column("id", String(64), primary_key=True),
    Column("created", String(40), nullable=False),
    Column("prompt", Text, nullable=False),
    Column("replies", Text, nullable=False),
    Column("models", Text, nullable=False),
    Column("clause", String(64)),
    Column("source", Text, nullable=False),
)  # fmt: skip

ratings = Table(
    "ratings", metadata,
    Column("id", String(64), primary_key=True),
    Column("created", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("rater", String(128), nullable=False),
    Column("comparison", String(64), ForeignKey("comparisons.id")),
    Column("hold", String(64), ForeignKey("holds.id")),
    Column("prompt", Text, nullable=False),
    Column("replies", Text, nullable=False),
    Column("value", Float),
    Column("text", Text),
    Column("sides", Text, nullable=False),
    Column("seconds", Float),
    Column("clause", String(64)),
    CheckConstraint("kind in ('comparison','likert','ranking','edit')", name="rating_kind"),
    Index("ratings_by_comparison", "comparison", "rater"),
)  # fmt: skip

incidents = Table(
    "incidents", metadata,
    Column("id", String(64), primary_key=True),
    Column("created", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("clause", String(64), nullable=False),
    Column("exchange", String(64), ForeignKey("exchanges.id")),
    Column("prompt", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("note", Text, nullable=False),
    CheckConstraint("kind in ('report','catch','override','attack')", name="incident_kind"),
    Index("incidents_by_clause", "clause", "created"),
)  # fmt: skip

decisions = Table(
    "decisions", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", String(40), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
)  # fmt: skip

api_keys = Table(
    "api_keys", metadata,
    Column("name", String(64), primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("created", String(40), nullable=False),
    Column("wait", Float),  # seconds that a held request of this key waits; null: the gateway's own
    Column("revoked", String(40)),
)  # fmt: skip

ended_sessions = Table(
    "ended_sessions", metadata,
    Column("session", String(64), primary_key=True),  # of the console; kept while its cookie would still count
    Column("at", String(40), nullable=False),
)  # fmt: skip
