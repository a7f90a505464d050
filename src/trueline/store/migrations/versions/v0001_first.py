"""The first form: exchanges, holds, reviews, comparisons, ratings, incidents, the decision log and API keys."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0001", None, None, None


def _run_time() -> None:
    op.create_table(
        "exchanges",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created", sa.String(length=40), nullable=False),
        sa.Column("finished", sa.String(length=40), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("charter", sa.String(length=64), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("draft", sa.Text(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("tool_calls", sa.Text(), nullable=False),
        sa.Column("finish_reason", sa.String(length=16), nullable=True),
        sa.Column("input_verdict", sa.Text(), nullable=False),
        sa.Column("output_verdict", sa.Text(), nullable=False),
        sa.Column("clause", sa.String(length=64), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.CheckConstraint("state in ('open','held','completed','failed')", name="exchange_state"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("exchanges_by_request", "exchanges", ["request_digest", "created"], unique=False)
    op.create_index("exchanges_by_time", "exchanges", ["created"], unique=False)


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("exchange", sa.String(length=64), nullable=False),
        sa.Column("created", sa.String(length=40), nullable=False),
        sa.Column("expires", sa.String(length=40), nullable=False),
        sa.Column("clause", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by_roles", sa.Text(), nullable=False),
        sa.Column("approvals", sa.Integer(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("draft", sa.Text(), nullable=False),
        sa.Column("tool_calls", sa.Text(), nullable=False),
        sa.Column("proposal", sa.Text(), nullable=False),
        sa.Column("proposal_calls", sa.Text(), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("neutral", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("charter", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("released", sa.Text(), nullable=True),
        sa.Column("released_calls", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.String(length=128), nullable=True),
        sa.Column("decided_at", sa.String(length=40), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint("(state = 'pending') = (released is null)", name="hold_released_when_decided"),
        sa.CheckConstraint("state in ('pending','approved','edited','refused','expired')", name="hold_state"),
        sa.ForeignKeyConstraint(
            ["exchange"],
            ["exchanges.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("exchange"),
    )
    op.create_index("holds_by_state", "holds", ["state", "expires"], unique=False)
    op.create_table(
        "reviews",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("hold", sa.String(length=64), nullable=False),
        sa.Column("created", sa.String(length=40), nullable=False),
        sa.Column("reviewer", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("result_hash", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("judgement", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.CheckConstraint("action in ('approve','edit','refuse')", name="review_action"),
        sa.ForeignKeyConstraint(
            ["hold"],
            ["holds.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("reviews_by_hold", "reviews", ["hold", "created"], unique=False)


def _people() -> None:
    op.create_table(
        "comparisons",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created", sa.String(length=40), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("replies", sa.Text(), nullable=False),
        sa.Column("models", sa.Text(), nullable=False),
        sa.Column("clause", sa.String(length=64), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "ratings",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("rater", sa.String(length=128), nullable=False),
        sa.Column("comparison", sa.String(length=64), nullable=True),
        sa.Column("hold", sa.String(length=64), nullable=True),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("replies", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("sides", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("clause", sa.String(length=64), nullable=True),
        sa.CheckConstraint("kind in ('comparison','likert','ranking','edit')", name="rating_kind"),
        sa.ForeignKeyConstraint(
            ["comparison"],
            ["comparisons.id"],
        ),
        sa.ForeignKeyConstraint(
            ["hold"],
            ["holds.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ratings_by_comparison", "ratings", ["comparison", "rater"], unique=False)
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("clause", sa.String(length=64), nullable=False),
        sa.Column("exchange", sa.String(length=64), nullable=True),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint("kind in ('report','catch','override','attack')", name="incident_kind"),
        sa.ForeignKeyConstraint(
            ["exchange"],
            ["exchanges.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("incidents_by_clause", "incidents", ["clause", "created"], unique=False)


def _proof() -> None:
    op.create_table(
        "decisions",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "api_keys",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created", sa.String(length=40), nullable=False),
        sa.Column("wait", sa.Float(), nullable=True),
        sa.Column("revoked", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )


def _append_only() -> None:
    """The log cannot be changed or shortened by an ordinary statement; who drops the trigger first is found by the chain."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "create function trueline_append_only() returns trigger language plpgsql as "
            "$$ begin raise exception 'the decision log is append-only'; end $$"
        )
        op.execute(
            "create trigger decisions_append_only before update or delete or truncate on decisions "
            "for each statement execute function trueline_append_only()"
        )
        return
    for verb in ("update", "delete"):
        op.execute(
            f"create trigger decisions_no_{verb} before {verb} on decisions "
            "begin select raise(abort, 'the decision log is append-only'); end"
        )


def upgrade() -> None:
    """Makes all tables of the first form."""
    _run_time()
    _holds()
    _people()
    _proof()
    _append_only()
