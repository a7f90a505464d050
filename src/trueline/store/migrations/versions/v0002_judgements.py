"""What a reviewer judged before the draft was shown, kept from the moment it was said."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None


def upgrade() -> None:
    """Adds `judgements`."""
    op.create_table(
        "judgements",
        sa.Column("hold", sa.String(length=64), nullable=False),
        sa.Column("reviewer", sa.String(length=128), nullable=False),
        sa.Column("created", sa.String(length=40), nullable=False),
        sa.Column("judgement", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["hold"], ["holds.id"]),
        sa.PrimaryKeyConstraint("hold", "reviewer"),
    )


def downgrade() -> None:
    """There is no way back: the judgements would be lost."""
    raise RuntimeError("a database is not taken back to an older version; restore a backup instead")
