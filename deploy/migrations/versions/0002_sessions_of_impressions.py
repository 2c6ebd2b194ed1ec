"""An impression knows the session it was shown in, so that revenue can be counted by session.

Expand only: older releases write nothing into the column and read past it.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; without a default no partition is rewritten."""
    op.execute('ALTER TABLE impressions ADD COLUMN session_id text COLLATE "C"')


def downgrade() -> None:
    """Drop the column."""
    op.execute("ALTER TABLE impressions DROP COLUMN session_id")
