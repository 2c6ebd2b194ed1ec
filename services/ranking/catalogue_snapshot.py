"""The catalogue on disk: a process that starts while Postgres is away still has products to rank.

Called by   services/ranking/catalogue_source.py, in threads: 100,000 items take about a second either way
Age         written once an hour, so prices and stock may be an hour old until Postgres is back
Errors      a missing or damaged file is no snapshot; OSError when the disk refuses to keep one
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from shared.features.catalogue import Catalogue, CatalogueItem
from shared.storage.item_json import item_from_json


@dataclass(frozen=True)
class CatalogueSnapshot:
    """One file, a line an item."""

    path: Path

    def read(self) -> Catalogue | None:
        """Return the catalogue of the file, None when there is none to be had."""
        try:
            with self.path.open("rb") as lines:
                items = [item_from_json(orjson.loads(line)) for line in lines]
        except (OSError, ValueError, TypeError, AttributeError):
            return None
        return Catalogue(items)

    def write(self, items: Sequence[CatalogueItem]) -> None:
        """Keep the items; the file is whole at any moment."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with temporary.open("wb") as file:
            file.writelines(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in items)
        temporary.replace(self.path)
