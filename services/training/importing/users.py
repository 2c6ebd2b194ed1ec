"""A file of shoppers to accounts: age or age band, gender, region, and any other attribute.

Called by   import_catalogue.py
Attributes  are categories, so all of them become text
Errors      MalformedFileError, MappingError
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from services.training.importing.cells import identifiers, numbers, texts
from services.training.importing.mapping import ColumnMapping
from services.training.importing.raw_table import RawTable
from services.training.importing.readers import read_mapped
from services.training.importing.records import Records, build_records
from shared.contracts.users import User

TEXTS = ("age_band", "gender", "region")
YES_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
Columns = Mapping[str, tuple[str, ...]]


def read_users(path: Path, mapping: ColumnMapping) -> tuple[RawTable, Records[User]]:
    """Return the file and its accounts."""
    raw, columns = read_mapped(path, mapping)
    return raw, build_records(_rows(_fields(raw, columns)), "user_id", User.model_validate)


def _fields(raw: RawTable, columns: Columns) -> dict[str, list[Any]]:
    fields: dict[str, list[Any]] = {"user_id": identifiers(raw, columns["user_id"][0]).to_pylist()}
    for name in columns:
        if name in TEXTS or name.startswith("attributes."):
            fields[name] = texts(raw, columns[name][0]).to_pylist()
    if "age" in columns:
        fields["age"] = pa.array(numbers(raw, columns["age"][0]), from_pandas=True).to_pylist()
    if "personalisation" in columns:
        answers = texts(raw, columns["personalisation"][0]).to_pylist()
        fields["personalisation"] = [
            None if answer is None else YES_NO.get(answer.lower(), answer) for answer in answers
        ]
    return fields


def _rows(fields: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    names = list(fields)
    for cells in zip(*fields.values(), strict=True):
        row: dict[str, Any] = {"user_id": None}
        attributes: dict[str, str] = {}
        for name, cell in zip(names, cells, strict=True):
            if cell is None:
                continue
            if name.startswith("attributes."):
                attributes[name.removeprefix("attributes.")] = cell
            elif name == "personalisation":
                row["consent"] = {"personalisation": cell}
            else:
                row[name] = cell
        yield row | {"attributes": attributes} if attributes else row
