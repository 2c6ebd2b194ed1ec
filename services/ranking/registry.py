"""The model registry's pointer in Postgres, as the model host reads it.

Called by   services/ranking/main.py (makes it), services/ranking/model_host.py (reads it, in a thread)
Errors      RegistryAwayError while Postgres cannot be reached
"""

from dataclasses import dataclass

from services.ranking.model_host import RegistryAwayError
from shared.storage.relational import model_registry
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, Engine
from shared.storage.relational.schema_version import SchemaTooOldError, require_schema
from shared.storage.trouble import trouble_of


@dataclass(frozen=True)
class RegistryPointer:
    """One query by key."""

    engine: Engine

    def read(self) -> str | None:
        """Return the version that shall serve, None when none was ever published."""
        try:
            with self.engine.connect() as connection:
                require_schema(connection)
                current = model_registry.current(connection)
        except (*STORAGE_DOWN_ERRORS, SchemaTooOldError) as error:
            raise RegistryAwayError(trouble_of(error)) from error
        return current.version if current else None
