"""An API key may end by itself, which makes a rotation, and may have a rate of its own.

Expand only: older releases write nothing into the columns and read past them.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.execute("ALTER TABLE api_keys ADD COLUMN expires_at timestamptz, ADD COLUMN requests_per_s real")


def downgrade() -> None:
    """Drop the columns."""
    op.execute("ALTER TABLE api_keys DROP COLUMN expires_at, DROP COLUMN requests_per_s")
