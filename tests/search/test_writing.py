"""The files that tables of a search are written to: nothing is lost or cut, and types do not depend on the rows."""

from __future__ import annotations

import json
from collections.abc import Iterator

import astropy.units as u
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable import parse_single_table, validate
from astropy.io.votable.ucd import parse_ucd
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils.masked import Masked
from lsst.daf.butler import Butler
from made_once import new_repo
from sky_images import make_frame, register_frames, sky_of

from spherex_butler.errors import ParameterError
from spherex_butler.repository.json_values import json_value
from spherex_butler.search import find_images, write_images
from spherex_butler.search.reading import read_table
from spherex_butler.search.writing import FORMATS

CENTER = sky_of(make_frame(detector=2), 1000.0, 1000.0)
TIME = "2025-12-18T05:10:32.123456789"


@pytest.fixture(scope="module")
def butler() -> Iterator[Butler]:
    with new_repo() as butler:
        register_frames(butler, *(make_frame(detector=d, center=CENTER) for d in (2, 5)))
        yield butler


@pytest.fixture
def found(butler) -> QTable:
    """Two images, with the time of the first to the nanosecond, and that of the second not known."""
    table = find_images(butler, Table({"name": ["Ä star"], "ra": [CENTER.ra.deg], "dec": [CENTER.dec.deg]}))
    times = Time([TIME, TIME], scale="utc")
    times[1] = np.ma.masked
    table["time"] = times
    table["wavelength"][1] = np.nan * u.um
    return table


@pytest.mark.parametrize("name", FORMATS)
def test_times_keep_their_nanoseconds_and_are_empty_where_not_known(found, tmp_path, name):
    path = tmp_path / "images"
    write_images(found, path, format=name)
    if name == "json":
        times = [row["time"] for row in json.loads(path.read_text())["images"]]
        assert times == [{"value": TIME, "scale": "utc"}, None]
        return
    first, second = read_table(path)["time"]
    if name in {"ecsv", "fits"}:
        assert abs(first - Time(TIME, scale="utc")) < 1 * u.ns
        assert second.mask
    else:
        assert first == TIME
        assert second is np.ma.masked or not second


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("kind", [Table, QTable])
def test_a_plain_read_of_fits_gives_times(found, tmp_path, kind, rows):
    write_images(found[:rows], tmp_path / "images.fits")
    table = kind.read(tmp_path / "images.fits")
    assert isinstance(table["time"], Time)
    assert [str(time) for time in table["time"][:1].isot] == [TIME][:rows]
    assert list(np.broadcast_to(table["time"].mask, rows)) == [False, True][:rows]
    assert [str(table[name].unit) for name in ("x", "wavelength")] == ["pix", "um"]
    assert fits.getdata(tmp_path / "images.fits").columns["time"].format == "29A"
    assert fits.getdata(tmp_path / "images.fits")["time"].tolist() == [TIME, ""][:rows]


def test_fits_without_a_time_is_read_back(found, tmp_path):
    write_images(found["obs_id", "x"], tmp_path / "few.fits")
    assert QTable.read(tmp_path / "few.fits")["x"].unit == u.pix


@pytest.mark.parametrize("rows", [0, 1])
def test_a_plain_read_of_votable_gives_text_that_is_a_time(found, tmp_path, rows):
    write_images(found[:rows], tmp_path / "images.vot")
    texts = Table.read(tmp_path / "images.vot")["time"]
    assert texts.dtype == "U29"
    assert Time(texts, format="isot", precision=9).isot.tolist() == [TIME][:rows]


def test_times_without_a_fraction_are_short(found, tmp_path):
    found["time"] = Time(["2025-12-18T05:10:30", "2025-12-18T00:00:00.5"], scale="utc")
    write_images(found, tmp_path / "images.csv")
    assert Table.read(tmp_path / "images.csv")["time"].tolist() == ["2025-12-18T05:10:30", "2025-12-18T00:00:00.5"]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "json"])
def test_names_beyond_ascii_are_read_back(found, tmp_path, name):
    write_images(found, tmp_path / "images", format=name)
    assert [str(source) for source in read_table(tmp_path / "images")["source"]] == ["Ä star"] * 2


def test_header_of_fits_says_that_text_is_not_ascii(found, tmp_path):
    write_images(found, tmp_path / "a.fits")
    assert "Text in the column source is UTF-8." in list(fits.getheader(tmp_path / "a.fits", 1)["COMMENT"])
    found["source"] = "a star"
    write_images(found, tmp_path / "b.fits")
    assert "UTF-8" not in repr(fits.getheader(tmp_path / "b.fits", 1))
    assert "comments" not in found.meta


def test_parquet_has_the_same_types_without_rows(butler, found, tmp_path):
    nowhere = find_images(butler, Table({"name": ["nowhere"], "ra": [100.0], "dec": [-60.0]}))
    assert len(nowhere) == 0
    for table, name in ((found, "some"), (nowhere, "none")):
        write_images(table, tmp_path / name, format="parquet")
    some, none = (pq.read_schema(tmp_path / name) for name in ("some", "none"))
    assert none.equals(some, check_metadata=True)
    assert {str(kind) for kind in none.types} == {"string", "int64", "double"}
    assert none.field("wavelength").metadata == {b"unit": b"um"}


def test_parquet_is_read_back_with_units(found, tmp_path):
    write_images(found, tmp_path / "images.parquet")
    table = read_table(tmp_path / "images.parquet")
    assert table.colnames == found.colnames
    assert table["ra"].unit == u.deg
    assert SkyCoord(table["ra"], table["dec"]).separation(SkyCoord(found["ra"], found["dec"])).max() == 0


def test_json_has_of_each_row_what_a_row_by_itself_has(found, tmp_path):
    found["bandwidth"] = Masked(found["bandwidth"], mask=[True, False])
    found["channel"] = MaskedColumn(found["channel"], mask=[False, True])
    write_images(found, tmp_path / "images.json")
    rows = json.loads((tmp_path / "images.json").read_text())["images"]
    assert rows == [json_value(dict(zip(found.colnames, row, strict=True))) for row in found.iterrows()]
    assert rows[0]["bandwidth"] == {"value": None, "unit": "um"}
    assert rows[1]["channel"] is None


def test_json_has_null_for_what_is_not_a_number(found, tmp_path):
    write_images(found, tmp_path / "images.json")
    document = json.loads((tmp_path / "images.json").read_text())
    assert list(document) == ["images"]
    first, second = (row["wavelength"] for row in document["images"])
    assert first == {"value": found["wavelength"][0].value, "unit": "um"}
    assert second == {"value": None, "unit": "um"}


@pytest.mark.parametrize("rows", [0, 2])
def test_votable_is_valid_and_says_what_columns_mean(found, tmp_path, rows):
    path = tmp_path / "images.vot"
    write_images(found[:rows], path)
    assert "found no violations" in validate(path, output=None)
    table = parse_single_table(path)
    fields = {field.name: field for field in table.fields}
    assert (fields["wavelength"].ucd, fields["time"].xtype) == ("em.wl", "timestamp")
    assert fields["obs_id"].utype == "obscore:DataID.observationID"
    sizes = {field.name: field.arraysize for field in table.fields if field.datatype == "unicodeChar"}
    assert sizes.pop("time") == "29"
    assert set(sizes.values()) == {"*"}
    for field in table.fields:
        if field.ucd is not None:
            assert parse_ucd(field.ucd, check_controlled_vocabulary=True)


def test_votable_says_which_coordinates_and_times(found, tmp_path):
    path = tmp_path / "images.vot"
    write_images(found, path)
    assert '<COOSYS ID="ICRS" system="ICRS"/>' in path.read_text()
    assert '<TIMESYS ID="UTC" refposition="TOPOCENTER" timescale="UTC"/>' in path.read_text()
    refs = {field.name: field.ref for field in parse_single_table(path).fields if field.ref}
    assert refs == {"ra": "ICRS", "dec": "ICRS", "position_angle": "ICRS", "time": "UTC"}
    write_images(found["obs_id", "x"], tmp_path / "few.vot")
    assert "SYS" not in (tmp_path / "few.vot").read_text()


def test_write_images_refuses_what_makes_no_sense(found, tmp_path):
    with pytest.raises(ParameterError, match=r"names no known format; expected \.ecsv"):
        write_images(found, tmp_path / "x.txt")
    with pytest.raises(ParameterError, match="format='xls' is not known"):
        write_images(found, tmp_path / "x", format="xls")
    write_images(found, tmp_path / "x", format="csv")
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        write_images(found, tmp_path / "x", format="csv")
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
    write_images(found[:1], tmp_path / "x", format="csv", overwrite=True)
    assert len(read_table(tmp_path / "x")) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
