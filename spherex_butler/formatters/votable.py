"""VOTable files: an astropy table, or one of quantities, as IVOA VOTable 1.4.

The data are BINARY2 unless a recipe says otherwise.  `_votable_columns` and
`_votable_meta` say how columns and meta stand in the file.
"""

from __future__ import annotations

__all__ = ("VOTableFormatter",)

import gzip
import io
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast

from astropy.table import QTable, Table
from lsst.resources import ResourceHandleProtocol, ResourcePath

from ..errors import ConfigurationError
from ._base import RecipeFormatter
from ._tables import table_schema
from ._votable_table import TableFile, write_table

_SERIALIZATIONS = ("binary2", "binary", "tabledata")


class VOTableFormatter(RecipeFormatter):
    """Reads and writes `~astropy.table.Table` and `~astropy.table.QTable` as VOTable.

    Recipes: ``binary2`` (default), ``binary``, ``tabledata``.

    Read parameters: ``columns`` (a name, a glob or a list of either) and
    ``rows`` (a slice with a positive step); only what they name is converted,
    and nothing after the last row is read.  Components: ``columns``,
    ``rowcount``, ``schema`` and ``units``, for which the header suffices
    (the rows are counted where it does not give their number).

    A storage class of `~astropy.table.QTable` gets one, with numbers that
    have a unit as quantities; any other a `~astropy.table.Table`, with plain
    columns that have a unit.

    Files of other programs are read leniently: what deviates from the
    standard without making values doubtful is accepted, such as invented
    datatypes, units and UCDs; damaged data are errors.
    """

    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {name: {"serialization": name} for name in _SERIALIZATIONS}
    default_recipe: ClassVar[str] = "binary2"
    default_extension: ClassVar[str | None] = ".vot"
    supported_extensions: ClassVar[AbstractSet[str]] = frozenset(
        f"{extension}{compression}" for extension in (".vot", ".votable", ".xml") for compression in ("", ".gz")
    )
    can_read_from_stream: ClassVar[bool] = True
    can_read_from_local_file: ClassVar[bool] = True

    @classmethod
    def validate_write_recipes(cls, recipes: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return the built-in recipes updated with the configured ones.

        Raises
        ------
        ConfigurationError
            Raised if a recipe names no serialization of VOTable.
        """
        valid = super().validate_write_recipes(recipes)
        for name, recipe in valid.items():
            if recipe.get("serialization", "binary2") not in _SERIALIZATIONS:
                raise ConfigurationError(
                    f"Write recipe {name!r} of {cls.__name__} has serialization={recipe['serialization']!r}; "
                    f"expected one of {list(_SERIALIZATIONS)}."
                )
        return valid

    def read_from_stream(
        self, stream: BinaryIO | ResourceHandleProtocol[bytes], component: str | None = None, expected_size: int = -1
    ) -> Any:
        """Read a component or a subset, of which a remote file may hold far more."""
        if component is None and not self.read_parameters:
            return NotImplemented  # a local copy, which may be kept in the cache, serves better
        return self._read(stream, component)

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read a table or a component of it."""
        with Path(path).open("rb") as stream:
            return self._read(stream, component)

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write a table."""
        with Path(uri.ospath).open("w", encoding="utf-8", newline="\n") as output:
            write_table(in_memory_dataset, output, self._serialization)

    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        """Return the document that holds a table."""
        output = io.StringIO(newline="\n")
        write_table(in_memory_dataset, output, self._serialization)
        return output.getvalue().encode()

    @property
    def _serialization(self) -> str:
        serialization: str = self.recipe.get("serialization", "binary2")
        return serialization

    def _read(self, stream: Any, component: str | None) -> Any:
        magic = stream.read(2)
        stream.seek(0)
        plain = cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if magic == b"\x1f\x8b" else stream
        table = TableFile(plain)
        if component is not None:
            return _COMPONENTS[component](table)
        quantities = issubclass(self.file_descriptor.readStorageClass.pytype, QTable)
        return table.read(quantities=quantities, **self.read_parameters)


def _units(table: Table) -> dict[str, str | None]:
    return {name: column["unit"] for name, column in table_schema(table).items()}


_COMPONENTS: Mapping[str, Callable[[TableFile], Any]] = {
    "columns": lambda table: table.columns,
    "rowcount": lambda table: table.rowcount,
    "schema": lambda table: table_schema(table.empty()),
    "units": lambda table: _units(table.empty()),
}
