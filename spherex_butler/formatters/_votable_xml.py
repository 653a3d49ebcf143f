"""VOTable as XML: what is read of the header, what is refused, and how a header is written.

A document is read as a stream.  Everything but the contents of ``DATA`` is
kept as a small tree; the data are handed on as events, so that a reader may
stop as soon as it has what it wants.

A document type declaration with content is refused where it begins: VOTable
needs none, and without one a document can declare no entity, so neither
expansion bombs nor inclusions of other files exist.  One that only names the
DTD of VOTable 1.0, as some services of IRSA still do, declares nothing: it is
accepted, and the DTD is not fetched.
"""

from __future__ import annotations

__all__ = ("END", "ROW", "START", "TEXT", "Document", "Event", "is_xml_text", "serialized")

import gzip
import logging
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeAlias
from xml.etree.ElementTree import Element, indent, tostring
from xml.parsers import expat

from ..errors import FormatError

START, END, TEXT, ROW = "start", "end", "text", "row"
Event: TypeAlias = tuple[str, str, Any]
"""What happened, the tag or the text, and the attributes or the cells of a row."""

_BLOCK = 1 << 20  # bytes read, and characters handed on, at a time
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_log = logging.getLogger(__name__)


def is_xml_text(text: str) -> bool:
    """Whether ``text`` survives being an XML element's text: no control characters, no carriage return."""
    return _NOT_XML.search(text) is None


def serialized(root: Element) -> tuple[str, str]:
    """Return the document's text before and after its one, empty ``DATA`` element."""
    indent(root, space=" ")
    before, _, after = tostring(root, encoding="unicode").partition("<DATA />")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{before}', f"{after}\n"


class Document:
    """A VOTable while it is read.

    The table is the first ``TABLE`` of the document; a later one is counted
    but not read.

    Parameters
    ----------
    stream
        The document's bytes, from their beginning.

    Attributes
    ----------
    table
        The ``TABLE`` element, without its ``DATA``; empty until the header was read.
    ancestors
        The elements around it, ``VOTABLE`` first.
    table_count
        How many ``TABLE`` elements were met so far.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._events = _events(stream)
        self._open: list[Element] = []
        self._infos: list[str] = []
        self._in_data = False
        self.ancestors: list[Element] = []
        self.table = Element("TABLE")
        self.table_count = 0

    def read_header(self) -> bool:
        """Read up to the table's data and return whether there are any.

        Raises
        ------
        FormatError
            Raised if this is no VOTable, or holds no table.
        """
        for event in self._events:
            self._build(event)
            if self.table_count and event[0] == START and event[1] == "DATA":
                self._in_data = True
                return True
            if event[0] == END and event[1] == "TABLE":
                return False
        status = f" Its INFO elements say: {'; '.join(self._infos)}." if self._infos else ""
        raise FormatError(f"The VOTable holds no TABLE; expected one.{status}")

    def data(self) -> Iterator[Event]:
        """Yield the events within the table's ``DATA``, or what is left of them."""
        while self._in_data and (event := next(self._events, None)) is not None:
            if event[0] == END and event[1] == "DATA":
                self._in_data = False
                self._build(event)
            else:
                yield event

    def read_tail(self) -> None:
        """Read what follows the data: the ``INFO`` elements, and how many more tables there are."""
        within_data = False
        for event in self._events:
            kind, name, _ = event
            if name == "DATA" and kind != TEXT:
                within_data = kind == START
            elif not within_data:
                self._build(event)
        if self.table_count > 1:
            _log.warning("The VOTable holds %d TABLEs; only the first was read.", self.table_count)

    def _build(self, event: Event) -> None:
        kind, name, attributes = event
        if kind == START:
            self._start(Element(name, attributes))
        elif kind == END:
            self._open.pop()
        elif kind == TEXT and self._open and len(self._open[-1]) == 0:
            self._open[-1].text = (self._open[-1].text or "") + name
            if self._open[-1].tag == "INFO" and name.strip():
                self._infos[-1] += f" {name.strip()}"

    def _start(self, element: Element) -> None:
        if self._open:
            self._open[-1].append(element)
        elif element.tag != "VOTABLE":
            raise FormatError(f"The root element is {element.tag!r}; expected 'VOTABLE'. This is no VOTable.")
        if element.tag == "TABLE":
            self.table_count += 1
            if self.table_count == 1:
                self.table, self.ancestors = element, list(self._open)
        elif element.tag == "INFO":
            self._infos.append(f"{element.get('name')}={element.get('value')!r}")
        self._open.append(element)


def _events(stream: BinaryIO) -> Iterator[Event]:
    handlers = _Handlers()
    final = False
    while not final:
        try:
            block = stream.read(_BLOCK)
            final = not block
            handlers.parser.Parse(block, final)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FormatError(f"The VOTable is gzipped, but damaged or truncated: {error}.") from None
        except expat.ExpatError as error:
            raise FormatError(
                f"The VOTable is no well-formed XML: {error}; expected a complete VOTable document. "
                "The file is truncated, damaged or something else."
            ) from None
        yield from handlers.queue
        handlers.queue.clear()


class _Handlers:
    """Turns what expat finds into events; a row of ``TABLEDATA`` is one, for the sake of speed."""

    def __init__(self) -> None:
        self.queue: list[Event] = []
        self._row: list[str] = []
        self._texts: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.buffer_size = _BLOCK
        self.parser.StartDoctypeDeclHandler = _check_doctype
        self.parser.SkippedEntityHandler = _refuse_entity
        self._handle_elements()

    def _handle_elements(self) -> None:
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = lambda tag: self.queue.append((END, _local(tag), {}))
        self.parser.CharacterDataHandler = lambda text: self.queue.append((TEXT, text, {}))

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.queue.append((START, _local(tag), attributes))
        if _local(tag) == "TABLEDATA":
            self.parser.StartElementHandler = self._start_cell
            self.parser.EndElementHandler = self._end_cell
            self.parser.CharacterDataHandler = self._texts.append

    def _start_cell(self, _tag: str, attributes: dict[str, str]) -> None:
        self._texts.clear()
        if attributes.get("encoding"):
            raise FormatError(f"A TD has encoding={attributes['encoding']!r}; expected plain text.")

    def _end_cell(self, tag: str) -> None:
        if tag.endswith("TD"):
            self._row.append("".join(self._texts))
        elif tag.endswith("TR"):
            self.queue.append((ROW, "", self._row))
            self._row = []
        elif tag.endswith("TABLEDATA"):
            self._handle_elements()
            self.queue.append((END, "TABLEDATA", {}))


def _local(tag: str) -> str:
    """Return the tag without a namespace prefix, which some services write."""
    return tag.rpartition(":")[2]


def _check_doctype(name: str, system: str | None, public: str | None, internal: int) -> None:
    if internal:
        raise FormatError(
            f"The VOTable has a document type declaration (DOCTYPE {name!r}, system {system!r}, public {public!r}) "
            "with declarations of its own, by which XML can define entities (ENTITY) that expand without bound or "
            "read other files; expected none. Remove it if you trust the file."
        )


def _refuse_entity(name: str, _is_parameter: bool) -> None:
    raise FormatError(
        f"The VOTable refers to the entity {name!r} of another document, which is not fetched; expected none."
    )
