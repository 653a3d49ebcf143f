"""Archive tables as VOTable (IVOA VOTable 1.4): TABLEDATA, BINARY and BINARY2 in bounded memory.

astropy reads a whole document into memory, gigabytes for the archive's tables;
here rows are handed on while the document is parsed.
"""

from __future__ import annotations

__all__ = ("VOTableRows",)

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias
from xml.parsers import expat

from ..errors import FormatError
from .binary import BinaryRows

_CHUNK = 1 << 18
_SERIALIZATIONS = ("TABLEDATA", "BINARY", "BINARY2")
_Row: TypeAlias = tuple[Any, ...] | FormatError


class VOTableRows:
    """The first table with data in a VOTable document."""

    def __init__(self, opener: Callable[[], BinaryIO], path: Path) -> None:
        self._opener = opener
        document = _Document()
        problem = next((found for found in self._parse(document) if found or document.data), "")
        if document.status == "ERROR" and not document.data:
            raise FormatError(f"{str(path)!r} is an error message of the service: {document.message.strip()!r}.")
        self._data = document.data or ("TABLEDATA" if document.fields else "no table")  # without DATA it is empty
        if problem and self._data == "no table":
            raise FormatError(f"{str(path)!r}: {problem}")
        if self._data not in _SERIALIZATIONS:
            raise FormatError(
                f"{str(path)!r} is a VOTable with {self._data}; expected a table as {', '.join(_SERIALIZATIONS)}."
            )
        self.columns = tuple(field.get("name") or field.get("ID", "") for field in document.fields)
        self._fields = document.fields
        self._nrows = document.nrows

    def count(self) -> int | None:
        """Return the number of rows, `None` if the header does not say."""
        return int(self._nrows) if self._nrows is not None and self._nrows.isdecimal() else None

    def rows(self, positions: Sequence[int]) -> Iterator[_Row]:
        """Yield the values of each row in the columns at these positions."""
        if self._data == "TABLEDATA":
            return self._rows(partial(_pick, itemgetter(*positions), len(self.columns)))
        decoder = BinaryRows(self._fields, positions, null_flags=self._data == "BINARY2")
        return self._rows(lambda document: decoder.feed(document.take_stream()), decoder)

    def _rows(self, take: Callable[[_Document], Iterator[_Row]], decoder: BinaryRows | None = None) -> Iterator[_Row]:
        document, seen = _Document(), 0
        for problem in self._parse(document):
            for row in take(document):
                seen += 1
                yield row
            if problem:
                yield FormatError(problem)
                return
        yield from map(FormatError, self._doubts(document, seen))
        if decoder and decoder.left:
            yield FormatError(f"{decoder.left} bytes are left after row {seen}; expected whole rows.")

    def _doubts(self, document: _Document, seen: int) -> Iterator[str]:
        """Yield why rows may be missing, although the document is whole."""
        if document.status == "OVERFLOW":
            yield (
                f"The service cut its answer off after {seen} rows (QUERY_STATUS OVERFLOW), so images are missing; "
                "ask again with a greater MAXREC, or in parts."
            )
        if document.status == "ERROR":
            yield f"The service failed after {seen} rows: {document.message.strip()!r}; ask again."
        if document.tables > 1:
            yield f"The document has {document.tables} tables, of which only the first was read; expected one."
        if self.count() not in {None, seen}:
            yield f"The document has {seen} rows, but says nrows={self._nrows!r}; expected as many."

    def _parse(self, document: _Document) -> Iterator[str]:
        """Parse the document piece by piece; yield after each what is wrong with it, blank if nothing."""
        with self._opener() as stream:
            last = False
            while not last:
                chunk = stream.read(_CHUNK)
                last = not chunk
                try:
                    document.parser.Parse(chunk, last)
                except (expat.ExpatError, LookupError) as error:  # the latter of an encoding that does not exist
                    yield (
                        f"The document is damaged or ends too early ({error}), so rows are missing; expected a whole "
                        "VOTable, up to </VOTABLE>."
                    )
                    return
                yield ""


def _pick(
    pick: Callable[[list[str]], tuple[str, ...]], width: int, document: _Document
) -> Iterator[tuple[str, ...] | FormatError]:
    for cells in document.take_cells():
        if len(cells) == width:
            yield tuple(map(str.strip, pick(cells)))
        else:
            yield FormatError(f"The row has {len(cells)} cells; expected {width}.")


def _check_doctype(name: str, _system: str | None, _public: str | None, internal: int) -> None:
    if internal:
        raise FormatError(
            f"The VOTable has a document type declaration (DOCTYPE {name!r}) with content, by which XML can define "
            "entities (ENTITY) that expand without bound; expected none. Remove it if you trust the file."
        )


class _Document:
    """What the parser has found so far, of tables the first with data."""

    def __init__(self) -> None:
        self.fields: list[dict[str, str]] = []
        self.data = ""
        self.nrows: str | None = None
        self.tables = 0
        self.status = ""
        self.message = ""
        self._cells: list[list[str]] = []
        self._stream: list[str] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.buffer_size = 1 << 16
        self.parser.StartDoctypeDeclHandler = _check_doctype
        self._skip()

    def take_cells(self) -> list[list[str]]:
        """Return the cells of each row since the last call."""
        cells, self._cells = self._cells, []
        return cells

    def take_stream(self) -> str:
        """Return the text of the binary stream since the last call."""
        text = "".join(self._stream)
        self._stream.clear()
        return text

    def _skip(self, _: str = "") -> None:
        """Read on to the next element that means something."""
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = None
        self.parser.CharacterDataHandler = None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        match name.rpartition(" ")[2]:
            case "TABLE" if not self.tables:
                self.fields, self.nrows = [], attributes.get("nrows")
            case "FIELD" if not self.tables:
                self.fields.append(attributes)
            case "DATA":
                self.tables += 1
            case ("TABLEDATA" | "BINARY" | "BINARY2" | "FITS") as data if self.tables == 1:
                self.data = data
                if data == "TABLEDATA":
                    self._read_cells()
            case "STREAM" if self.tables == 1:
                self._read_stream(attributes)
            case "INFO" if attributes.get("name") == "QUERY_STATUS":
                self.status = attributes.get("value", "").upper()
                self._collect(self._say)

    def _collect(self, handle: Callable[[str], None]) -> None:
        """Hand the text of this element on."""
        self.parser.CharacterDataHandler = handle
        self.parser.EndElementHandler = self._skip

    def _say(self, text: str) -> None:
        self.message += text

    def _read_stream(self, attributes: dict[str, str]) -> None:
        if attributes.get("encoding") != "base64" or attributes.get("href"):
            self.data = f"a {self.data} stream that is not in it as base64"
        else:
            self._collect(self._stream.append)

    def _read_cells(self) -> None:
        """Collect cells, with as few calls as possible: without one at a cell's start, the blanks before it join it."""
        cells: list[str] = []
        text: list[str] = []
        add, clear = cells.append, text.clear

        def end(name: str) -> None:
            if name[-2:] == "TD":
                add("".join(text))
                clear()
            elif name[-2:] == "TR":
                self._cells.append(cells.copy())
                cells.clear()
                clear()
            else:
                self._skip()

        self.parser.StartElementHandler = None
        self.parser.EndElementHandler = end
        self.parser.CharacterDataHandler = text.append
