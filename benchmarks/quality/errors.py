"""Why a benchmark cannot be run; the text is for a person to act on.

Tree        QualityError
            ├── MissingDataError     no such data set
            └── ProtocolError        the data set cannot answer under the protocol or track that was asked for
            A cell that cannot be read is a MalformedFileError of the importer: file, row and column
Called by   __main__.py prints them
"""

from pathlib import Path


class QualityError(Exception):
    """A benchmark that cannot be run as asked."""


class ProtocolError(QualityError):
    """No honest question can be made this way."""


class MissingDataError(QualityError):
    """A data set that is not where it should be."""

    def __init__(self, path: Path, root: Path) -> None:
        super().__init__(
            f"{path} is missing. Data sets are read from {root}; set AISLE_DATA_DIR to the folder that holds them, or "
            f"give the path of a folder with an interactions.parquet"
        )
