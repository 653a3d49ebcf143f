"""What stands between us and `astropy.io.votable`: its faults, and what it would trust a document with.

astropy parses the XML events of a document, which pass through here:

- A document type declaration with content is refused before astropy sees it;
  without one a document can declare no entity.  One that only names the DTD of
  VOTable 1.0, as old services do, is accepted; the DTD is not fetched.
- Data kept elsewhere (``STREAM`` with ``href``) are refused: astropy would
  fetch them from any address, local files too.
- ``nrows`` is kept from astropy, which allocates that many rows and does not
  miss those that a truncated stream lacks; the size of a cell has a limit.
- Base64 with characters that are none is refused, which astropy skips.
- Arrays of strings, which astropy refuses, are read as one joined string
  (https://github.com/astropy/astropy/issues/17098).
- Rows that were not asked for are left out, where the size of a row is fixed or
  each is an element: astropy would convert them all.
- Tables after the first are left out: ``columns`` would be looked for in them.
- The null flags of BINARY2, which astropy drops for strings and mixes with NaN,
  are found (https://github.com/astropy/astropy/issues/8995,
  https://github.com/astropy/astropy/pull/9057).
"""

from __future__ import annotations

__all__ = ("CELL_LIMIT", "Document", "parse_document", "parse_unit", "quiet", "unit_text")

import base64
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO, TypeAlias
from xml.parsers import expat

import astropy.units as u
import numpy as np
from astropy.io.votable.exceptions import E02, W46, W51, VOWarning
from astropy.io.votable.tree import TableElement, VOTableFile
from astropy.utils.data import get_readable_fileobj
from astropy.utils.xml.iterparser import get_xml_iterator
from numpy.typing import NDArray

from ...errors import FormatError

Event: TypeAlias = tuple[bool, str, Any, tuple[int, int]]

CELL_LIMIT = 1 << 24
"""How many elements a cell may have: astropy allocates what a header promises."""

_SIZES = {
    "boolean": 1,
    "unsignedByte": 1,
    "char": 1,
    "short": 2,
    "unicodeChar": 2,
    "int": 4,
    "float": 4,
    "long": 8,
    "double": 8,
    "floatComplex": 8,
    "doubleComplex": 16,
}
"""Bytes of one element of each datatype in a binary stream."""


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what astropy has to say of files that do not conform, but where it would change values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VOWarning)
        warnings.simplefilter("ignore", u.UnitsWarning)
        for damage in (E02, W46, W51):  # arrays filled up or cut, strings cut, integers out of range
            warnings.simplefilter("error", damage)
        yield


@dataclass(slots=True)
class Document:
    """A VOTable document as astropy has parsed it, and what astropy does not tell of it.

    Parameters
    ----------
    votable
        The document.
    nrows
        How many rows the first table says it has, if it does.
    table_count
        How many tables there are; those after the first are not read.
    binary2
        The table's data, if they are BINARY2.
    trimmed
        Whether the table has the rows from the start of those asked for to their end only.
    """

    votable: VOTableFile
    nrows: int | None = None
    table_count: int = 0
    binary2: bytes | None = None
    trimmed: bool = False

    @property
    def table(self) -> TableElement:
        """The first table."""
        return next(self.votable.iter_tables())

    @property
    def owners(self) -> Iterator[Any]:
        """The document, the resources around the first table, and it itself."""
        owner: Any = self.votable
        while owner is not None:
            yield owner
            owner = next((inner for inner in owner.resources if self.table in list(inner.iter_tables())), None)
        yield self.table

    def null_flags(self) -> NDArray[np.bool_] | None:
        """Return which cells of BINARY2 are flagged as null, by row and by column of the file."""
        if self.binary2 is None:
            return None
        fields, stream = self.table.all_fields, io.BytesIO(self.binary2)
        flags = np.zeros((len(self.table.array), -(-len(fields) // 8)), np.uint8)
        for row in flags:
            row[:] = np.frombuffer(stream.read(len(row)), np.uint8)
            for field in fields:
                field.converter.binparse(stream.read)
        return np.unpackbits(flags, axis=1, count=len(fields)).astype(bool)


def parse_document(
    stream: BinaryIO,
    *,
    columns: Sequence[int] | None = None,
    rows: slice = slice(None),
    header_only: bool = False,
) -> Document:
    """Parse a VOTable document, which may be compressed, or only what precedes its data.

    Parameters
    ----------
    stream
        The document's bytes, seekable; read from their beginning.
    columns
        The positions of the columns wanted; `None` for all.
    rows
        The rows wanted; others may be there, too, unless the document is trimmed.
    header_only
        Whether to stop before the data.

    Raises
    ------
    FormatError
        Raised if the document is damaged or dangerous, or is no VOTable.
    """
    config: dict[str, Any] = {"columns": columns, "verify": "warn", "datatype_mapping": {}}
    document = Document(VOTableFile(config=config, pos=(1, 1)))
    stream.seek(0)
    try:
        with quiet(), get_readable_fileobj(stream, encoding="binary") as plain:
            _check_declarations(plain)
            plain.seek(0)
            with get_xml_iterator(plain.read) as events:
                # As astropy.io.votable.parse does, which takes no events.
                document.votable.parse(_passed(events, document, rows, header_only=header_only), config)
    except FormatError:
        raise
    except Exception as error:  # astropy's, expat's, numpy's, gzip's …
        raise FormatError(
            f"astropy cannot read the VOTable: {str(error) or repr(error)}; expected a complete VOTable document. "
            "The file is truncated, damaged or something else."
        ) from error
    if document.table_count == 0:
        said = "; ".join(f"{info.name}={info.value!r} {info.content or ''}" for info in document.votable.iter_info())
        raise FormatError(f"The VOTable holds no TABLE; expected one. Its INFO elements say: {said or 'nothing'}.")
    return document


def _check_declarations(stream: BinaryIO) -> None:
    """Read as far as the root element, or all of a document that names a DTD, for its entities."""
    seen: list[str] = []

    def check(name: str, system: str | None, _public: str | None, internal: int) -> None:
        seen.append("doctype")
        if internal:
            raise FormatError(
                f"The VOTable has a document type declaration (DOCTYPE {name!r}, system {system!r}) with content, by "
                "which XML can define entities (ENTITY) that expand without bound or read other files; "
                "expected none. Remove it if you trust the file."
            )

    def start(*_: Any) -> None:
        if not seen:
            seen.append("root")

    def refuse(name: str, _is_parameter: bool) -> None:
        raise FormatError(f"The VOTable refers to the entity {name!r} of a DTD, which is not fetched; expected none.")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = check
    parser.StartElementHandler = start
    parser.SkippedEntityHandler = refuse
    while seen != ["root"] and (block := stream.read(1 << 16)):
        try:
            parser.Parse(block, False)
        except expat.ExpatError:
            return  # astropy says what it is


def _passed(events: Iterator[Event], document: Document, rows: slice, *, header_only: bool) -> Iterator[Event]:
    """Yield the events that astropy is to see."""
    in_table = binary2 = False
    for start, tag, data, position in _rows_passed(events, document, rows):
        if tag == "TABLE":
            in_table = start
            document.table_count += start
        if document.table_count > 1 and (in_table or tag == "TABLE"):
            continue
        if start and tag == "TABLE":
            text = data.pop("nrows", "")
            document.nrows = int(text) if text.isdecimal() else None
        elif start and tag == "DATA" and header_only:
            yield False, "TABLE", "", position
            return
        elif start and tag in {"FIELD", "PARAM"}:
            _check_arraysize(tag, data)
        elif tag == "BINARY2":
            binary2 = start
        elif tag == "STREAM":
            content, passed = _stream(data, start=start), data
            if not start and rows != slice(None):
                content, passed = _trimmed(content, data, document, rows, binary2=binary2)
            document.binary2 = content if binary2 else None
            yield start, tag, passed, position
            continue
        yield start, tag, data, position


def _rows_passed(events: Iterator[Event], document: Document, rows: slice) -> Iterator[Event]:
    """Yield all events but those of ``TR`` elements that were not asked for."""
    number, wanted = -1, range(0)
    for start, tag, data, position in events:
        if tag == "TABLEDATA" and start and rows != slice(None) and document.nrows is not None:
            begin, end, _ = rows.indices(document.nrows)
            document.trimmed, wanted = True, range(begin, end)
        number += start and tag == "TR"
        if tag not in {"TR", "TD"} or not document.trimmed or number in wanted:
            yield start, tag, data, position


def _trimmed(content: bytes, text: str, document: Document, rows: slice, *, binary2: bool) -> tuple[bytes, str]:
    """Return a binary stream, and its base64, without the rows that were not asked for, if it is whole."""
    size = _row_size(document.table.all_fields, binary2=binary2)
    if not size or len(content) != size * (document.nrows or 0):
        return content, text
    begin, end, _ = rows.indices(document.nrows or 0)
    document.trimmed = True
    kept = content[begin * size : max(begin, end) * size]
    return kept, base64.b64encode(kept).decode("ascii")


def _row_size(fields: Sequence[Any], *, binary2: bool) -> int:
    """Return how many bytes a row of a binary stream has, 0 if that varies or is not known."""
    size = -(-len(fields) // 8) if binary2 else 0
    for field in fields:
        arraysize = field.arraysize or "1"
        if "*" in arraysize or field.datatype not in _SIZES:
            return 0
        size += prod(map(int, arraysize.split("x"))) * _SIZES[field.datatype]
    return size


def _check_arraysize(tag: str, attributes: dict[str, str]) -> None:
    arraysize = attributes.get("arraysize", "")
    sizes = [int(size) for size in re.findall(r"\d+", arraysize)]
    if prod(size or 1 for size in sizes) > CELL_LIMIT:
        raise FormatError(
            f"{tag} {attributes.get('name')!r}: arraysize={arraysize!r} is beyond measure; "
            f"expected at most {CELL_LIMIT} elements a cell."
        )
    if ("x" in arraysize or tag == "PARAM") and attributes.get("datatype") in {"char", "unicodeChar"}:
        attributes["arraysize"] = "*" if "*" in arraysize or tag == "PARAM" else str(prod(sizes))


def _stream(data: Any, *, start: bool) -> bytes:
    if start and "href" in data:
        raise FormatError(
            f"The data are kept elsewhere, at {data['href']!r}, which is not fetched; expected them within the file."
        )
    try:
        return base64.b64decode("" if start else "".join(data.split()), validate=True)
    except ValueError as error:
        raise FormatError(f"The STREAM of the data is no base64: {error}; it is damaged or truncated.") from None


def parse_unit(unit: u.UnitBase | None) -> u.UnitBase | None:
    """Return a unit that astropy has read, as one of its own if there is one of that name.

    Of a name that VOUnits do not have, such as "electron", astropy makes a
    new unit, which is not equal to its own.
    """
    if unit is None:
        return None
    for name in ("generic", "cds", "fits"):
        try:
            return u.Unit(unit.to_string(), format=name)
        except ValueError:
            continue
    return u.Unit(unit.to_string(), parse_strict="silent")


def unit_text(unit: u.UnitBase) -> str | None:
    """Return what astropy writes for a unit, or `None` if that cannot be read back."""
    try:
        text: str = unit.to_string("vounit")
    except ValueError:
        text = unit.to_string()
    back = parse_unit(u.Unit(text, format="vounit", parse_strict="silent"))
    return text if back == unit or isinstance(unit, u.UnrecognizedUnit) else None
