"""Alembic's entry: run the migrations on the connection that `migrate` opened.

Called by   alembic, through deploy/migrations/__init__.py
"""

from alembic import context

from shared.storage.relational.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
