"""VOTable documents that are damaged, or mean harm."""

from __future__ import annotations

import re
import time
import tracemalloc

import numpy as np
import pytest
from astropy.table import Table
from votable_documents import document, read, refusal, stream, texts, written

# What is dangerous.

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "declarations",
    [
        f'<!DOCTYPE VOTABLE [<!ENTITY l0 "ha">{LAUGHS}]>',
        '<!DOCTYPE VOTABLE [<!ENTITY l9 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE VOTABLE SYSTEM "http://localhost/x.dtd" [<!ENTITY % l9 SYSTEM "file:///etc/passwd"> %l9;]>',
        '<!DOCTYPE VOTABLE [<!ENTITY l9 "' + "ha" * 500_000 + '">]>',
    ],
    ids=["laughs", "file", "parameter", "quadratic"],
)
def test_document_that_declares_entities_is_refused_in_bounded_time_and_memory(declarations):
    text = document(texts(["&l9;"] * 1000)).replace("?>\n", f"?>\n{declarations}", 1).encode()
    tracemalloc.start()
    start = time.perf_counter()
    message = refusal(text)
    elapsed, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "has a document type declaration (DOCTYPE 'VOTABLE', " in message
    assert "can define entities (ENTITY) that expand without bound or read other files; expected none." in message
    assert elapsed < 1
    assert peak < 5 * len(text) + 5_000_000


def test_doctype_alone_declares_nothing_but_hides_no_entity():
    doctype = '?>\n<!DOCTYPE VOTABLE SYSTEM "http://us-vo.org/xml/VOTable.dtd">'
    assert read(document(texts([1])).replace("?>\n", doctype))["x"].tolist() == [1]
    message = refusal(document(texts(["&x;"])).replace("?>\n", doctype))
    assert message == "The VOTable refers to the entity 'x' of a DTD, which is not fetched; expected none."


def test_data_kept_elsewhere_are_not_fetched(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"\0\0\0\0\1")
    message = refusal(document(f'<BINARY2><STREAM href="{secret.as_uri()}"/></BINARY2>'))
    assert (
        message
        == f"The data are kept elsewhere, at {secret.as_uri()!r}, which is not fetched; expected them within the file."
    )


def test_false_promises_cost_no_memory():
    tracemalloc.start()
    text = document(stream(b"\0\0\0\0\1"), table=' nrows="1000000000000"')
    assert "says nrows=1000000000000 but has 1 rows of data" in refusal(text)
    field = '<FIELD name="x" datatype="int" arraysize="*"/>'
    assert len(read(document(stream(b"\0\xff\xff\xff\xff"), fields=field))) == 0
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


# What is damaged.

INT = '<FIELD name="x" datatype="int" arraysize="{}"/>'
CHAR = '<FIELD name="x" datatype="{}" arraysize="{}"/>'
DAMAGED = {
    "nothing": ("", r"astropy cannot read the VOTable: .* expected a complete VOTable document"),
    "no xml": (
        "SIMPLE  =                    T",
        r"astropy cannot read the VOTable: .* truncated, damaged or something",
    ),
    "html": (
        "<html><body/></html>",
        r"E19: File does not appear to be a VOTABLE; expected a complete VOTable document",
    ),
    "no table": (
        '<VOTABLE><RESOURCE><INFO name="QUERY_STATUS" value="ERROR">Bad query</INFO></RESOURCE></VOTABLE>',
        r"holds no TABLE; expected one. Its INFO elements say: QUERY_STATUS='ERROR' Bad query.",
    ),
    "nothing said": ("<VOTABLE><RESOURCE/></VOTABLE>", r"holds no TABLE; .* Its INFO elements say: nothing"),
    "cut header": (document(texts([1]))[:80], r"astropy cannot read the VOTable: .* expected a complete VOTable"),
    "cut data": (document(texts(*[[n] for n in range(100)]))[:-200], r"astropy cannot read the VOTable: .*no element"),
    "no base64": (document("<BINARY><STREAM>a*bc</STREAM></BINARY>"), r"The STREAM of the data is no base64"),
    "cut base64": (
        document("<BINARY><STREAM>AAA</STREAM></BINARY>"),
        r"The STREAM of the data is no base64: .*padding",
    ),
    "cut row": (
        written(Table({"x": np.arange(10)})).replace('nrows="10"', 'nrows="11"'),
        r"says nrows=11 but has 10 rows of data; it is damaged or incomplete",
    ),
    "fits": (document('<FITS><STREAM href="x.fits"/></FITS>'), r"astropy cannot read the VOTable"),
    "cells": (document(texts([1], [2, 3])), r"E20: Data has more columns than are defined in the header \(1\)"),
    "number": (document(texts(["1"], ["one"])), r"'one' \(in row 1, col 'x'\)"),
    "range": (document(texts([1 << 31])), r"W51: Value '2147483648' is out of range for a 32-bit integer field"),
    "array": (document(texts(["1 2 3"]), fields=INT.format(2)), r"E02: .* Expected multiple of 2, got 3"),
    "varying": (document(texts(["1 2 3"]), fields=INT.format("2x*")), r"E02: .* Expected multiple of 2, got 3"),
    "long string": (
        document(texts(["VLA:A:1:26"]), fields=CHAR.format("char", 3)),
        r"W46: char value is too long for specified length of 3",
    ),
    "char": (
        document(stream(b"\0\0\0\0\1\xc5"), fields=CHAR.format("char", "*")),
        r"astropy cannot read the VOTable: 'ascii' codec can't decode byte 0xc5",
    ),
    "datatype": (document("", fields=CHAR.format("quad", 1)), r"E06: Unknown datatype 'quad' on field 'x'"),
    "arraysize": (document("", fields=INT.format("2,3")), r"E13: Invalid arraysize attribute '2,3'"),
    "huge": (document("", fields=INT.format(10**12)), r"FIELD 'x': arraysize='1000000000000' is beyond measure"),
    "nrows": (
        document(texts([1]), table=' nrows="2"'),
        r"says nrows=2 but has 1 rows of data; it is damaged or incomplete",
    ),
    "record": (
        document("", before='<INFO name="spherex_butler" value="[1]"/>'),
        r"The INFO 'spherex_butler' is damaged: TypeError",
    ),
    "recorded dtype": (
        written(Table({"x": np.zeros(1, "u2")})).replace("uint16", "quad"),
        r"The INFO 'spherex_butler' is damaged: TypeError.*quad",
    ),
    "recorded values": (
        written(Table({"x": np.zeros(1, "u2")}), "tabledata").replace("<TD>0", "<TD>-1"),
        r"Column 'x' is recorded as 'uint16', but has values that are none",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_an_error_that_says_what_was_expected(case):
    text, message = DAMAGED[case]
    assert re.search(message, refusal(text), re.DOTALL)
