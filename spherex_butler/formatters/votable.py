"""VOTable files: an astropy table, or one of quantities, as IVOA VOTable 1.4.

The data are BINARY2 unless a recipe says otherwise.  Files are read and
written by `astropy.io.votable`.

Names, units, descriptions and the meta ``ucd``, ``utype`` and ``xtype`` of
columns are what VOTable has for them; of the table ``name``, ``ucd``,
``utype`` and ``description`` likewise.  Each of its other meta that is a
string, bool, int, float, complex number or scalar quantity is a ``PARAM``.
What VOTable cannot say is kept in one ``INFO`` named ``spherex_butler``, a JSON
object of two: ``meta``, those of the table, and ``columns``, by the FIELD's ID:

``dtype``
    What the values are in numpy, where reading would give another dtype.
    VOTable has no int8, uint16 and uint32, which are written one size wider;
    no uint64, written as int64 where all values fit; no float16, written as
    float32; no bytes, written as text; and strings here are of any length.
``nan``
    Present where NaN is a value of its own and not a missing one.
``shape``
    Of each cell, where it has no elements.
``masked``
    Present if the column is a masked one.
``description``, ``format``, ``meta``
    Of the column, where they differ from what the FIELD says.

Values under a mask are not kept, nor is the order of the meta.
"""

from __future__ import annotations

__all__ = ("VOTableFormatter",)

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, BinaryIO, ClassVar

from astropy.table import QTable, Table
from lsst.resources import ResourceHandleProtocol

from ..errors import ConfigurationError
from ..formats.tables import table_schema
from ..formats.votable.reading import TableFile
from ..formats.votable.writing import write_table
from .base import BaseFormatter, Reader

_SERIALIZATIONS = ("binary2", "binary", "tabledata")


def _units(table: Table) -> dict[str, str | None]:
    return {name: column["unit"] for name, column in table_schema(table).items()}


_COMPONENTS: Mapping[str | None, Reader] = {
    "columns": lambda table, _: table.columns,
    "rowcount": lambda table, _: table.rowcount,
    "schema": lambda table, _: table_schema(table.empty()),
    "units": lambda table, _: _units(table.empty()),
}


class VOTableFormatter(BaseFormatter):
    """Reads and writes `~astropy.table.Table` and `~astropy.table.QTable` as VOTable.

    Recipes: ``binary2`` (default), ``binary``, ``tabledata``.

    Read parameters: ``columns`` (a name, a glob or a list of either) and
    ``rows`` (a slice with a positive step).  Components: ``columns``,
    ``rowcount``, ``schema`` and ``units``, for which the header suffices (the
    rows are counted where it does not give their number).

    A storage class of `~astropy.table.QTable` gets one, with numbers that
    have a unit as quantities; any other a `~astropy.table.Table`, with plain
    columns that have a unit.

    Files of other programs are read as leniently as astropy reads them;
    damaged data are errors.
    """

    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {name: {"serialization": name} for name in _SERIALIZATIONS}
    default_recipe: ClassVar[str] = "binary2"
    default_extension: ClassVar[str | None] = ".vot"
    supported_extensions: ClassVar[AbstractSet[str]] = frozenset(
        f"{extension}{compression}" for extension in (".vot", ".votable", ".xml") for compression in ("", ".gz")
    )
    can_read_from_stream: ClassVar[bool] = True
    parameters = frozenset({"columns", "rows"})
    readers = _COMPONENTS

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
        """Read a component, for which a remote file need not be copied."""
        if component is None:
            return NotImplemented  # a local copy, which may be kept in the cache, serves better
        return self.read_part(stream, component)

    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        """Return the document that holds a table."""
        return write_table(in_memory_dataset, self.recipe.get("serialization", "binary2"))

    def read_part(self, file: Any, component: str | None) -> Any:
        """Read a table or a component of it."""
        table = TableFile(file)
        if component is not None:
            return super().read_part(table, component)
        quantities = issubclass(self.file_descriptor.readStorageClass.pytype, QTable)
        return table.read(quantities=quantities, **self.read_parameters)
