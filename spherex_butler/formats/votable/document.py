"""A VOTable document as `astropy.io.votable` parses it, without what astropy would trust a document with.

astropy parses the XML events of a document, which pass through here:

- A document type declaration with content is refused before astropy sees it;
  without one a document can declare no entity.  One that only names the DTD of
  VOTable 1.0, as old services do, is accepted; the DTD is not fetched.
- Data kept elsewhere (``STREAM`` with ``href``) are refused: astropy would
  fetch them from any address, local files too.
- ``nrows`` is kept from astropy, which allocates that many rows and does not
  miss those that a truncated stream lacks; the size of a cell has a limit.
- Base64 with foreign characters, which astropy skips, is refused.
- Arrays of strings, which astropy refuses, are read as one joined string
  (https://github.com/astropy/astropy/issues/17098).
- Tables after the first are left out: astropy looks for ``columns`` in them.
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
from ..unzipped import ByteBudget

Event: TypeAlias = tuple[bool, str, Any, tuple[int, int]]

CELL_LIMIT = 1 << 24
"""How many elements a cell may have: astropy allocates what a header promises."""

_ROW_LIMIT = 1 << 28
"""Bytes that a row may take in memory, and all rows however little is stored of them …"""

_RATIO = 1024
"""… beyond which they are this many times what is stored at most; an empty cell of an array is 5 bytes."""

_LARGEST = 16
"""Bytes of an element: of the largest type, doubleComplex."""


@contextmanager
def quiet() -> Iterator[None]:
    """Silence astropy's warnings of files that do not conform, except where it would change values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VOWarning)
        warnings.simplefilter("ignore", u.UnitsWarning)
        for damage in (E02, W46, W51):  # arrays filled up or cut, strings cut, integers out of range
            warnings.simplefilter("error", damage)
        yield


@dataclass(slots=True)
class Document:
    """A VOTable document as astropy has parsed it, and what astropy does not say about it.

    ``nrows`` is the number of rows that the first table says it has, ``table_count`` the number of tables, of which
    only the first is read, and ``stream`` its data if they are binary. ``row_size`` is how many bytes a row may take in
    memory, and ``rows`` how many rows of TABLEDATA came so far.
    """

    votable: VOTableFile
    nrows: int | None = None
    table_count: int = 0
    stream: bytes = b""
    is_binary2: bool = False
    row_size: int = 0
    rows: int = 0

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
        if not self.is_binary2:
            return None
        fields, stream = self.table.all_fields, io.BytesIO(self.stream)
        flags = np.zeros((len(self.table.array), -(-len(fields) // 8)), np.uint8)
        for row in flags:
            row[:] = np.frombuffer(stream.read(len(row)), np.uint8)
            for field in fields:
                field.converter.binparse(stream.read)
        return np.unpackbits(flags, axis=1, count=len(fields)).astype(bool)

    def unread(self) -> int:
        """Return how many bytes of a binary stream are not of whole rows: astropy takes what is cut off for the end."""
        rows, stream = len(self.table.array), io.BytesIO(self.stream)
        fields = self.table.all_fields
        flags = -(-len(fields) // 8) if self.is_binary2 else 0
        varying = any("*" in str(field.arraysize) for field in fields)
        for _ in range(rows if varying else min(rows, 1)):
            stream.read(flags)
            for field in fields:
                field.converter.binparse(stream.read)
        return len(self.stream) - stream.tell() * (1 if varying else rows)


def parse_document(stream: BinaryIO, *, columns: Sequence[int] | None = None, header_only: bool = False) -> Document:
    """Parse a VOTable document, which may be compressed, or only what precedes its data.

    The stream is read from its beginning, and must be seekable. ``columns`` are the positions of those wanted.
    """
    config: dict[str, Any] = {"columns": columns, "verify": "warn", "datatype_mapping": {}}
    document = Document(VOTableFile(config=config, pos=(1, 1)))
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    try:
        with quiet(), get_readable_fileobj(stream, encoding="binary") as plain:
            _check_doctype(plain)
            plain.seek(0)
            budget = ByteBudget(size)

            def read(count: int) -> bytes:
                data: bytes = plain.read(count)
                budget.spend(len(data))
                return data

            with get_xml_iterator(read) as events:
                passed = _passed(events, document, budget, header_only=header_only)
                # As astropy.io.votable.parse does, which takes no events.
                document.votable.parse(passed, config)
    except FormatError:
        raise
    except Exception as error:  # astropy's, expat's, numpy's, gzip's …
        raise FormatError(
            f"astropy cannot read the VOTable: {str(error) or repr(error)}; expected a complete VOTable document. "
            "The file is truncated, damaged or something else."
        ) from error
    if not list(document.votable.iter_tables()):
        said = "; ".join(f"{info.name}={info.value!r} {info.content or ''}" for info in document.votable.iter_info())
        raise FormatError(f"The VOTable holds no TABLE; expected one. Its INFO elements say: {said or 'nothing'}.")
    return document


def _check_doctype(stream: BinaryIO) -> None:
    """Refuse a document type declaration with content, reading as far as the root element."""
    seen: list[str] = []

    def check(name: str, system: str | None, _public: str | None, internal: int) -> None:
        if internal:
            raise FormatError(
                f"The VOTable has a document type declaration (DOCTYPE {name!r}, system {system!r}) with content, by "
                "which XML can define entities (ENTITY) that expand without bound or read other files; "
                "expected none. Remove it if you trust the file."
            )

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = check
    parser.StartElementHandler = lambda name, _attributes: seen.append(name)
    while not seen and (block := stream.read(1 << 16)):
        try:
            parser.Parse(block, False)
        except (expat.ExpatError, LookupError):  # the latter of an encoding that does not exist
            return  # astropy says what it is


def _passed(events: Iterator[Event], document: Document, budget: ByteBudget, *, header_only: bool) -> Iterator[Event]:
    """Yield the events that astropy is to see."""
    in_table = False
    for start, tag, data, position in events:
        if tag == "TABLE":
            in_table = start
            document.table_count += start
        if document.table_count > 1 and (in_table or tag == "TABLE"):
            continue
        if start and tag == "DATA" and header_only:
            yield False, "TABLE", "", position
            return
        if start and tag == "TR":
            document.rows += 1
            if (found := document.rows * document.row_size) > max(_ROW_LIMIT, _RATIO * budget.spent):
                raise FormatError(
                    f"{document.rows} rows take {found:,} bytes, but only {budget.spent:,} bytes were read; expected "
                    f"at most {_RATIO} times as many."
                )
        elif start:
            _check_element(tag, data, document)
        elif tag == "STREAM":
            document.stream = _decoded(data)
        yield start, tag, data, position


def _check_element(tag: str, attributes: dict[str, str], document: Document) -> None:
    """Check the attributes of an element, and change those that astropy is not to see."""
    if tag == "TABLE":
        nrows = attributes.pop("nrows", "")
        document.nrows = int(nrows) if nrows.isdecimal() else None
    elif tag in {"FIELD", "PARAM"}:
        arraysize = attributes.get("arraysize", "")
        if (size := prod(int(size) or 1 for size in re.findall(r"\d+", arraysize))) > CELL_LIMIT:
            raise FormatError(
                f"{tag} {attributes.get('name')!r} has arraysize={arraysize!r}; expected at most {CELL_LIMIT} elements."
            )
        document.row_size += size * _LARGEST if tag == "FIELD" else 0
        if document.row_size > _ROW_LIMIT:
            raise FormatError(
                f"The FIELDs up to {attributes.get('name')!r} take {document.row_size:,} bytes a row; expected at most "
                f"{_ROW_LIMIT:,}."
            )
        is_param = tag == "PARAM"  # whose arraysize many services forget
        if attributes.get("datatype") in {"char", "unicodeChar"} and (is_param or "x" in arraysize):
            attributes["arraysize"] = "*" if is_param or "*" in arraysize else str(size)
    elif tag == "BINARY2":
        document.is_binary2 = True
    elif tag == "STREAM" and "href" in attributes:
        raise FormatError(
            f"The data are kept elsewhere, at {attributes['href']!r}, which is not fetched; expected them in the file."
        )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise FormatError(f"The STREAM of the data is not base64: {error}; it is damaged or truncated.") from None


def parse_unit(unit: u.UnitBase | None) -> u.UnitBase | None:
    """Return a unit that astropy has read, as one of its own if there is one of that name.

    astropy makes a new unit of a name that VOUnits lack, such as "electron",
    which does not equal its own unit of that name.
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
    """Return the text that astropy writes for a unit, or `None` if it gives another unit when read."""
    try:
        text: str = unit.to_string("vounit")
    except ValueError:
        text = unit.to_string()
    back = parse_unit(u.Unit(text, format="vounit", parse_strict="silent"))
    return text if back == unit or isinstance(unit, u.UnrecognizedUnit) else None
