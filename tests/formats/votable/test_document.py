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
    assert len(read(document(stream(b"\0\xff\xff\xff\xff"), fields=field))) == 0
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


# What astropy reads amiss.


def parsed(text, **options):
    return votable.parse(io.BytesIO(text.encode()), **options).get_first_table().array


def test_astropy_still_expands_entities():
    assert parsed('<!DOCTYPE VOTABLE [<!ENTITY e "7">]>' + document(texts(["&e;"]))[22:])["x"].tolist() == [7]


def test_astropy_still_fetches_data_kept_elsewhere(tmp_path):
    (tmp_path / "secret").write_bytes(b"\0\0\0\1")
    uri = (tmp_path / "secret").as_uri()
    text = document(f'<BINARY><STREAM href="{uri}"/></BINARY>')
    assert parsed(text)["x"].tolist() == [1]
    assert refusal(text) == (
        f"The data are kept elsewhere, at {uri!r}, which is not fetched; expected them within the file."
    )


def test_astropy_still_takes_a_truncated_stream_for_a_whole_one():
    text = written(Table({"x": np.arange(10)}))
    found = re.search(r'base64">\s*([^<\s]+)', text)
    text = text.replace(found[1], base64.b64encode(base64.b64decode(found[1])[:-6]).decode())
    assert len(parsed(text)) == 9
    assert "says nrows=10 but has 9 rows of data; it is damaged or incomplete" in refusal(text)


def test_astropy_still_skips_what_is_no_base64():
    text = document('<BINARY><STREAM encoding="base64">AA*AA??AQ==</STREAM></BINARY>')
    assert parsed(text)["x"].tolist() == [1]
    assert "The STREAM of the data is not base64" in refusal(text)


def test_astropy_still_allocates_what_a_header_says():
    with pytest.raises(MemoryError):
        parsed(document(texts([1]), table=f' nrows="{10**15}"'))


def test_astropy_still_looks_for_columns_in_every_table():
    fields = '<FIELD name="x" datatype="int"/><FIELD name="y" datatype="int"/>'
    other = '<TABLE><FIELD name="z" datatype="int"/><DATA><TABLEDATA/></DATA></TABLE>'
    text = document(texts([1, 2]), fields=fields, after=other)
    with pytest.raises(ValueError, match="out of range"):
        parsed(text, columns=[1], table_number=0)
    assert read(text, columns="y")["y"].tolist() == [2]


def test_astropy_still_refuses_arrays_of_strings():  # https://github.com/astropy/astropy/issues/17098
    with pytest.raises(ValueError, match="E01"):
        parsed(document(texts(["ab cd "]), fields='<FIELD name="x" datatype="char" arraysize="3x2"/>'))


# What does not come back of what astropy writes; that it does with us is tested in `test_writing`.


def by_astropy(column, serialization="binary2"):
    output = io.BytesIO()
    Table({"x": column}).write(output, format="votable", tabledata_format=serialization)
    output.seek(0)
    return Table.read(output, format="votable")["x"]


LONG = "word " * 10 + "joined-by-hyphens-to-more-words"
FAULTS = {
    "turns shapes round": (np.zeros((1, 2, 3)), "binary2", lambda got: got.shape == (1, 3, 2)),
    # https://github.com/astropy/astropy/issues/8995
    "forgets masked strings": (
        MaskedColumn(["a", "b"], mask=[0, 1]),
        "binary2",
        lambda got: not np.ma.getmaskarray(got).any(),
    ),
    # https://github.com/astropy/astropy/issues/18000
    "takes NaN for missing": ([np.nan, 1.0], "binary2", lambda got: got.mask.tolist() == [True, False]),
    # https://github.com/astropy/astropy/issues/18516
    "cuts strings beyond the basic plane": (["😀a"], "binary2", lambda got: got[0] != "😀a"),
    "strips blanks of text": ([" a "], "tabledata", lambda got: got[0] == "a"),
    "breaks descriptions": (
        Column([1], description=LONG),
        "binary2",
        lambda got: got.description.split() != LONG.split(),
    ),
}


@pytest.mark.parametrize(("column", "serialization", "is_so"), FAULTS.values(), ids=FAULTS)
def test_astropy_still(column, serialization, is_so):
    assert is_so(by_astropy(column, serialization))


@pytest.mark.parametrize(
    ("column", "serialization", "message"),
    [(np.zeros((2, 0)), "binary2", "zero"), (MaskedColumn([[1j, 2j]], mask=[[1, 0]]), "tabledata", "E02")],
)
def test_astropy_still_cannot_read_what_it_writes(column, serialization, message):
    with pytest.raises(ValueError, match=message):
        by_astropy(column, serialization)


def test_astropy_still_writes_bools_as_bits():  # https://github.com/astropy/astropy/issues/18277
    assert votable.from_table(Table({"x": [True]})).get_first_table().fields[0].datatype == "bit"


def test_astropy_still_escapes_params_twice():
    document = votable.from_table(Table({"x": [1]}))
    document.get_first_table().params.append(Param(document, name="p", datatype="char", arraysize="*", value="a & b"))
    output = io.BytesIO()
    document.to_xml(output)
    assert votable.parse(output).get_first_table().params[0].value == "a &amp; b"


@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
def test_astropy_still_makes_units_of_its_own_names():
    assert u.Unit("electron", format="vounit", parse_strict="silent") != u.electron
