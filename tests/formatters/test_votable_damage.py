"""VOTable documents that are damaged, or mean harm."""

from __future__ import annotations

import base64
import io
import re
import time
import tracemalloc

import numpy as np
import pytest
from astropy.table import Table

from spherex_butler.errors import FormatError
from spherex_butler.formatters._votable_table import TableFile, write_table


def written(table, serialization="binary2"):
    output = io.StringIO()
    write_table(table, output, serialization)
    return output.getvalue()


def read(text, **options):
    return TableFile(io.BytesIO(text if isinstance(text, bytes) else text.encode())).read(**options)


def document(body, *, fields='<FIELD name="x" datatype="int"/>', version="1.3", before="", after="", table=""):
    return (
        f'<?xml version="1.0"?>\n<VOTABLE version="{version}"><RESOURCE type="results">{before}'
        f"<TABLE{table}>{fields}<DATA>{body}</DATA></TABLE>{after}</RESOURCE></VOTABLE>"
    )


def texts(*rows):
    return "<TABLEDATA>" + "".join(f"<TR>{''.join(f'<TD>{v}</TD>' for v in row)}</TR>" for row in rows) + "</TABLEDATA>"


def stream(data, tag="BINARY2", attributes='encoding="base64"'):
    return f"<{tag}><STREAM {attributes}>{base64.b64encode(data).decode()}</STREAM></{tag}>"


def refusal(text, **options):
    with pytest.raises(FormatError) as error:
        read(text, **options)
    return str(error.value)


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
    assert message == "The VOTable refers to the entity 'x' of another document, which is not fetched; expected none."


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
    assert "The stream is truncated" in refusal(document(stream(b"\0\xff\xff\xff\xff"), fields=field))
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


# What is damaged.

STRING = '<FIELD name="x" datatype="{}" arraysize="{}"/>'
DAMAGED = {
    "nothing": ("", r"The VOTable is no well-formed XML: no element found"),
    "no xml": (
        "SIMPLE  =                    T",
        r"The VOTable is no well-formed XML: .* truncated, damaged or something else",
    ),
    "html": ("<html><body/></html>", r"The root element is 'html'; expected 'VOTABLE'"),
    "no table": (
        '<VOTABLE><RESOURCE><INFO name="QUERY_STATUS" value="ERROR">Bad query</INFO></RESOURCE></VOTABLE>',
        r"holds no TABLE; expected one. Its INFO elements say: QUERY_STATUS='ERROR' Bad query.",
    ),
    "cut header": (document(texts([1]))[:80], r"The VOTable is no well-formed XML: .* expected a complete VOTable"),
    "cut data": (document(texts(*[[n] for n in range(100)]))[:-200], r"The VOTable is no well-formed XML: no element"),
    "no base64": (document("<BINARY><STREAM>a*bc</STREAM></BINARY>"), r"The STREAM of the data is no base64"),
    "cut base64": (
        document("<BINARY><STREAM>AAA</STREAM></BINARY>"),
        r"The STREAM .* ends within a base64 group: b'AAA'",
    ),
    "cut varying row": (
        document(stream(b"\0\0\0\0\2\0\0\0\1"), fields='<FIELD name="x" datatype="int" arraysize="*"/>'),
        r"The data end within row 0, after 9 bytes of it",
    ),
    "encoding": (document(stream(b"", attributes='encoding="gzip"')), r"has encoding='gzip'; expected 'base64'"),
    "td encoding": (
        document('<TABLEDATA><TR><TD encoding="base64">AA==</TD></TR></TABLEDATA>'),
        r"A TD has encoding='base64'; expected plain text",
    ),
    "fits": (document('<FITS><STREAM href="x.fits"/></FITS>'), r"serialized as 'FITS'; expected TABLEDATA, BINARY or"),
    "cells": (document(texts([1], [2, 3])), r"Row 1 has 2 cells; expected 1, one for each FIELD"),
    "number": (document(texts(["1"], ["one"])), r"Column 'x': 'one' is no number; expected one, or nothing"),
    "range": (document(texts([1 << 31])), r"Column 'x': 2147483648 is not within -2147483648 to 2147483647"),
    "boolean": (
        document(texts(["yes"]), fields='<FIELD name="x" datatype="boolean"/>'),
        r"Column 'x': 'yes' is no boolean",
    ),
    "boolean byte": (
        document(stream(b"\0X"), fields='<FIELD name="x" datatype="boolean"/>'),
        r"Column 'x': Byte 0x58 is no boolean; expected T, F or \?",
    ),
    "bit": (
        document(texts(["2"]), fields='<FIELD name="x" datatype="bit"/>'),
        r"Column 'x': '2' is no bit; expected 0 or 1",
    ),
    "bits": (
        document(stream(b"\0\0\0\0\1\x80"), fields=STRING.format("bit", "*")),
        r"Column 'x': Arrays of bits of variable length cannot be read from a binary stream",
    ),
    "array": (
        document(texts(["1 2 3"]), fields=STRING.format("int", 2)),
        r"Column 'x': '1 2 3' has 3 values; expected 2",
    ),
    "complex": (
        document(texts(["1"]), fields='<FIELD name="x" datatype="doubleComplex"/>'),
        r"Column 'x': '1' has 1 values; expected 2",
    ),
    "varying": (
        document(texts(["1 2 3"]), fields=STRING.format("int", "2x*")),
        r"Column 'x': A cell has 3 values; expected a multiple of 2",
    ),
    "utf-16": (
        document(stream(b"\0\0\0\0\1\xd8\x00"), fields=STRING.format("unicodeChar", "*")),
        r"Column 'x': A unicodeChar string is no UTF-16",
    ),
    "datatype": (
        document("", fields=STRING.format("quad", 1)),
        r"Column 'x': Datatype 'quad' is not VOTable's; expected one of",
    ),
    "arraysize": (document("", fields=STRING.format("int", "2,3")), r"Column 'x': arraysize='2,3' is not VOTable's"),
    "huge": (
        document("", fields=STRING.format("int", 10**12)),
        r"Column 'x': arraysize='1000000000000' is beyond measure",
    ),
    "nrows": (
        document(texts([1]), table=' nrows="2"'),
        r"says nrows=2 but has 1 rows of data; it is damaged or incomplete",
    ),
    "record": (
        document("", fields='<INFO name="spherex_butler.columns" value="[1]"/>'),
        r"The INFO 'spherex_butler.columns' is damaged",
    ),
    "recorded dtype": (
        written(Table({"x": np.zeros(1, "u2")})).replace("uint16", "O"),
        r"Column 'x' is recorded as dtype 'O', which is none that is written",
    ),
    "recorded values": (
        written(Table({"x": np.zeros(1, "u2")}), "tabledata").replace("<TD>0", "<TD>-1"),
        r"Column 'x' is recorded as uint16, but has values that are none",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_an_error_that_says_what_was_expected(case):
    text, message = DAMAGED[case]
    assert re.search(message, refusal(text), re.DOTALL)
