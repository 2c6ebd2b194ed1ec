"""The advisory locks of Aisle: numbers that mean something to us and nothing to Postgres.

Called by   the other files of this folder
Order       whoever needs several takes them in the order of this file, all before touching a row, so that two
            transactions never wait for each other
Held        until the transaction ends
"""

from enum import IntEnum

from sqlalchemy import Connection, text


class AdvisoryLock(IntEnum):
    """What a lock protects."""

    SHOPPERS = 4_150_002
    """shared: events are being written; exclusive: a shopper is being erased or merged, so that no event slips past"""
    PARTITIONS = 4_150_003
    """exclusive: a month is being added"""


def take(connection: Connection, lock: AdvisoryLock, *, shared: bool = False) -> None:
    """Wait for a lock."""
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    connection.execute(text(f"SELECT {function}(:lock)"), {"lock": int(lock)})
