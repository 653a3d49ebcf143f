"""A page of the report taken apart by a plain parser."""

from __future__ import annotations

from xml.etree import ElementTree as ET


def parsed(page: str) -> ET.Element:
    """Return the elements of a page, which is well-formed XML but for its first line."""
    first, _, rest = page.partition("\n")
    assert first == "<!DOCTYPE html>"
    return ET.fromstring(rest)


def said(element: ET.Element | None) -> str:
    """Return the text in an element, with single spaces."""
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def section(page: ET.Element, name: str) -> ET.Element:
    found = page.find(f".//section[@id='{name}']")
    assert found is not None
    return found


def rows(page: ET.Element, caption: str) -> dict[str, list[str]]:
    """Return the cells of a table's rows, by their headings; without bars."""
    (found,) = (table for table in page.iter("table") if said(table.find("caption")) == caption)
    return {
        said(row.find("th")): [said(cell) for cell in row.findall("td") if cell.find("svg") is None]
        for row in found.findall("tbody/tr")
    }
