"""VOTable as XML: what is read of the header, what is refused, and how a header is written.

A document is read as a stream.  Everything but the contents of ``DATA`` is
kept as a small tree; the data are handed on as events, so that a reader may
stop as soon as it has what it wants.

A document type declaration is refused at its first line: VOTable has needed
none since version 1.1, and without one a document can declare no entity, so
neither expansion bombs nor references to other files exist.
"""

from __future__ import annotations

__all__ = ("END", "START", "TEXT", "Document", "Event", "is_xml_text", "serialized")

import logging
import re
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias
from xml.etree.ElementTree import Element, indent, tostring
from xml.parsers import expat

from ..errors import FormatError

START, END, TEXT = "start", "end", "text"
Event: TypeAlias = tuple[str, str, dict[str, str]]
"""What happened, the tag (or the text), the attributes."""

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
        The ``TABLE`` element, without its ``DATA``.
    ancestors
        The elements around it, ``VOTABLE`` first.
    table_count
        How many ``TABLE`` elements were met so far.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._events = _events(stream)
        self._open: list[Element] = []
        self._infos: list[str] = []
        self.ancestors: list[Element] = []
        self.table: Element | None = None
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
            if self.table is not None and event[0] == START and event[1] == "DATA":
                return True
            if event[0] == END and event[1] == "TABLE":
                return False
        status = f" Its INFO elements say: {'; '.join(self._infos)}." if self._infos else ""
        raise FormatError(f"The VOTable holds no TABLE; expected one.{status}")

    def data(self) -> Iterator[Event]:
        """Yield the events within the table's ``DATA``."""
        for event in self._events:
            if event[0] == END and event[1] == "DATA":
                self._build(event)
                return
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
        elif self._open and len(self._open[-1]) == 0:
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
            if self.table is None:
                self.table, self.ancestors = element, list(self._open)
        elif element.tag == "INFO":
            self._infos.append(f"{element.get('name')}={element.get('value')!r}")
        self._open.append(element)


def _events(stream: BinaryIO) -> Iterator[Event]:
    queue: list[Event] = []
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = _BLOCK
    parser.StartElementHandler = lambda tag, attributes: queue.append((START, _local(tag), attributes))
    parser.EndElementHandler = lambda tag: queue.append((END, _local(tag), {}))
    parser.CharacterDataHandler = lambda text: queue.append((TEXT, text, {}))
    parser.StartDoctypeDeclHandler = _refuse_doctype
    final = False
    while not final:
        block = stream.read(_BLOCK)
        final = not block
        try:
            parser.Parse(block, final)
        except expat.ExpatError as error:
            raise FormatError(
                f"The VOTable is no well-formed XML: {error}; expected a complete VOTable document. "
                "The file is truncated, damaged or something else."
            ) from None
        yield from queue
        queue.clear()


def _local(tag: str) -> str:
    """Return the tag without a namespace prefix, which some services write."""
    return tag.rpartition(":")[2]


def _refuse_doctype(name: str, system: str | None, public: str | None, _internal: int) -> None:
    raise FormatError(
        f"The VOTable has a document type declaration (DOCTYPE {name!r}, system {system!r}, public {public!r}), "
        "by which XML can declare entities (ENTITY) that expand without bound or read other files; "
        "expected none. Remove it if you trust the file."
    )
