from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import DETECTORS

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.formats.fits.boxes import Box
from spherex_butler.formats.fits.lazy_header import LazyHeader
from spherex_butler.images.spectral_image import SpectralImage
from spherex_butler.images.wavelengths import WavelengthTable
from spherex_butler.testing import level2_hdulist, make_spectral_image

X, Y = [1, 1020, 2040], [1, 2040]
VALUES = np.arange(12.0).reshape(2, 3, 2)


def astropy_wcs(hdus):
    """Return the alternate WCS as users of astropy have to make it."""
    wcs = WCS(hdus["IMAGE"].header, fobj=hdus, key="W")
    wcs.sip = None
    return wcs


def table_hdu(x=X, y=Y, values=VALUES, **columns):
    values = np.asarray(values, "f4")
    known = {
        "X": fits.Column("X", f"{len(x)}J", array=[x]),
        "Y": fits.Column("Y", f"{len(y)}J", array=[y]),
        "VALUES": fits.Column("VALUES", f"{values.size}E", dim=str(values.shape[::-1]), array=values[np.newaxis]),
    }
    return fits.BinTableHDU.from_columns([column for column in (known | columns).values() if column is not None])


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("release", ["qr2", "qr3"])
@pytest.mark.parametrize(("size", "origin"), [(40, (0, 0)), (33, (2007, 0)), (20, (1010, 1011))])
def test_wavelengths_are_those_of_astropys_lookup(release, detector, size, origin):
    hdus = level2_hdulist(release=release, detector=detector, size=size, origin=origin)
    image = SpectralImage.from_hdulist(hdus)
    expected = astropy_wcs(hdus)
    y, x = np.mgrid[:size, :size]
    wavelength, bandwidth = expected.pixel_to_world_values(x, y)
    unit = {"m": 1e6, "um": 1}[str(expected.wcs.cunit[0])]
    assert np.abs(image.wavelength.to_value("um") - wavelength * unit).max() < 1e-6
    assert np.abs(image.bandwidth.to_value("um") - bandwidth * unit).max() < 1e-6
    assert np.allclose(image.wavelength_at(x, y).value, image.wavelength.value, rtol=0, atol=1e-12)
    ours = image.spectral_wcs.pixel_to_world_values(x, y)
    assert np.array_equal(ours, (wavelength, bandwidth))
    assert image.spectral_wcs.sip is None


def test_whole_frame_agrees_to_the_edge():
    hdus = level2_hdulist(detector=3, size=8)
    hdus["IMAGE"].header.update({f"CRPIX{axis}{alt}": 1.0 for axis in (1, 2) for alt in "AW"})
    table = SpectralImage.from_hdulist(hdus).wavelength_table
    x, y = np.meshgrid(np.linspace(0, 2039, 57), np.linspace(0, 2039, 61))
    wavelength, _ = astropy_wcs(hdus).pixel_to_world_values(x, y)
    unit = {"m": 1e6, "um": 1}[str(astropy_wcs(hdus).wcs.cunit[0])]
    assert np.abs(table.at(x, y)[0] - wavelength * unit).max() < 1e-6


@given(st.integers(0, 2030), st.integers(0, 2030), st.integers(1, 9), st.integers(1, 9))
@settings(deadline=None)
def test_grid_is_the_points_at_any_box(x, y, width, height):
    table = WavelengthTable(X, Y, VALUES)
    box = Box(x, x + width, y, y + height)
    rows, columns = np.mgrid[box.slices]
    for which, values in enumerate(table.at(columns, rows)):
        assert np.allclose(table.grid(box, which), values, rtol=0, atol=1e-12)


def test_control_points_have_their_values_and_their_edges_extend_by_half_an_interval():
    table = WavelengthTable(X, Y, VALUES)
    assert [v.tolist() for v in table.at([0, 1019, 2039], 2039)] == [[6, 8, 10], [7, 9, 11]]
    wavelength, bandwidth = table.at(2039 + 510, 0)
    assert (float(wavelength), float(bandwidth)) == (5.0, 6.0)
    with pytest.raises(ParameterError, match=r"Pixel \(2550, 0\) is outside what the wavelength control points span"):
        table.at(2550, 0)
    assert np.isnan(table.at([2550, 2549, np.nan], 0, outside="nan")).tolist() == [[True, False, True]] * 2
    with pytest.raises(ParameterError, match=r"Control points are in pixels; SpectralImage.wavelength_at takes a Sky"):
        table.at(SkyCoord(10, 41, unit="deg"), None)


@pytest.mark.parametrize("table", [WavelengthTable.from_table(table_hdu().data), WavelengthTable(X, Y, VALUES)])
def test_table_comes_back_from_its_hdu(table):
    again = WavelengthTable.from_table(table.to_hdu().data)
    for name in ("x", "y", "values"):
        assert np.array_equal(getattr(table, name), getattr(again, name))
        assert getattr(again, name).dtype.isnative


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda table: pickle.loads(pickle.dumps(table))])
def test_copies_are_equal_and_keep_the_header(duplicate):
    table = make_spectral_image(size=8).wavelength_table
    twin = duplicate(table)
    assert np.array_equal(twin.values, table.values)
    assert twin.header.header.tostring() == table.header.header.tostring()


@pytest.mark.parametrize(
    ("hdu", "message"),
    [
        (table_hdu(Y=None), r"WCS-WAVE has 1 rows and columns \['X', 'VALUES'\]; expected one row of X, Y, VALUES"),
        (fits.BinTableHDU(table_hdu().data[:0]), "WCS-WAVE has 0 rows"),
        (table_hdu(values=VALUES.reshape(3, 2, 2)), r"VALUES has shape \(3, 2, 2\); expected \(2, 3, 2\) for its X"),
        (table_hdu(x=[1, 2040, 1020]), r"WCS-WAVE X is \[1, 2040, 1020\]; expected at least two ascending points"),
        (table_hdu(y=[7, 7]), r"WCS-WAVE Y is \[7, 7\]; expected at least two ascending points"),
        (table_hdu(x=[1], values=VALUES[:, :1]), "expected"),
    ],
)
def test_malformed_table_is_refused(hdu, message):
    with pytest.raises(FormatError, match=message):
        WavelengthTable.from_table(hdu.data)


@pytest.mark.parametrize(
    ("detector", "points"), [(1, (9, 9)), (2, (11, 11)), (3, (9, 14)), (4, (13, 20)), (5, (11, 11)), (6, (9, 9))]
)
def test_control_points_of_a_detector_are_known(detector, points):
    qr2, qr3 = (WavelengthTable.of_detector(detector, release) for release in ("qr2", "qr3"))
    for table in (qr2, qr3):
        assert (table.x.size, table.y.size) == points
        assert table.x[[0, -1]].tolist() == table.y[[0, -1]].tolist() == [1, 2040]
        assert np.all(np.diff(table.values[..., 0], axis=0) < 0)
    longer = qr3.values[..., 0].astype(float) - qr2.values[..., 0]
    assert np.allclose(longer, 0.0064 if detector > 4 else 0, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("detector", "release"), [(0, "qr2"), (7, "qr3"), (3, "qr1"), (3, "dr1")])
def test_control_points_of_others_are_not(detector, release):
    with pytest.raises(ParameterError, match=rf"detector {detector} in release '{release}'; expected a detector of"):
        WavelengthTable.of_detector(detector, release)


def test_header_without_spectral_wcs_is_refused():
    with pytest.raises(FormatError, match="IMAGE header has no CTYPE1W; expected the alternate WCS 'W'"):
        WavelengthTable(X, Y, VALUES).wcs(LazyHeader(fits.Header()))
