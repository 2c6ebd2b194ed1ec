"""The tiny shop in a real database, for tests of training.

Called by   tests/integration/test_training_*.py
"""

import pyarrow as pa
from sqlalchemy import Engine

from shared.contracts.users import User
from shared.storage.relational.bulk_import import bulk_import
from shared.storage.relational.catalogue import upsert_items
from shared.storage.relational.users import upsert_users
from tests.tiny_shop import SHOPPERS, tiny_items, tiny_log
from tests.unit.training.test_pipeline import TinySource


def fill_with_tiny_shop(engine: Engine) -> None:
    """Store the tiny shop's products, accounts and purchases."""
    log = tiny_log()
    events = TinySource().read().events
    with engine.begin() as connection:
        upsert_items(connection, tiny_items())
        upsert_users(connection, [User(user_id=str(user), age_band=log.age_band_U[user]) for user in range(SHOPPERS)])
        bulk_import(connection, events.set_column(8, "context", pa.nulls(len(events), pa.string())))
