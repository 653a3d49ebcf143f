"""VOTable files as astropy tables; `spherex_butler.formats.votable` specifies the format."""

from __future__ import annotations

__all__ = ("VOTableFormatter",)

from collections.abc import Mapping
from typing import Any, BinaryIO

from astropy.table import QTable
from lsst.resources import ResourceHandleProtocol

from ..errors import ConfigurationError
from ..formats.tables import table_schema
from ..formats.votable.reading import TableFile
from ..formats.votable.writing import write_table
from .base import BaseFormatter

_SERIALIZATIONS = ("binary2", "binary", "tabledata")


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

    recipes = {name: {"serialization": name} for name in _SERIALIZATIONS}  # noqa: RUF012
    default_recipe = "binary2"
    default_extension = ".vot"
    supported_extensions = frozenset(
        f"{extension}{compression}" for extension in (".vot", ".votable", ".xml") for compression in ("", ".gz")
    )
    can_read_from_stream = True
    parameters = frozenset({"columns", "rows"})
    readers = {  # noqa: RUF012
        None: lambda table, parameters: table.read(**parameters),
        "columns": lambda table, _: table.columns,
        "rowcount": lambda table, _: table.rowcount,
        "schema": lambda table, _: table_schema(table.empty()),
        "units": lambda table, _: {name: said["unit"] for name, said in table_schema(table.empty()).items()},
    }

    @classmethod
    def validate_write_recipes(cls, recipes: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return the built-in recipes updated with the configured ones."""
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

    def read_part(self, file: Any, component: str | None) -> Any:
        """Return the table or a component, read from a binary stream."""
        quantities = issubclass(self.file_descriptor.readStorageClass.pytype, QTable)
        return super().read_part(TableFile(file, quantities=quantities), component)

    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        """Return the document that holds a table."""
        return write_table(in_memory_dataset, self.recipe.get("serialization", "binary2"))
