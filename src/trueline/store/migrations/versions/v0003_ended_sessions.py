"""Sessions of the console that were ended: a copied cookie must not outlive the signing out."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0003", "0002", None, None


def upgrade() -> None:
    """Adds `ended_sessions`."""
    op.create_table(
        "ended_sessions",
        sa.Column("session", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("session"),
    )


def downgrade() -> None:
    """There is no way back: sessions that were ended would count again."""
    raise RuntimeError("a database is not taken back to an older version; restore a backup instead")
