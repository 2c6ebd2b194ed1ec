"""What can be wrong with an import; each error says where, for a person to repair it.

Tree        ImportFailedError
            ├── MalformedFileError   a file, its line and column; nothing of the file was imported
            └── MappingError         a --map flag or the TOML file
Called by   the readers and mappings raise, services/command/import_command.py prints
"""

from pathlib import Path


class ImportFailedError(Exception):
    """An import that stored nothing."""


class MalformedFileError(ImportFailedError):
    """A file that cannot be read as what it should be."""

    def __init__(self, path: Path, message: str, line: int | None = None, column: str | int | None = None) -> None:
        self.path, self.line, self.column = path, line, column
        where = str(path)
        if line is not None:
            where += f", line {line}"
        if column is not None:
            where += f", column {column}"
        super().__init__(f"{where}: {message}")


class MappingError(ImportFailedError):
    """A mapping that names no field, or no column of the file."""
