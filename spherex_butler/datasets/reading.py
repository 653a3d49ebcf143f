"""The contents of files, read from headers and indexes as far as the format has them."""

from __future__ import annotations

__all__ = ("READERS", "read_content")

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, BinaryIO, cast

import numpy as np
from astropy.io import fits
from astropy.table.meta import YamlParseError, get_header_from_yaml
from lsst.resources import ResourcePath

from ..errors import FormatError, reason_of
from ..files.fits import open_fits
from ..files.waiting import limit_waits
from ..formats.fits.cards import PREFIX, provenance_cards
from ..formats.fits.hdu import HduInfo, hdu_from_bytes
from ..formats.hdf5.nodes import Node, open_file
from ..formats.hdf5.table import read_table
from ..formats.hdf5.tree import select
from ..formats.tables import dtype_name, table_schema
from ..formats.votable.reading import TableFile
from .content import Column, Content, Part
from .text_reading import read_json, read_yaml

_ARROW_PREFIX = "LSST.BUTLER."
_NAMELESS = "table"

_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, YamlParseError, fits.VerifyError, csv.Error)
"""What astropy, yaml and pyarrow raise of files that are not as they expect."""


def read_content(uri: ResourcePath, size: int | None = None) -> Content | None:
    """Return what a file holds; `None` if its format is none of `READERS`, by its extension.

    Parameters
    ----------
    uri
        The file, local or remote.
    size
        Its size in bytes, if that is known.

    Raises
    ------
    FormatError
        Raised if it is damaged.
    OSError
        Raised if it is not there, or cannot be read.
    """
    limit_waits(uri)
    extension = uri.getExtension().lower()
    read = READERS.get(extension) or READERS.get(extension.removesuffix(".gz"))
    try:
        return None if read is None else read(uri, size)
    except _DAMAGE as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            f"The file is damaged, or not what its extension {extension!r} says: {reason_of(error)}"
        ) from error


def _read_fits(uri: ResourcePath, size: int | None) -> Content:
    with open_fits(uri, size) as file:
        hdus = file.hdus()
        cards = provenance_cards(file.primary.header.header)
    provenance = {card.keyword.removeprefix(f"{PREFIX} "): _plain(card.value) for card in cards}
    return Content("FITS", tuple(map(_hdu, hdus)), provenance)


def _plain(value: Any) -> bool | float | str:
    """Return a value of provenance as the few kinds that Butler writes."""
    return value if isinstance(value, bool | int | float) else str(value)


def _hdu(info: HduInfo) -> Part:
    if info.is_table:
        return Part(name=info.name, kind="table", rows=_rows(info), columns=_fits_columns(info))
    if not info.shape:
        return Part(name=info.name, kind="header")
    unit, compression = info.value("BUNIT"), info.value("ZCMPTYPE") if info.is_compressed else None
    return Part(
        name=info.name,
        kind="image",
        shape=info.shape,
        dtype=_pixel_type(info),
        unit=None if unit is None else str(unit).strip() or None,
        compression=None if compression is None else str(compression).strip(),
    )


def _pixel_type(info: HduInfo) -> str:
    bitpix = info.value("ZBITPIX" if info.is_compressed else "BITPIX")
    if bitpix not in fits.BITPIX2DTYPE:
        raise FormatError(f"HDU {info.name!r} has BITPIX={bitpix!r}; expected one of {[*fits.BITPIX2DTYPE]}.")
    zero, scale = info.value("BZERO", 0), info.value("BSCALE", 1)
    if bitpix > 8 and (zero, scale) == (2 ** (bitpix - 1), 1):
        return f"u{fits.BITPIX2DTYPE[bitpix]}"  # how FITS has unsigned integers
    return f"{fits.BITPIX2DTYPE[bitpix]}{'' if (zero, scale) == (0, 1) else ' scaled'}"


def _rows(info: HduInfo) -> int:
    return info.axes[1] if len(info.axes) == 2 else 0


def _fits_columns(info: HduInfo) -> tuple[Column, ...]:
    is_text = str(info.value("XTENSION")).strip() == "TABLE"
    try:
        columns = hdu_from_bytes(fits.TableHDU if is_text else fits.BinTableHDU, info.text).columns
        return tuple(_fits_column(column, columns.dtype[column.name], is_text=is_text) for column in columns)
    except (ValueError, TypeError, KeyError, fits.VerifyError) as error:
        raise FormatError(f"HDU {info.name!r} has a table whose columns cannot be read: {error}") from error


def _fits_column(column: fits.Column, dtype: np.dtype[Any], *, is_text: bool) -> Column:
    unit = str(column.unit).strip() if column.unit else None
    if is_text:
        numbers = fits.column.ASCII2NUMPY[str(column.format)[0]]
        return Column(column.name, dtype_name(dtype if numbers == "S" else np.dtype(numbers)), unit)
    if varying := re.match(r"\d*[PQ]([A-Z])", str(column.format)):
        return Column(column.name, np.dtype(fits.column.FITS2NUMPY[varying[1]]).name, unit, (None,))
    base, shape = dtype.subdtype or (dtype, ())
    return Column(column.name, dtype_name(base), unit, tuple(shape))


def _read_votable(uri: ResourcePath, _size: int | None) -> Content:
    with uri.open("rb") as stream:
        file = TableFile(cast(BinaryIO, stream))
        table = file.empty()
        part = Part(
            name=str(table.meta.get("name") or _NAMELESS),
            kind="table",
            rows=file.rowcount,
            columns=_schema_columns(table_schema(table)),
        )
    return Content("VOTable", (part,))


def _schema_columns(schema: Mapping[str, Mapping[str, Any]]) -> tuple[Column, ...]:
    return tuple(
        Column(name, said["dtype"], said["unit"], tuple(said["shape"]), said["description"])
        for name, said in schema.items()
    )


def _read_hdf5(uri: ResourcePath, _size: int | None) -> Content:
    with uri.as_local() as local, open_file(local.ospath) as file:
        return Content("HDF5", tuple(_node(node) for node in select(file) if node.path))


def _node(node: Node) -> Part:
    if node.is_table:
        columns = _schema_columns(table_schema(read_table(replace(node, slices=slice(0)))))
        return Part(name=node.path, kind="table", rows=node.shape[0], columns=columns)
    if node.is_mapping:
        return Part(name=node.path, kind="mapping")
    dtype = getattr(node.source, "dtype", None)
    return Part(
        name=node.path,
        kind="array" if node.is_array else str(node.tags.get("kind") or "value"),
        shape=node.shape or None,
        dtype=None if dtype is None else dtype_name(dtype),
        unit=node.tags.get("unit"),
    )


def _read_parquet(uri: ResourcePath, _size: int | None) -> Content:
    try:
        from pyarrow import parquet  # noqa: PLC0415  (of an extra)
    except ImportError as error:
        raise FormatError(f"Parquet needs pyarrow ({error}): pip install 'spherex-butler[archive]'.") from error
    with uri.as_local() as local:
        try:
            with parquet.ParquetFile(local.ospath) as file:
                schema, rows = file.schema_arrow, file.metadata.num_rows
        except OSError as error:  # pyarrow's own, for all that it cannot parse
            raise FormatError(f"The Parquet file is damaged: {error}") from error
    described = (schema.metadata or {}).get(b"table_meta_yaml", b"").decode()
    header = get_header_from_yaml(described.splitlines()) if described else {}
    said = {column.name: column for column in _yaml_columns(header)}
    columns = tuple(said.get(field.name, Column(field.name, str(field.type))) for field in schema)
    return _table("Parquet", columns, rows, header)


def _read_ecsv(uri: ResourcePath, _size: int | None) -> Content:
    with uri.open("rb") as stream, _text(stream) as text:
        comments: list[str] = []
        for line in text:
            if not line.startswith("#"):
                break
            comments.append(line.removeprefix("#").removeprefix(" "))
        header = get_header_from_yaml(comments[1:]) if comments else {}
        rows = sum(1 for row in csv.reader(text, delimiter=header.get("delimiter", " ")) if row)
    return _table("ECSV", tuple(_yaml_columns(header)), rows, header)


def _text(stream: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding="utf-8", newline="")


def _table(name: str, columns: tuple[Column, ...], rows: int, header: Mapping[str, Any]) -> Content:
    meta = header.get("meta") or {}
    found = {
        key.removeprefix(_ARROW_PREFIX).replace(".", " "): _plain(meta[key]) for key in meta if _is_provenance(key)
    }
    return Content(name, (Part(name=_NAMELESS, kind="table", rows=rows, columns=columns),), found)


def _is_provenance(key: Any) -> bool:
    return isinstance(key, str) and key.startswith(_ARROW_PREFIX)


def _yaml_columns(header: Mapping[str, Any]) -> Iterable[Column]:
    """Yield the columns that astropy described in YAML, as in ECSV and Parquet."""
    for column in header.get("datatype", ()):
        subtype = str(column.get("subtype", ""))
        shape = json.loads(subtype[subtype.index("[") :]) if "[" in subtype else ()
        kind = subtype.partition("[")[0] or column.get("datatype")
        unit, description = (
            None if (text := column.get(key)) is None else str(text) for key in ("unit", "description")
        )
        yield Column(str(column["name"]), str(kind), unit, tuple(shape), description)


READERS: Mapping[str, Callable[[ResourcePath, int | None], Content]] = {
    **dict.fromkeys((".fits", ".fit", ".fts", ".fits.fz"), _read_fits),
    **dict.fromkeys((".vot", ".votable", ".xml"), _read_votable),
    **dict.fromkeys((".h5", ".hdf5"), _read_hdf5),
    **dict.fromkeys((".parq", ".parquet"), _read_parquet),
    ".ecsv": _read_ecsv,
    **dict.fromkeys((".yaml", ".yml"), read_yaml),
    ".json": read_json,
}
"""What reads files, by their extension; those of FITS and VOTable may be gzipped."""
