"""Elements are well-formed, and texts in them are texts."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from spherex_butler.report.markup import element, joined, number, text


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "\" onload='x' &amp;", "]]>", "<!--", "a\u202eb"])
def test_texts_are_escaped_in_elements_and_attributes(hostile):
    (inner,) = ET.fromstring(element("p", element("b", hostile, title=hostile)))
    assert inner.text == inner.get("title") == hostile


def test_markup_is_left_as_it_is():
    assert element("p", element("b", "<"), joined([1, None, "&"])) == "<p><b>&lt;</b>1&amp;</p>"


def test_characters_that_html_cannot_hold_are_replaced():
    found = text("a\x00b\x1b[31m\ud800\uffff\tc\n")
    assert found == "a\ufffdb\ufffd[31m\ufffd\ufffd\tc\n"
    found.encode("utf-8")


def test_passwords_are_hidden():
    assert "geheim" not in element("p", "postgresql://me:geheim@host/name", title="postgresql://me:geheim@host/name")


def test_attributes_have_hyphens_few_digits_and_may_be_left_out():
    found = element("rect", x=1 / 3, y=2.0, class_="k0", aria_label="l", fill=None, viewBox="0 0 1 1")
    assert found == '<rect x="0.33" y="2" class="k0" aria-label="l" viewBox="0 0 1 1"/>'


def test_numbers_are_written_as_people_read_them():
    assert [number(value) for value in (0, 1234567, 0.6912, 1234.5)] == ["0", "1,234,567", "0.691", "1,234"]
    assert [number(value) for value in (0.0, 0.00052, 5e-05, 1.2345e-06)] == ["0", "0.00052", "0.00005", "0.00000123"]
