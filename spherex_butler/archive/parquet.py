"""Archive tables as Parquet; needs the extra ``archive``."""

from __future__ import annotations

__all__ = ("ParquetRows",)

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import FormatError

_STEP = 10_000
_BUFFER = 1 << 20  # bytes read of a column at a time


class ParquetRows:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with pq.ParquetFile(path) as file:
                self.columns = tuple(file.schema_arrow.names)
                self._count = int(file.metadata.num_rows)
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:  # OSError of its footer, without a name
            what = " ".join(str(error).split()).rstrip(".: ")
            raise FormatError(f"{str(path)!r} is a damaged Parquet file: {what}. Get it again.") from error

    def rows(self, positions: Sequence[int]) -> Iterator[tuple[Any, ...] | FormatError]:
        """Yield the values of each row in the columns at these positions."""
        names = [self.columns[position] for position in positions]
        # By default, pyarrow keeps all of a file that it has read until it is closed.
        with pq.ParquetFile(self._path, pre_buffer=False, buffer_size=_BUFFER) as file:
            try:
                for batch in file.iter_batches(_STEP, columns=names):
                    yield from zip(*(map(_text, _values(batch.column(name))) for name in names), strict=True)
            except (OSError, pa.ArrowException) as error:
                yield FormatError(f"The Parquet file is damaged here, so rows are missing: {error}")

    def count(self) -> int:
        """Return the number of rows."""
        return self._count


def _values(column: pa.Array) -> list[Any]:
    """Return a column as Python values: as bytes where a text in it is not UTF-8, so that only its row is wrong."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return list(column.cast(pa.large_binary()).to_pylist())


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
