"""VOTable documents that mean harm, and that each fault of `astropy.io.votable` which is worked around is still there.

Most of the faults are known as https://github.com/astropy/astropy/issues/18402
"""

from __future__ import annotations

import base64
import io
import re
import time
import tracemalloc

import astropy.units as u
import numpy as np
import pytest
from astropy.io import votable
from astropy.io.votable.tree import Param
from astropy.table import Column, MaskedColumn, Table
from votable_documents import document, read, refusal, stream, texts, written

pytestmark = pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.VOWarning")

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


def test_doctype_alone_declares_nothing():
    doctype = '?>\n<!DOCTYPE VOTABLE SYSTEM "http://us-vo.org/xml/VOTable.dtd">'
    assert read(document(texts([1])).replace("?>\n", doctype))["x"].tolist() == [1]


def test_false_promises_cost_no_memory():
    tracemalloc.start()
    text = document(stream(b"\0\0\0\0\1"), table=' nrows="1000000000000"')
    assert "says nrows=1000000000000 but has 1 rows of data" in refusal(text)
    field = '<FIELD name="x" datatype="int" arraysize="*"/>'
    promise = document(stream(b"\0\xff\xff\xff\xff"), fields=field)
    assert "5 bytes of data behind its 0 rows, which are no whole row" in refusal(promise)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


# What astropy reads and writes amiss.  That it comes back with us is tested here and in `test_writing`.


def parsed(text, **options):
    return votable.parse(io.BytesIO(text.encode()), **options).get_first_table().array


def test_data_kept_elsewhere_which_astropy_fetches_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"\0\0\0\1")
    uri = (tmp_path / "secret").as_uri()
    text = document(f'<BINARY><STREAM href="{uri}"/></BINARY>')
    assert parsed(text)["x"].tolist() == [1]
    assert f"The data are kept elsewhere, at {uri!r}, which is not fetched; expected them in" in refusal(text)


def test_truncated_stream_which_astropy_takes_for_a_whole_one_is_refused():
    text = written(Table({"x": np.arange(10)}))
    found = re.search(r'base64">\s*([^<\s]+)', text)
    text = text.replace(found[1], base64.b64encode(base64.b64decode(found[1])[:-6]).decode())
    assert len(parsed(text)) == 9
    assert "says nrows=10 but has 9 rows of data; it is damaged or incomplete" in refusal(text)


@pytest.mark.parametrize("serialization", ["binary", "binary2"])
@pytest.mark.parametrize("texts", [False, True])
def test_truncated_stream_is_refused_without_a_number_of_rows(serialization, texts):
    table = Table({"x": np.arange(10)} | ({"y": ["some text"] * 10} if texts else {}))
    text = re.sub(r' nrows="\d+"', "", written(table, serialization))
    assert len(read(text)) == 10
    found = re.search(r'base64">\s*([^<\s]+)', text)
    text = text.replace(found[1], base64.b64encode(base64.b64decode(found[1])[:-3]).decode())
    assert len(parsed(text)) == 9
    assert "bytes of data behind its 9 rows, which are no whole row" in refusal(text)


def test_cell_that_claims_more_than_there_is_is_refused():
    cells = base64.b64encode(b"\x7f\xff\xff\xff").decode()
    fields = '<FIELD name="x" datatype="double" arraysize="*"/>'
    text = document(f'<BINARY><STREAM encoding="base64">{cells}</STREAM></BINARY>', fields=fields)
    assert "4 bytes of data behind its 0 rows" in refusal(text)


def test_foreign_characters_which_astropy_skips_are_refused():
    text = document('<BINARY><STREAM encoding="base64">AA*AA??AQ==</STREAM></BINARY>')
    assert parsed(text)["x"].tolist() == [1]
    assert "The STREAM of the data is not base64" in refusal(text)


def test_columns_which_astropy_looks_for_in_every_table_are_those_of_the_first():
    fields = '<FIELD name="x" datatype="int"/><FIELD name="y" datatype="int"/>'
    other = '<TABLE><FIELD name="z" datatype="int"/><DATA><TABLEDATA/></DATA></TABLE>'
    text = document(texts([1, 2]), fields=fields, after=other)
    with pytest.raises(ValueError, match="out of range"):
        parsed(text, columns=[1], table_number=0)
    assert read(text, columns="y")["y"].tolist() == [2]


def by_astropy(column, serialization="binary2"):
    output = io.BytesIO()
    Table({"x": column}).write(output, format="votable", tabledata_format=serialization)
    output.seek(0)
    return Table.read(output, format="votable")["x"]


def escaped_by_astropy(value):
    document = votable.from_table(Table({"x": [1]}))
    document.get_first_table().params.append(Param(document, name="p", datatype="char", arraysize="*", value=value))
    output = io.BytesIO()
    document.to_xml(output)
    return votable.parse(output).get_first_table().params[0].value


ENTITY = '<!DOCTYPE VOTABLE [<!ENTITY e "7">]>' + document(texts(["&e;"]))[22:]
LONG = "word " * 10 + "joined-by-hyphens-to-more-words"
FAULTS = {
    "expands entities": lambda: parsed(ENTITY)["x"].tolist() == [7],
    "turns shapes round": lambda: by_astropy(np.zeros((1, 2, 3))).shape == (1, 3, 2),
    # https://github.com/astropy/astropy/issues/8995
    "forgets masked strings": lambda: not np.ma.getmaskarray(by_astropy(MaskedColumn(["a", "b"], mask=[0, 1]))).any(),
    # https://github.com/astropy/astropy/issues/18000
    "takes NaN for missing": lambda: by_astropy([np.nan, 1.0]).mask.tolist() == [True, False],
    # https://github.com/astropy/astropy/issues/18516
    "cuts strings beyond the basic plane": lambda: by_astropy(["😀a"])[0] != "😀a",
    "strips blanks of text": lambda: by_astropy([" a "], "tabledata")[0] == "a",
    "breaks descriptions": lambda: by_astropy(Column([1], description=LONG)).description.split() != LONG.split(),
    # https://github.com/astropy/astropy/issues/18277
    "writes bools as bits": lambda: (
        votable.from_table(Table({"x": [True]})).get_first_table().fields[0].datatype == "bit"
    ),
    "escapes params twice": lambda: escaped_by_astropy("a & b") == "a &amp; b",
    "makes units of its own names": lambda: u.Unit("electron", format="vounit", parse_strict="silent") != u.electron,
}
STRINGS = document(texts(["ab cd "]), fields='<FIELD name="x" datatype="char" arraysize="3x2"/>')
FAILURES = {
    "allocates what a header says": (lambda: parsed(document(texts([1]), table=f' nrows="{10**15}"')), "allocate"),
    # https://github.com/astropy/astropy/issues/17098
    "refuses arrays of strings": (lambda: parsed(STRINGS), "E01"),
    "cannot read empty cells that it writes": (lambda: by_astropy(np.zeros((2, 0))), "zero"),
    "cannot read masked complex numbers that it writes": (
        lambda: by_astropy(MaskedColumn([[1j, 2j]], mask=[[1, 0]]), "tabledata"),
        "E02",
    ),
}


@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
@pytest.mark.parametrize("is_so", FAULTS.values(), ids=FAULTS)
def test_astropy_still(is_so):
    assert is_so()


@pytest.mark.parametrize(("act", "message"), FAILURES.values(), ids=FAILURES)
def test_astropy_still_fails(act, message):
    with pytest.raises((ValueError, MemoryError), match=message):
        act()


def test_unknown_encoding_is_refused():
    text = document("<TABLEDATA></TABLEDATA>")
    assert "unknown encoding" in refusal('<?xml version="1.0" encoding="utf61000"?>\n' + text[text.index("<VOTABLE") :])
