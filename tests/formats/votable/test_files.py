"""VOTable documents: those of archives and of astropy, damaged ones and dangerous ones."""

from __future__ import annotations

import io
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import votable
from astropy.table import Column, MaskedColumn, QTable, Table
from votable_documents import document, read, stream, texts, written

from spherex_butler.formats.votable.reading import TableFile

DATA = Path(__file__).parents[1] / "data" / "votable"


# What others write.


def test_answer_of_irsa_is_read_with_its_meta():
    table = read((DATA / "irsa_gator_tabledata.xml").read_bytes())
    assert len(table) == 18
    assert table["ra"].dtype == np.float32
    assert table["ra"].unit == u.deg
    assert table["j_h"].mask.any()
    assert table.meta["RowsRetrieved"] == "18"
    assert table.meta["DATABASE"] == "'2MASS All-Sky Point Source Catalog (PSC) (fp_psc)'"


def test_answer_of_vizier_is_read_with_its_meta():
    table = read((DATA / "vizier_binary2.xml").read_bytes())
    assert len(table) == 20
    assert table["PNG"][0].strip() == "G209.1-08.2"
    assert table["MajDiam"].unit == u.arcsec
    assert table["RAJ2000"].meta == {"ucd": "pos.eq.ra;meta.main", "ref": "J2000", "width": 10, "precision": "4"}
    assert table["RAJ2000"].description == "Right Ascension J2000"
    assert table.meta["name"] == "V/127A/mash1"
    assert table.meta["creator"] == "Parker Q.A."


def test_answer_of_gaia_keeps_which_strings_are_missing():
    table = read((DATA / "gaia_binary2.xml").read_bytes())
    assert table["epoch_photometry_url"].mask.all()
    assert table.meta["QUERY_STATUS"] == "OK"


@pytest.mark.parametrize("name", ["irsa_gator_tabledata", "vizier_binary2", "gaia_binary2"])
def test_answers_of_archives_are_put_as_they_were_read(name):
    table = read((DATA / f"{name}.xml").read_bytes())
    back = read(written(table))
    assert back.colnames == table.colnames
    assert back.meta == table.meta
    for column in table.colnames:
        assert repr(back[column]) == repr(table[column])
        assert back[column].meta == table[column].meta


@pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.VOWarning")
@pytest.mark.parametrize("name", ["irsa_gator_tabledata", "vizier_binary2", "gaia_binary2"])
def test_values_are_those_that_astropy_reads(name):
    path = DATA / f"{name}.xml"
    table, expected = read(path.read_bytes()), Table.read(path, format="votable")
    assert len(table) == len(expected)
    for ours, theirs in zip(table.itercols(), expected.itercols(), strict=True):
        if ours.dtype.kind != "U":  # of strings astropy does not read the mask
            assert np.array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(theirs))
        assert np.ma.allequal(ours, theirs)


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


@pytest.mark.parametrize("serialization", ["tabledata", "binary", "binary2"])
def test_what_is_written_astropy_reads_and_finds_valid(serialization, tmp_path):
    table = QTable({"u1": np.arange(3, dtype="u1"), "i8": [1, 2, 1 << 60], "f": [1.5, 2.5, 3.5] * u.MJy / u.sr})
    table["cube"] = np.arange(18, dtype="f4").reshape(3, 2, 3)
    table["s"], table["t"] = ["a", "bc", ""], ["é", "b", "中文"]
    table["c"], table["b"] = [1j, 2, 3 + 4j], [True, False, True]
    table["m"] = MaskedColumn([1, 2, 3], mask=[0, 1, 0])
    table["i8"].info.meta = {"ucd": "meta.id"}
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
    assert expected["f"].unit == u.MJy / u.sr


# What others write oddly.


def test_null_value_of_a_field_is_a_missing_one():
    field = '<FIELD name="x" datatype="int"><VALUES null="-99"/></FIELD>'
    table = read(document(texts(["-99"], ["1"]), fields=field))
    assert table["x"].mask.tolist() == [True, False]


@pytest.mark.parametrize("null", ["", "none", "1e99"])
def test_null_value_that_is_no_value_is_none(null):
    field = f'<FIELD name="x" datatype="int"><VALUES null="{null}"/></FIELD>'
    assert read(document(texts(["1"]), fields=field))["x"].tolist() == [1]


def test_invented_datatypes_are_understood():
    fields = '<FIELD name="s" datatype="string" arraysize="*"/><FIELD name="i" datatype="unsignedInt"/>'
    table = read(document(texts(["long text", "4294967295"]), fields=fields))
    assert (table["s"][0], table["i"][0]) == ("long text", 4294967295)


def test_names_that_come_again_are_numbered():
    fields = '<FIELD name="x" datatype="int"/><FIELD name="x" datatype="int"/><FIELD ID="y" datatype="int"/>'
    assert read(document(texts([1, 2, 3]), fields=fields)).colnames == ["x", "x2", "y"]


def test_infos_after_the_data_are_meta():
    text = document(texts([1]), before='<INFO name="QUERY_STATUS" value="OK"/>', after='<INFO name="more" value="1"/>')
    assert read(text).meta == {"QUERY_STATUS": "OK", "more": "1"}
    overflow = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>'
    meta = read(document(texts([1]), before='<INFO name="QUERY_STATUS" value="OK"/>', after=overflow)).meta
    assert meta == {"QUERY_STATUS": "OVERFLOW"}


def test_params_are_meta():
    before = (
        '<PARAM name="width" datatype="double" unit="um" value="1.5"/><PARAM name="n" datatype="int" value="3"/>'
        '<PARAM name="pair" datatype="short" arraysize="2" value="1 2"/><PARAM name="s" datatype="char" value="long"/>'
        '<RESOURCE type="meta"><PARAM name="n" datatype="int" value="4"/></RESOURCE>'
    )
    meta = read(document(texts([1]), before=before)).meta
    assert meta["width"] == 1.5 * u.um
    assert (meta["n"], meta["s"]) == (3, "long")
    assert meta["pair"].tolist() == [1, 2]
    assert meta["pair"].dtype == np.int16


def test_units_of_old_versions_are_those_of_the_cds():
    field = '<FIELD name="x" datatype="double" unit="10-16mW/m2/nm"/>'
    assert read(document(texts([1]), fields=field, version="1.1"))["x"].unit == u.Unit("1e-16 mW m-2 nm-1")


def test_namespace_prefixes_do_not_matter():
    text = document(texts([1])).replace("<", "<v:").replace("<v:/", "</v:").replace("<v:?", "<?")
    text = text.replace("<v:VOTABLE", '<v:VOTABLE xmlns:v="http://www.ivoa.net/xml/VOTable/v1.3"')
    assert read(text)["x"].tolist() == [1]


def test_rows_are_counted_where_the_header_does_not_tell():
    for body in (texts([1], [2]), stream(b"\0\0\0\0\1" * 2), stream(b"\0\0\0\1" * 2, "BINARY")):
        assert TableFile(io.BytesIO(document(body).encode())).rowcount == 2
        assert read(document(body), rows=slice(-1, None))["x"].tolist() == read(document(body))["x"].tolist()[1:]


def test_only_the_first_of_several_tables_is_read(caplog):
    other = f'<TABLE><FIELD name="y" datatype="int"/><DATA>{texts([5])}</DATA></TABLE>'
    assert read(document(texts([1]), after=other)).colnames == ["x"]
    assert "The VOTable holds 2 TABLEs; only the first was read." in caplog.text


def test_table_without_data_is_empty():
    text = document("").replace("<DATA></DATA>", "")
    assert len(read(text)) == len(read(document(""))) == 0


def test_damaged_units_are_kept_by_name():
    table = read(document(texts([1]), fields='<FIELD name="x" datatype="int" unit="mag?/bogus"/>'))
    assert table["x"].unit.to_string() == "mag?/bogus"
    assert type(read(document(texts([1])), quantities=True)["x"]) is Column
