"""VOTable documents of archives and of astropy, odd and damaged ones, and parts of them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import votable
from astropy.table import Column, MaskedColumn, QTable, Table
from votable_documents import SERIALIZATIONS, document, objects, read, refusal, stream, texts, written

from spherex_butler.formats.votable.reading import TableFile

DATA = Path(__file__).parents[2] / "data" / "votable"
ANSWERS = ("irsa_gator_tabledata", "vizier_binary2", "gaia_binary2")


# What others write.


def test_answer_of_irsa_is_read_with_its_meta():
    table = read((DATA / "irsa_gator_tabledata.xml").read_bytes())
    assert (len(table), table["ra"].dtype, table["ra"].unit) == (18, np.float32, u.deg)
    assert table["j_h"].mask.any()
    assert table.meta["RowsRetrieved"] == "18"
    assert table.meta["DATABASE"] == "'2MASS All-Sky Point Source Catalog (PSC) (fp_psc)'"


def test_answer_of_vizier_is_read_with_its_meta():
    table = read((DATA / "vizier_binary2.xml").read_bytes())
    assert (len(table), table["PNG"][0].strip(), table["MajDiam"].unit) == (20, "G209.1-08.2", u.arcsec)
    assert table["RAJ2000"].meta == {"ucd": "pos.eq.ra;meta.main", "ref": "J2000", "width": 10, "precision": "4"}
    assert table["RAJ2000"].description == "Right Ascension J2000"
    assert table.meta["name"] == "V/127A/mash1"
    assert table.meta["creator"] == "Parker Q.A."


def test_answer_of_gaia_keeps_which_strings_are_missing():
    table = read((DATA / "gaia_binary2.xml").read_bytes())
    assert table["epoch_photometry_url"].mask.all()
    assert table.meta["QUERY_STATUS"] == "OK"


@pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.VOWarning")
@pytest.mark.parametrize("name", ANSWERS)
def test_answers_have_the_values_that_astropy_reads_and_are_put_as_they_were_read(name):
    path = DATA / f"{name}.xml"
    table, expected = read(path.read_bytes()), Table.read(path, format="votable")
    assert len(table) == len(expected)
    for ours, theirs in zip(table.itercols(), expected.itercols(), strict=True):
        if ours.dtype.kind != "U":  # of strings astropy does not read the mask
            assert np.array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(theirs))
        assert np.ma.allequal(ours, theirs)
    back = read(written(table))
    assert back.meta == table.meta
    for put, got in zip(table.itercols(), back.itercols(), strict=True):
        assert (repr(got), got.meta) == (repr(put), put.meta)


def test_every_datatype_is_read():
    table = read((DATA / "all_datatypes_tabledata.xml").read_bytes())
    assert table["unsignedByte"][:4].tolist() == [128, 255, 0, 255]
    assert table["bitarray"].shape == (5, 3, 2)
    assert table["bitvararray"][0].tolist() == [True, True, True]
    assert any(np.ma.getmaskarray(cell).any() for cell in table["array"])
    assert np.array_equal(table.meta["INPUT"], [0.0, 0.0] * u.deg)


ASTROPY = [(version, kind) for version in ("1.1", "1.2", "1.3", "1.4", "1.5") for kind in ("tabledata", "binary")]


@pytest.mark.parametrize(("version", "kind"), [*ASTROPY, ("1.3", "binary2"), ("1.5", "binary2")])
def test_what_astropy_writes_is_read(version, kind):
    table = Table({"i": [1, 2], "f": [1.5, -2.5], "s": ["a", "é"], "v": np.arange(6.0).reshape(2, 3)})
    table["f"].unit = "deg"
    table["m"] = MaskedColumn([True, False])
    document = votable.from_table(table)
    document.version = version
    output = io.BytesIO()
    document.to_xml(output, tabledata_format=kind)
    back = read(output.getvalue())
    assert all(np.array_equal(back[name], table[name]) for name in table.colnames)
    assert back["f"].unit == u.deg


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_what_is_written_astropy_reads_and_finds_valid(serialization, tmp_path):
    table = QTable({"u1": np.arange(3, dtype="u1"), "i8": [1, 2, 1 << 60], "f": [1.5, 2.5, 3.5] * u.MJy / u.sr})
    table["cube"] = np.arange(18, dtype="f4").reshape(3, 2, 3)
    table["s"], table["t"] = ["a", "bc", ""], ["é", "b", "中文"]
    table["c"], table["b"] = [1j, 2, 3 + 4j], [True, False, True]
    table["m"] = MaskedColumn([1, 2, 3], mask=[0, 1, 0])
    table["i8"].info.meta = {"ucd": "meta.id"}
    table["s"].info.description = "two\nlines"
    table.meta = {"name": "t", "n": 1, "list": [1, 2], "width": 3 * u.um}
    path = tmp_path / "table.vot"
    path.write_text(written(table, serialization))
    report = io.StringIO()
    assert votable.validate(str(path), report), report.getvalue()
    expected = Table.read(path, format="votable")
    assert expected.colnames == table.colnames
    assert expected["m"].mask.tolist() == [False, True, False]
    for name in ("u1", "i8", "cube", "s", "t", "c", "b"):
        assert np.array_equal(np.asarray(expected[name]), np.asarray(table[name])), name
    assert (expected["f"].unit, expected["s"].description) == (u.MJy / u.sr, "two lines")
    assert expected["i8"].meta["ucd"] == "meta.id"


def test_cells_without_elements_that_early_files_have_are_read():
    record = "{&quot;columns&quot;: {&quot;x&quot;: {&quot;dtype&quot;: &quot;int16&quot;, &quot;shape&quot;: [2, 0]}},"
    before = f'<INFO name="spherex_butler" value="{record} &quot;meta&quot;: {{}}}}"/>'
    text = document(texts([""]), fields='<FIELD ID="x" name="x" datatype="short" arraysize="*"/>', before=before)
    assert (read(text)["x"].shape, read(text)["x"].dtype) == ((1, 2, 0), np.int16)


# What others write oddly.

FIELD = '<FIELD name="x" datatype="{}" {}>{}</FIELD>'
ODD = {
    "null": (FIELD.format("int", "", '<VALUES null="-99"/>'), texts(["-99"], ["1"]), [None, 1]),
    "null that is no value": (FIELD.format("int", "", '<VALUES null="none"/>'), texts(["1"]), [1]),
    "null out of range": (FIELD.format("int", "", '<VALUES null="1e99"/>'), texts(["1"]), [1]),
    "invented string": (FIELD.format("string", 'arraysize="*"', ""), texts(["long text"]), ["long text"]),
    "invented integer": (FIELD.format("unsignedInt", "", ""), texts(["4294967295"]), [4294967295]),
    "strings of strings": (FIELD.format("char", 'arraysize="3x2"', ""), texts(["ab cd "]), ["ab cd"]),
    "strings of any number": (FIELD.format("char", 'arraysize="3x*"', ""), texts(["ab cd "]), ["ab cd"]),
    "no rows": (FIELD.format("int", "", ""), "", []),
}


@pytest.mark.parametrize(("field", "body", "values"), ODD.values(), ids=ODD)
def test_odd_fields_are_understood(field, body, values):
    assert read(document(body, fields=field))["x"].tolist() == values


def test_names_that_come_again_are_numbered():
    fields = '<FIELD name="x" datatype="int"/><FIELD name="x" datatype="int"/><FIELD ID="y" datatype="int"/>'
    assert read(document(texts([1, 2, 3]), fields=fields)).colnames == ["x", "x2", "y"]


def test_infos_and_params_are_meta_the_last_of_a_name_wins():
    before = (
        '<PARAM name="width" datatype="double" unit="um" value="1.5"/><PARAM name="n" datatype="int" value="3"/>'
        '<PARAM name="pair" datatype="short" arraysize="2" value="1 2"/><PARAM name="s" datatype="char" value="long"/>'
        '<RESOURCE type="meta"><PARAM name="n" datatype="int" value="4"/></RESOURCE>'
        '<INFO name="QUERY_STATUS" value="OK"/>'
    )
    after = '<INFO name="QUERY_STATUS" value="OVERFLOW"/><INFO name="more" value="1"/>'
    meta = read(document(texts([1]), before=before, after=after)).meta
    pair = meta.pop("pair")
    assert (pair.tolist(), pair.dtype) == ([1, 2], np.int16)
    assert meta == {"width": 1.5 * u.um, "n": 3, "s": "long", "QUERY_STATUS": "OVERFLOW", "more": "1"}


@pytest.mark.parametrize(
    ("version", "unit", "expected"),
    [("1.1", "10-16mW/m2/nm", u.Unit("1e-16 mW m-2 nm-1")), ("1.3", "mag?/bogus", "mag?/bogus")],
)
def test_units_of_old_versions_are_those_of_the_cds_and_damaged_ones_kept_by_name(version, unit, expected):
    field = f'<FIELD name="x" datatype="double" unit="{unit}"/>'
    found = read(document(texts([1]), fields=field, version=version))["x"].unit
    assert expected in (found, found.to_string())


def test_namespace_prefixes_do_not_matter():
    text = document(texts([1])).replace("<", "<v:").replace("<v:/", "</v:").replace("<v:?", "<?")
    text = text.replace("<v:VOTABLE", '<v:VOTABLE xmlns:v="http://www.ivoa.net/xml/VOTable/v1.3"')
    assert read(text)["x"].tolist() == [1]


def test_rows_are_counted_where_the_header_does_not_tell():
    for body in (texts([1], [2]), stream(b"\0\0\0\0\1" * 2), stream(b"\0\0\0\1" * 2, "BINARY")):
        assert TableFile(io.BytesIO(document(body).encode())).rowcount == 2


def test_only_the_first_of_several_tables_is_read(caplog):
    other = f'<TABLE><FIELD name="y" datatype="int"/><DATA>{texts([5])}</DATA></TABLE>'
    assert read(document(texts([1]), after=other)).colnames == ["x"]
    assert "The VOTable holds 2 TABLEs; only the first was read." in caplog.text


def test_table_without_data_is_empty():
    assert len(read(document("").replace("<DATA></DATA>", ""))) == 0


def test_numbers_without_a_unit_are_no_quantities():
    assert type(read(document(texts([1])), quantities=True)["x"]) is Column


# Parts.


@pytest.fixture(scope="module")
def table():
    """A table of more rows than astropy allocates at first."""
    rows = np.arange(601)
    table = Table({"i": rows, "s": rows.astype("U"), "vector": np.arange(1803).reshape(-1, 3)})
    table["masked"] = MaskedColumn(rows / 7, mask=rows % 7 == 0)
    table["varying"] = objects(*(np.arange(row % 4, dtype="i4") for row in rows))
    return table


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_rows_are_those_of_the_slice(table, serialization):
    text = written(table, serialization)
    for rows in (slice(5), slice(3, None, 200), slice(-3, None), slice(0, -598, 2), slice(7, 3), slice(20_000)):
        assert repr(read(text, rows=rows)) == repr(table[rows])


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_columns_are_names_or_globs(table, serialization):
    text = written(table, serialization)
    for columns, names in {"s": ["s"], "[iv]*": ["i", "vector", "varying"], ("s", "i"): ["i", "s"]}.items():
        wanted = columns if isinstance(columns, str) else list(columns)
        assert repr(read(text, columns=wanted, rows=slice(9, 30))) == repr(table[names][9:30])


# What is damaged.

INT, CHAR = FIELD.format("int", 'arraysize="{}"', ""), FIELD.format("{}", 'arraysize="{}"', "")
NO_TABLE = '<VOTABLE><RESOURCE><INFO name="QUERY_STATUS" value="ERROR">Bad query</INFO></RESOURCE></VOTABLE>'
UINT16 = Table({"x": np.zeros(1, "u2")})
DAMAGED = {
    "nothing": ("", r"astropy cannot read the VOTable: .* expected a complete VOTable document"),
    "no xml": ("SIMPLE  =         T", r"astropy cannot read the VOTable: .* truncated, damaged or something"),
    "html": ("<html><body/></html>", r"E19: File does not appear to be a VOTABLE; expected a complete VOTable"),
    "no table": (NO_TABLE, r"holds no TABLE; expected one. Its INFO elements say: QUERY_STATUS='ERROR' Bad query."),
    "nothing said": ("<VOTABLE><RESOURCE/></VOTABLE>", r"holds no TABLE; .* Its INFO elements say: nothing"),
    "table out of place": (document(texts([1])).replace("RESOURCE", "RESOURCX"), r"holds no TABLE; expected one"),
    "cut header": (document(texts([1]))[:80], r"astropy cannot read the VOTable: .* expected a complete VOTable"),
    "cut data": (document(texts(*[[n] for n in range(100)]))[:-200], r"astropy cannot read the VOTable: .*no element"),
    "cut base64": (document("<BINARY><STREAM>AAA</STREAM></BINARY>"), r"data is not base64: .*padding"),
    "nrows": (document(texts([1]), table=' nrows="2"'), r"says nrows=2 but has 1 rows of data; it is damaged"),
    "fits": (document('<FITS><STREAM href="x.fits"/></FITS>'), r"astropy cannot read the VOTable"),
    "cells": (document(texts([1], [2, 3])), r"E20: Data has more columns than are defined in the header \(1\)"),
    "number": (document(texts(["1"], ["one"])), r"'one' \(in row 1, col 'x'\)"),
    "range": (document(texts([1 << 31])), r"W51: Value '2147483648' is out of range for a 32-bit integer field"),
    "array": (document(texts(["1 2 3"]), fields=INT.format(2)), r"E02: .* Expected multiple of 2, got 3"),
    "varying": (document(texts(["1 2 3"]), fields=INT.format("2x*")), r"E02: .* Expected multiple of 2, got 3"),
    "long string": (document(texts(["VLA:A"]), fields=CHAR.format("char", 3)), r"W46: char value is too long for"),
    "char": (
        document(stream(b"\0\0\0\0\1\xc5"), fields=CHAR.format("char", "*")),
        r"astropy cannot read the VOTable: 'ascii' codec can't decode byte 0xc5",
    ),
    "datatype": (document("", fields=CHAR.format("quad", 1)), r"E06: Unknown datatype 'quad' on field 'x'"),
    "arraysize": (document("", fields=INT.format("2,3")), r"E13: Invalid arraysize attribute '2,3'"),
    "huge": (document("", fields=INT.format(10**12)), r"FIELD 'x' has arraysize='1000000000000'; expected at most"),
    "record": (document("", before='<INFO name="spherex_butler" value="[1]"/>'), r"INFO 'spherex_butler' is damaged"),
    "recorded dtype": (written(UINT16).replace("uint16", "quad"), r"INFO 'spherex_butler' is damaged: TypeError.*quad"),
    "recorded values": (
        written(UINT16, "tabledata").replace("<TD>0", "<TD>-1"),
        r"Column 'x' is recorded as 'uint16', but has values of another kind",
    ),
}


@pytest.mark.parametrize(("text", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_an_error_that_says_what_was_expected(text, message):
    assert re.search(message, refusal(text), re.DOTALL)
