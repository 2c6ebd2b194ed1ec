"""Which column of a file fills which field of Aisle.

Called by   services/command/import_command.py
In          `--map field=column` flags, or a TOML file:
                [interactions]
                columns = { user_id = "customer", item_id = "sku", "context.store" = "branch" }
                types = { transaction = "purchase", addtocart = "add_to_cart" }
                default_type = "purchase"
                [items]
                columns = { item_id = "sku", categories = ["department", "aisle"] }
Rule        a field that is not mapped is filled by the column of its own name, if the file has one; other columns are
            left alone
Errors      MappingError naming the flag or key
"""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from services.training.importing.errors import MappingError
from services.training.importing.fields import FIELDS, SEVERAL_COLUMNS, Kind
from shared.contracts.events import EventType


@dataclass(frozen=True)
class ColumnMapping:
    """The wish of the shop for one kind of file."""

    kind: Kind
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    """the shop's name of an event type to ours"""
    default_type: str | None = None
    """the type of all events of a file without a type column"""

    def __post_init__(self) -> None:
        known = FIELDS[self.kind]
        for name, columns in self.columns.items():
            if name not in known.names and not (name.startswith(known.prefix) and name != known.prefix):
                fields = ", ".join((*known.names, f"{known.prefix}<name>"))
                raise MappingError(f"{self.kind} have no field {name!r}; the fields are {fields}")
            if len(columns) > 1 and name not in SEVERAL_COLUMNS:
                raise MappingError(f"{name!r} is filled by one column")
        for ours in (*self.types.values(), *([self.default_type] if self.default_type else [])):
            if ours not in list(EventType):
                raise MappingError(f"{ours!r} is no event type; the types are {', '.join(EventType)}")

    def with_flags(self, columns: Sequence[str], types: Sequence[str], default_type: str | None) -> "ColumnMapping":
        """Return the mapping with `field=column` and `theirs=ours` flags laid over it."""
        pairs = {name: tuple(value.split(",")) for name, value in map(_split_flag, columns)}
        return replace(
            self,
            columns={**self.columns, **pairs},
            types={**self.types, **dict(map(_split_flag, types))},
            default_type=default_type or self.default_type,
        )

    def resolve(self, file_columns: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return the columns of each field that the file fills; MappingError when one that must be there is not."""
        known, resolved = FIELDS[self.kind], dict(self.columns)
        for name, columns in self.columns.items():
            for column in columns:
                if column not in file_columns:
                    raise MappingError(f"the file has no column {column!r} for {name}; it has {_listed(file_columns)}")
        for name in file_columns:
            if name not in resolved and (name in known.names or name.startswith(known.prefix)):
                resolved[name] = (name,)
        for wanted in known.required:
            if not any(name in resolved for name in wanted.split("|")):
                flag = wanted.split("|")[0]
                raise MappingError(
                    f"no column for {wanted.replace('|', ' or ')}: add --map {flag}=<column>; "
                    f"the file has {_listed(file_columns)}"
                )
        return resolved


def read_mapping(path: Path, kind: Kind) -> ColumnMapping:
    """Return the part of a TOML file that is about one kind; an absent part maps nothing."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MappingError(f"{path} cannot be read: {error}") from None
    for name in content:
        if name not in FIELDS:
            raise MappingError(f"{path}: unknown part [{name}]; the parts are {', '.join(FIELDS)}")
    part = content.get(kind, {})
    for key in part:
        if key not in ("columns", "types", "default_type"):
            raise MappingError(f"{path}: unknown key {key!r} in [{kind}]")
    return ColumnMapping(
        kind, {name: _columns(value) for name, value in part.get("columns", {}).items()}, part.get("types", {}),
        part.get("default_type"),
    )  # fmt: skip


def _columns(value: Any) -> tuple[str, ...]:
    columns = value if isinstance(value, list) else [value]
    if not columns or not all(isinstance(column, str) for column in columns):
        raise MappingError("a column is named by a text, several by a list of texts")
    return tuple(columns)


def _split_flag(flag: str) -> tuple[str, str]:
    name, equals, value = flag.partition("=")
    if not (name and equals and value):
        raise MappingError(f"{flag!r}: expected name=value, such as user_id=customer")
    return name, value


def _listed(columns: Collection[str]) -> str:
    names = list(columns)
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
