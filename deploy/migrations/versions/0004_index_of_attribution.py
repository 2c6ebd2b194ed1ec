"""Acts are found by the list that they name: `aisle metrics` joins them to it.

Expand only. No writer waits for an index to be built: the parent's is made empty, each month's is built CONCURRENTLY,
outside a transaction, and attached. What is asked of the whole table is done in an instant or given up after
LOCK_TIMEOUT; whatever ends the migration half way, running it again goes on from there.
"""

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LOCK_TIMEOUT = "5s"
INDEX = "interactions_by_recommendation"
COLUMNS = "(recommendation_id) WHERE recommendation_id IS NOT NULL"
MONTHS_WITHOUT = """
SELECT inhrelid::regclass::text FROM pg_inherits AS months WHERE inhparent = 'interactions'::regclass AND NOT EXISTS (
    SELECT FROM pg_inherits AS indexes JOIN pg_index ON indexrelid = indexes.inhrelid
    WHERE indexes.inhparent = CAST(:parent AS regclass) AND indrelid = months.inhrelid
) ORDER BY 1
"""


def upgrade() -> None:
    """Add the index to every month; a month that comes meanwhile gets its own from the parent."""
    op.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    op.execute(f"CREATE INDEX IF NOT EXISTS {INDEX} ON ONLY interactions {COLUMNS}")
    with op.get_context().autocommit_block():
        months = op.get_bind().execute(text(MONTHS_WITHOUT), {"parent": INDEX}).scalars().all()
        for month in months:
            # What an attempt that was ended left behind may be invalid.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {month}_by_recommendation")
            op.execute(f"CREATE INDEX CONCURRENTLY {month}_by_recommendation ON {month} {COLUMNS}")
            op.execute(f"ALTER INDEX {INDEX} ATTACH PARTITION {month}_by_recommendation")


def downgrade() -> None:
    """Drop it."""
    op.execute(f"DROP INDEX {INDEX}")
