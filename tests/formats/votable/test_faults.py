"""That each fault of astropy.io.votable which is worked around is still there, and that the work-around works."""

from __future__ import annotations

import base64
import io
import re

import astropy.units as u
import numpy as np
import pytest
from astropy.io import votable
from astropy.io.votable.tree import Param
from astropy.table import Column, MaskedColumn, Table

from spherex_butler.errors import FormatError
from spherex_butler.formats.votable.reading import TableFile
from spherex_butler.formats.votable.writing import write_table


def by_astropy(table, serialization="binary2"):
    output = io.BytesIO()
    table.write(output, format="votable", tabledata_format=serialization)
    output.seek(0)
    return Table.read(output, format="votable")


def by_us(table, serialization="binary2"):
    return TableFile(io.BytesIO(write_table(table, serialization))).read()


def read(text):
    return TableFile(io.BytesIO(text.encode())).read()


def parsed(text, **options):
    return votable.parse(io.BytesIO(text.encode()), **options).get_first_table().array


def document(body, fields='<FIELD name="x" datatype="int"/>', attributes="", after=""):
    return (
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>'
        f"<TABLE{attributes}>{fields}<DATA>{body}</DATA></TABLE>{after}</RESOURCE></VOTABLE>"
    )


ONE = "<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA>"


def test_astropy_still_turns_shapes_round():
    table = Table({"x": np.zeros((1, 2, 3))})
    assert by_astropy(table)["x"].shape == (1, 3, 2)
    assert by_us(table)["x"].shape == (1, 2, 3)


def test_astropy_still_forgets_masked_strings():  # https://github.com/astropy/astropy/issues/8995
    table = Table({"x": MaskedColumn(["a", "b"], mask=[0, 1])})
    assert not np.ma.getmaskarray(by_astropy(table)["x"]).any()
    assert by_us(table)["x"].mask.tolist() == [False, True]


def test_astropy_still_takes_nan_for_missing():  # https://github.com/astropy/astropy/issues/18000
    table = Table({"x": [np.nan, 1.0]})
    assert by_astropy(table)["x"].mask.tolist() == [True, False]
    assert type(by_us(table)["x"]) is Column


def test_astropy_still_writes_bools_as_bits():  # https://github.com/astropy/astropy/issues/18277
    table = Table({"x": MaskedColumn([True, False], mask=[0, 1])})
    assert votable.from_table(table).get_first_table().fields[0].datatype == "bit"
    assert by_us(table, "tabledata")["x"].mask.tolist() == [False, True]


def test_astropy_still_cuts_strings_beyond_the_basic_plane():  # https://github.com/astropy/astropy/issues/18516
    table = Table({"x": ["😀a"]})
    assert by_astropy(table)["x"][0] != "😀a"
    assert by_us(table)["x"][0] == "😀a"


def test_astropy_still_strips_blanks_of_text():
    assert by_astropy(Table({"x": [" a "]}), "tabledata")["x"][0] == "a"


def test_astropy_still_refuses_arrays_of_strings():  # https://github.com/astropy/astropy/issues/17098
    fields = '<FIELD name="x" datatype="char" arraysize="3x2"/>'
    text = document("<TABLEDATA><TR><TD>ab cd </TD></TR></TABLEDATA>", fields)
    with pytest.raises(ValueError, match="E01"):
        parsed(text)
    assert read(text)["x"].tolist() == ["ab cd"]
    assert read(text.replace("3x2", "3x*"))["x"].tolist() == ["ab cd"]


def test_astropy_still_cannot_read_arrays_without_elements():
    table = Table({"x": np.zeros((2, 0))})
    with pytest.raises(ValueError, match="zero"):
        by_astropy(table)
    assert by_us(table)["x"].shape == (2, 0)


def test_astropy_still_cannot_read_its_masked_complex_arrays():
    table = Table({"x": MaskedColumn([[1j, 2j]], mask=[[1, 0]])})
    with pytest.raises(ValueError, match="E02"):
        by_astropy(table, "tabledata")
    assert by_us(table, "tabledata")["x"].mask.tolist() == [[True, False]]


def test_astropy_still_breaks_descriptions():
    text = "word " * 10 + "joined-by-hyphens-to-more-words"
    assert by_astropy(Table({"x": Column([1], description=text)}))["x"].description.split() != text.split()


def test_astropy_still_escapes_params_twice():
    document = votable.from_table(Table({"x": [1]}))
    table = document.get_first_table()
    table.params.append(Param(document, name="p", datatype="char", arraysize="*", value="a & b"))
    output = io.BytesIO()
    document.to_xml(output)
    assert votable.parse(output).get_first_table().params[0].value == "a &amp; b"
    assert by_us(Table({"x": [1]}, meta={"p": "a & b"})).meta == {"p": "a & b"}


@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
def test_astropy_still_makes_units_of_its_own_names():
    assert u.Unit("electron", format="vounit", parse_strict="silent") != u.electron
    assert by_us(Table({"x": Column([1], unit="electron/s")}))["x"].unit == u.electron / u.s


def test_astropy_still_takes_a_truncated_stream_for_a_whole_one():
    text = write_table(Table({"x": np.arange(10)}), "binary2").decode()
    found = re.search(r'base64">\s*([^<\s]+)', text)
    text = text.replace(found[1], base64.b64encode(base64.b64decode(found[1])[:-6]).decode())
    assert len(parsed(text)) == 9
    with pytest.raises(FormatError, match="says nrows=10 but has 9 rows of data; it is damaged or incomplete"):
        read(text)


def test_astropy_still_skips_what_is_no_base64():
    text = document('<BINARY><STREAM encoding="base64">AA*AA??AQ==</STREAM></BINARY>')
    assert parsed(text)["x"].tolist() == [1]
    with pytest.raises(FormatError, match="The STREAM of the data is no base64"):
        read(text)


def test_astropy_still_allocates_what_a_header_says():
    with pytest.raises(MemoryError):
        parsed(document(ONE, attributes=f' nrows="{10**15}"'))


def test_astropy_still_looks_for_columns_in_every_table():
    fields = '<FIELD name="x" datatype="int"/><FIELD name="y" datatype="int"/>'
    other = '<TABLE><FIELD name="z" datatype="int"/><DATA><TABLEDATA/></DATA></TABLE>'
    text = document("<TABLEDATA><TR><TD>1</TD><TD>2</TD></TR></TABLEDATA>", fields, after=other)
    with pytest.raises(ValueError, match="out of range"):
        parsed(text, columns=[1], table_number=0)
    assert TableFile(io.BytesIO(text.encode())).read(columns="y")["y"].tolist() == [2]


def test_astropy_still_fetches_data_kept_elsewhere(tmp_path):
    (tmp_path / "secret").write_bytes(b"\0\0\0\1")
    text = document(f'<BINARY><STREAM href="{(tmp_path / "secret").as_uri()}"/></BINARY>')
    assert parsed(text)["x"].tolist() == [1]
    with pytest.raises(FormatError, match=r"kept elsewhere, at 'file:.*secret', which is not fetched"):
        read(text)


def test_astropy_still_expands_entities():
    text = '<!DOCTYPE VOTABLE [<!ENTITY e "7">]>' + document(ONE.replace("1", "&e;"))
    assert parsed(text)["x"].tolist() == [7]
    with pytest.raises(FormatError, match="document type declaration"):
        read(text)
