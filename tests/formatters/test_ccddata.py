"""CCDData as FITS: everything comes back, cutouts agree with astropy's, and only what is asked for is read."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    Cutout2D,
    FlagCollection,
    InverseVariance,
    NDUncertainty,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS, DistortionLookupTable, Sip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from refusals import messages, refused

import spherex_butler.testing
from spherex_butler.errors import FormatError
from spherex_butler.images.ccddata import ccddata_to_hdulist
from spherex_butler.images.spectral_image import SpectralImage

DTYPES = [
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
]
FORMATTER = "spherex_butler.formatters.ccddata.CCDDataFormatter"
SHAPE = (40, 30)


def values(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Return an array with the extremes of its dtype in it."""
    rng = np.random.default_rng(3)
    if dtype == "bool":
        return rng.random(shape) > 0.5
    if dtype.startswith("float"):
        array = rng.normal(size=shape).astype(dtype)
        array.flat[:5] = np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).tiny
        return array
    limits = np.iinfo(dtype)
    array = rng.integers(limits.min, limits.max, size=shape, dtype=dtype, endpoint=True)
    array.flat[:3] = limits.min, limits.max, 0
    return array


def sip_header(shape: tuple[int, int] = SHAPE) -> fits.Header:
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = ("RA---TAN-SIP", "east"), "DEC--TAN-SIP"
    header["CRVAL1"], header["CRVAL2"] = (10.08806531943211, "of the reference pixel"), 40.898751104377
    header["CRPIX1"], header["CRPIX2"] = (shape[1] / 2 + 0.123456789012345, "x"), shape[0] / 2
    header["CD1_1"], header["CD1_2"] = -1.708333333333e-3, 1.2345678901234567e-5
    header["CD2_1"], header["CD2_2"] = 1.1345678901234567e-5, 1.708333333333e-3
    header["A_ORDER"], header["B_ORDER"], header["A_0_0"] = 2, 2, -0.358887901781
    header["A_2_0"], header["B_0_2"] = 1.2345678901234567e-5, -7.1e-6
    return header


def sip_wcs(shape: tuple[int, int] = SHAPE) -> WCS:
    return WCS(sip_header(shape))


def full_image(dtype: str = "float32", shape: tuple[int, int] = SHAPE) -> CCDData:
    """Return an image that has every part."""
    rng = np.random.default_rng(4)
    header = sip_header(shape)
    header["OBJECT"] = ("M31", "what was seen")
    return CCDData(
        values(dtype, shape),
        unit="MJy / sr",
        mask=rng.random(shape) > 0.7,
        uncertainty=VarianceUncertainty(rng.random(shape).astype("float32")),
        flags=rng.integers(0, 2**30, size=shape, dtype="int32"),
        psf=rng.random((7, 9)),
        wcs=WCS(header),
        meta=header,
    )


def assert_identical(got: Any, expected: Any) -> None:
    assert got.dtype == np.asarray(expected).dtype.newbyteorder("=")
    assert got.dtype.isnative
    assert got.shape == expected.shape
    assert np.array_equal(got, expected, equal_nan=expected.dtype.kind == "f")


def assert_same_wcs(got: WCS, expected: WCS) -> None:
    """Both give the same positions, distortions included, to a nano-arcsecond."""
    x, y = np.meshgrid(np.linspace(-5, 50, 7), np.linspace(-5, 50, 7))
    for a, b in zip(got.all_pix2world(x, y, 0), expected.all_pix2world(x, y, 0), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-13)
    assert (got.sip is None) == (expected.sip is None)
    if got.sip is not None:
        np.testing.assert_array_equal(got.sip.a, expected.sip.a)
        np.testing.assert_array_equal(got.sip.crpix, expected.sip.crpix)


def cards(header: fits.Header) -> list[tuple[str, Any, str]]:
    return [(card.keyword, _value(card), card.comment) for card in header.cards]


def _value(card: fits.Card) -> Any:
    return None if isinstance(card.value, fits.card.Undefined) else card.value


@pytest.fixture
def recipe_store(configured_store: Any) -> Any:
    """Return a function that makes a repository which writes CCDData by a recipe."""

    def make(name: str, options: dict[str, Any] | None = None) -> Any:
        configuration: dict[str, Any] = {"formatter": FORMATTER, "parameters": {"recipe": name}}
        formatters: dict[str, Any] = {"CCDData": configuration}
        if options:
            formatters["write_recipes"] = {FORMATTER: {name: options}}
        return configured_store(formatters)

    return make


# Round trips.


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_survives(store, dtype):
    ccd = CCDData(values(dtype), unit="adu")
    assert_identical(store.round_trip(ccd, "CCDData").data, ccd.data)


@pytest.mark.parametrize("dtype", [">i2", ">u4", ">f4", ">f8"])
def test_big_endian_data_come_back_native_and_equal(store, dtype):
    native = values(np.dtype(dtype).newbyteorder("=").name)
    got = store.round_trip(CCDData(native.astype(dtype), unit="adu"), "CCDData")
    assert_identical(got.data, native)


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (2, 3, 4, 5), (1, 1)])
def test_any_number_of_axes_survives(store, shape):
    ccd = CCDData(values("float32", (*shape, 5))[..., 0], unit="adu", mask=np.zeros(shape, dtype=bool))
    got = store.round_trip(ccd, "CCDData")
    assert_identical(got.data, ccd.data)
    assert_identical(got.mask, ccd.mask)


def test_every_part_survives(store):
    assert_same_image(store.round_trip(full_image(), "CCDData"), full_image())


def test_non_contiguous_data_survive(store):
    ccd = CCDData(values("int32")[::-2, 3:17:3], unit="adu")
    assert_identical(store.round_trip(ccd, "CCDData").data, ccd.data)


def test_put_leaves_the_image_as_it_was(store):
    ccd, expected = full_image(), full_image()
    store.put(ccd, "CCDData")
    assert cards(ccd.meta) == cards(expected.meta)
    assert_identical(ccd.data, expected.data)
    assert ccd.data.flags.writeable
    assert ccd.mask.flags.writeable


def test_read_only_data_can_be_put(store):
    data = values("float32")
    data.flags.writeable = False
    assert_identical(store.round_trip(CCDData(data, unit="adu"), "CCDData").data, data)


def test_arrays_are_writable_and_need_no_file(store):
    ref = store.put(full_image(), "CCDData")
    got = store.get(ref)
    store.path(ref).unlink()
    got.data += 1
    got.mask[:] = True
    got.flags[:] = 0
    assert got.wcs.pixel_to_world(0, 0).ra.deg == pytest.approx(10.1, abs=0.1)
    assert got.header["OBJECT"] == "M31"


@pytest.mark.parametrize(
    "unit",
    ["", "adu", "electron / s", "MJy / sr", "10 MJy / sr", "mag(AB)", "%", "erg / (Angstrom s cm2)", "DN", "angstrom"],
)
def test_unit_survives(store, unit):
    got = store.round_trip(CCDData(values("float32"), unit=u.Unit(unit)), "CCDData")
    assert got.unit == u.Unit(unit)


def test_unit_that_fits_cannot_express_is_refused(store):
    unit = u.def_unit("furlong_of_light", 3.7 * u.m)
    text = refused("CCDData", store, CCDData(values("float32"), unit=unit))
    assert "BUNIT of HDU 'PRIMARY' cannot be 'furlong_of_light'" in text


def test_no_mask_uncertainty_flags_psf_or_wcs_stay_none(store):
    got = store.round_trip(CCDData(values("float32"), unit="adu"), "CCDData")
    assert [got.mask, got.uncertainty, got.flags, got.psf, got.wcs] == [None] * 5
    assert len(got.meta) == 0


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        (StdDevUncertainty, None),
        (StdDevUncertainty, u.Jy),
        (StdDevUncertainty, u.mJy),
        (VarianceUncertainty, None),
        (VarianceUncertainty, u.mJy**2),
        (InverseVariance, None),
        (InverseVariance, u.Jy**-2),
        (UnknownUncertainty, None),
    ],
)
def test_uncertainty_keeps_kind_unit_and_dtype(store, kind, unit):
    array = np.random.default_rng(1).random(SHAPE).astype("float32")
    ccd = CCDData(values("float32"), unit="Jy", uncertainty=kind(array, unit=unit))
    got = store.round_trip(ccd, "CCDData").uncertainty
    assert type(got) is kind
    assert got.unit == ccd.uncertainty.unit
    assert_identical(got.array, array)


def test_scalar_uncertainty_survives(store):
    got = store.round_trip(CCDData(values("float32"), unit="Jy", uncertainty=StdDevUncertainty(0.1)), "CCDData")
    assert got.uncertainty.array.shape == ()
    assert got.uncertainty.array == 0.1


def test_uncertainty_of_another_shape_is_refused(store):
    ccd = CCDData(values("float32"), unit="Jy", uncertainty=StdDevUncertainty(np.ones((1, 30))))
    text = refused("CCDData", store, ccd)
    assert "HDU 'UNCERT' would have shape (1, 30); expected that of the data, (40, 30)" in text


def test_uncertainty_of_another_kind_is_refused(store):
    class OwnUncertainty(StdDevUncertainty):
        pass

    ccd = CCDData(values("float32"), unit="Jy", uncertainty=OwnUncertainty(np.ones(SHAPE)))
    assert "uncertainty is OwnUncertainty; expected one of ['InverseVariance'" in refused("CCDData", store, ccd)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "uint64"])
def test_flags_survive(store, dtype):
    flags = values(dtype)
    got = store.round_trip(CCDData(values("float32"), unit="adu", flags=flags), "CCDData")
    assert_identical(got.flags, flags)


def test_flag_collection_is_refused(store):
    flags = FlagCollection(shape=SHAPE)
    flags["hot"] = np.zeros(SHAPE, dtype=bool)
    assert "HDU 'FLAGS' cannot hold FlagCollection of dtype object" in refused(
        "CCDData", store, CCDData(values("float32"), unit="adu", flags=flags)
    )


def test_psf_survives_and_is_not_cut(store):
    psf = values("float64", (7, 9))
    ref = store.put(CCDData(values("float32"), unit="adu", psf=psf), "CCDData")
    assert_identical(store.get(ref).psf, psf)
    assert_identical(store.get(ref, bbox=(0, 2, 0, 2)).psf, psf)


def test_another_subclass_comes_back_as_ccddata(store):
    class OwnImage(CCDData):
        pass

    got = store.round_trip(OwnImage(values("float32"), unit="adu"), "CCDData")
    assert type(got) is CCDData


# Header and WCS.


def test_meta_comes_back_card_by_card(store):
    text = (
        "SIMPLE  =                    T / conforms\n"
        "BITPIX  =                    8\n"
        "NAXIS   =                    0\n"
        "OBJECT  = 'Pass    '           / with blanks\n"
        "COMMENT first of two\n"
        "COMMENT\n"
        "\n"
        "HIERARCH REFCAT.VERSION = 'v1' / dotted\n"
        "HIERARCH L2 N_SOURCE = 4711 / spaced\n"
        "HISTORY [CALIB] dark 5a5f\n"
        "BUNIT   = 'ELECTRONS'          / not what the image has\n"
        "BZERO   =                32768\n"
        "BLANK   =                   -1\n"
        "EXTNAME = 'MASK    '\n"
        "ZBLANK  =                    7\n"
        "MEANING =                    / undefined\n"
        "NUMBER  = -1.23456789012345678E-05 / all digits\n"
        "TWICE   =                    1\n"
        "TWICE   =                    2\n"
        "HISTORY last"
    )
    header = fits.Header.fromstring(text, sep="\n")
    header["LONG"] = ("long " * 40, "of a long string")
    header["COMPLEX"] = 1.5 - 2.25j
    header["WIDE"] = (1.2345678901234567e-5 - 9.876543210987654e-7j, "all digits too")
    header["PI_LIKE"] = -3.1415926535897932e-10
    header.append(), header.append()
    ref = store.put(CCDData(values("uint16"), unit="adu", meta=header), "CCDData")
    got = store.get(ref)
    assert cards(got.meta) == cards(header)
    assert got.unit == u.adu
    assert_identical(got.data, values("uint16"))


def test_real_header_comes_back(store):
    path = Path(spherex_butler.testing.__file__).parent / "data" / "image_header.txt"
    header = fits.Header.fromtextfile(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = WCS(header)
    got = store.round_trip(CCDData(values("float32"), unit="MJy / sr", meta=header, wcs=wcs), "CCDData")
    assert got.meta == header
    assert got.wcs.wcs.compare(wcs.wcs)
    assert_same_wcs(got.wcs, wcs)


def test_meta_of_a_dict_comes_back_as_header(store):
    meta = {"OBJECT": "M31", "exptime": 1.5, "a long key": True, "count": np.int64(3), "nothing": None}
    got = store.round_trip(CCDData(values("float32"), unit="adu", meta=meta), "CCDData")
    assert cards(got.meta) == [
        ("OBJECT", "M31", ""),
        ("EXPTIME", 1.5, ""),
        ("A LONG KEY", True, ""),
        ("COUNT", 3, ""),
        ("NOTHING", None, ""),
    ]


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ({"listed": [1, 2]}, r"meta['listed'] is [1, 2]; a header card holds one"),
        ({"nested": {"a": 1}}, r"meta['nested'] is {'a': 1}; a header card holds one"),
        ({"thing": object()}, r"meta['thing'] = <object"),
        ({"infinite": np.inf}, r"meta['infinite'] = inf cannot be a FITS header card"),
        ({"object": "Å"}, r"meta['object'] = 'Å' cannot be a FITS header card"),
        ({3: "number"}, r"meta[3] = 'number' cannot be a FITS header card"),
        ({"a": 1, "A": 2}, r"meta['A'] = 2 cannot be a FITS header card: another key is 'A' in upper case"),
    ],
)
def test_meta_that_no_card_can_hold_is_refused_by_name(store, meta, why):
    assert why in refused("CCDData", store, CCDData(values("float32"), unit="adu", meta=meta))


@pytest.mark.filterwarnings("ignore:Card is too long")
def test_header_card_that_cannot_be_written_is_refused_by_name(store):
    header = fits.Header([("HIERARCH " + "LONG " * 12 + "SIX", 12345.678)])
    text = refused("CCDData", store, CCDData(values("int16"), unit="adu", meta=header))
    assert "Header card 'LONG LONG" in text
    assert "cannot be written to FITS: 80 characters do not hold its value 12345.678" in text


def test_wcs_without_cards_in_meta_survives_with_every_digit(store):
    wcs = sip_wcs()
    got = store.round_trip(CCDData(values("float32"), unit="adu", wcs=wcs), "CCDData")
    assert len(got.meta) == 0
    np.testing.assert_array_equal(got.wcs.wcs.crval, wcs.wcs.crval)
    np.testing.assert_array_equal(got.wcs.wcs.crpix, wcs.wcs.crpix)
    np.testing.assert_array_equal(got.wcs.pixel_scale_matrix, wcs.pixel_scale_matrix)
    assert_same_wcs(got.wcs, wcs)


def test_wcs_wins_over_the_cards_of_meta(store):
    header = sip_header()
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = ["GLON-CAR", "GLAT-CAR"], [5, 0], [3, 4], [-0.1, 0.1]
    ref = store.put(CCDData(values("float32"), unit="adu", meta=header, wcs=wcs), "CCDData")
    got = store.get(ref)
    assert_same_wcs(got.wcs, wcs)
    assert cards(got.meta) == cards(header)
    assert_same_wcs(WCS(fits.getheader(store.path(ref))), wcs)


def test_cards_of_meta_make_no_wcs_of_none(store):
    ref = store.put(CCDData(values("float32"), unit="adu", meta=sip_header()), "CCDData")
    assert store.get(ref).wcs is None
    assert store.get(ref, "wcs") is None
    assert cards(store.get(ref).meta) == cards(sip_header())


def test_cards_of_meta_that_make_no_valid_wcs_come_back(store):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "RA---TAN"})
    for wcs in (None, sip_wcs()):
        got = store.round_trip(with_wcs(wcs, header), "CCDData")
        assert cards(got.meta) == cards(header)
        assert (got.wcs is None) == (wcs is None)


def test_linear_wcs_survives(store):
    wcs = WCS(naxis=2)
    wcs.wcs.crpix, wcs.wcs.cdelt, wcs.wcs.crval = [3, 4], [2, 2], [100, 200]
    got = store.round_trip(CCDData(values("float32"), unit="adu", wcs=wcs), "CCDData").wcs
    np.testing.assert_array_equal(got.wcs_pix2world(5, 6, 0), wcs.wcs_pix2world(5, 6, 0))


def test_alternate_wcs_becomes_the_primary_one(store):
    header = fits.Header()
    for keyword, value in [("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 5.0), ("CRVAL2", 6.0)]:
        header[keyword + "B"] = value
    wcs = WCS(header, key="B")
    got = store.round_trip(CCDData(values("float32"), unit="adu", wcs=wcs, meta=header), "CCDData")
    assert_same_wcs(got.wcs, wcs)
    assert cards(got.meta) == cards(header)


def test_wcs_with_lookup_tables_is_refused(store):
    wcs = sip_wcs()
    wcs.cpdis1 = DistortionLookupTable(np.zeros((4, 4), dtype="float32"), (1, 1), (1, 1), (10, 10))
    text = refused("CCDData", store, CCDData(values("float32"), unit="adu", wcs=wcs))
    assert "wcs has lookup tables (cpdis1), which header cards cannot hold" in text


def test_wcs_that_no_card_can_hold_is_refused(store):
    wcs = WCS(naxis=2)
    wcs.wcs.crpix = [np.inf, 1]
    assert "wcs (CTYPE ['', '']) cannot be written as FITS cards" in refused("CCDData", store, with_wcs(wcs))


def test_wcs_that_cards_do_not_give_back_is_refused(store):
    wcs = sip_wcs()
    wcs.sip = Sip(wcs.sip.a, wcs.sip.b, None, None, (1, 2))
    assert "wcs (CTYPE ['RA---TAN-SIP', 'DEC--TAN-SIP']) does not read back the same" in refused(
        "CCDData", store, with_wcs(wcs)
    )


def test_wcs_whose_type_does_not_say_sip_survives(store):
    header = sip_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    wcs = WCS(header)
    for meta in (header, None):
        got = store.round_trip(with_wcs(wcs, meta), "CCDData")
        assert_same_wcs(got.wcs, wcs)
        assert list(got.wcs.wcs.ctype) == ["RA---TAN", "DEC--TAN"]


def with_wcs(wcs: WCS | None, meta: fits.Header | None = None) -> CCDData:
    return CCDData(values("float32"), unit="adu", wcs=wcs, meta=meta)


def test_plain_astropy_reads_the_file(store):
    ccd = full_image()
    got = CCDData.read(store.path(store.put(ccd, "CCDData")), format="fits")
    np.testing.assert_array_equal(got.data, ccd.data)
    np.testing.assert_array_equal(got.mask, ccd.mask)
    np.testing.assert_array_equal(got.uncertainty.array, ccd.uncertainty.array)
    np.testing.assert_array_equal(got.psf, ccd.psf)
    assert isinstance(got.uncertainty, VarianceUncertainty)
    assert got.unit == ccd.unit
    assert got.header["OBJECT"] == "M31"
    assert_same_wcs(got.wcs, ccd.wcs)


def test_plain_astropy_is_not_misled_by_an_uncertainty_it_would_misread(store):
    ccd = CCDData(values("float32"), unit="Jy", uncertainty=StdDevUncertainty(np.ones(SHAPE), unit=u.mJy))
    assert CCDData.read(store.path(store.put(ccd, "CCDData")), format="fits").uncertainty is None


# Provenance.


def test_file_says_which_dataset_it_is(store):
    ref = store.put(full_image(), "CCDData")
    header = fits.getheader(store.path(ref))
    assert header["LSST BUTLER ID"] == str(ref.id)
    assert header["LSST BUTLER RUN"] == "test"


def test_provenance_does_not_pile_up(store):
    ccd = full_image()
    for _ in range(3):
        ref = store.put(ccd, "CCDData")
        ccd = store.get(ref)
    assert cards(ccd.meta) == cards(full_image().meta)
    assert list(fits.getheader(store.path(ref))).count("LSST BUTLER ID") == 1


def test_provenance_of_another_dataset_in_meta_is_dropped(store):
    first = store.put(full_image(), "CCDData")
    ref = store.put(CCDData(values("float32"), unit="adu", meta=fits.getheader(store.path(first))), "CCDData")
    assert not [keyword for keyword in store.get(ref).meta if keyword.startswith("LSST BUTLER")]
    assert fits.getheader(store.path(ref))["LSST BUTLER ID"] == str(ref.id)


# Cutouts.


CUTOUTS = [
    {"bbox": (3, 17, 5, 25)},
    {"bbox": (-5, 4, 35, 99)},
    {"center": (10.5, 20.0), "size": 7},
    {"center": (1, 38), "size": (9, 13)},
    {"center": SkyCoord(10.088, 40.899, unit="deg"), "size": 40 * u.arcsec},
]


def expected_cutout(array: np.ndarray, wcs: WCS, parameters: dict[str, Any]) -> Cutout2D:
    if "bbox" in parameters:
        x0, x1, y0, y1 = parameters["bbox"]
        return Cutout2D(array, ((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2), (y1 - y0, x1 - x0), wcs=wcs, mode="trim")
    return Cutout2D(array, parameters["center"], parameters["size"], wcs=wcs, mode="trim")


@pytest.mark.parametrize("parameters", CUTOUTS)
def test_cutout_agrees_with_cutout2d(store, parameters):
    ccd = full_image()
    assert_cutout(store.get(store.put(ccd, "CCDData"), **parameters), ccd, parameters)


def test_cutout_of_a_compressed_image_agrees_with_cutout2d(recipe_store):
    store, ccd = recipe_store("gzip_2"), full_image()
    ref = store.put(ccd, "CCDData")
    for parameters in CUTOUTS:
        assert_cutout(store.get(ref, **parameters), ccd, parameters)


def assert_cutout(got: CCDData, ccd: CCDData, parameters: dict[str, Any]) -> None:
    expected = expected_cutout(ccd.data, ccd.wcs, parameters)
    assert_identical(got.data, expected.data)
    for plane, whole in (("mask", ccd.mask), ("flags", ccd.flags)):
        assert_identical(getattr(got, plane), whole[expected.slices_original])
    assert_identical(got.uncertainty.array, ccd.uncertainty.array[expected.slices_original])
    np.testing.assert_array_equal(got.wcs.wcs.crpix, expected.wcs.wcs.crpix)
    assert_same_wcs(got.wcs, expected.wcs)
    assert got.wcs.array_shape == got.shape


def test_cutout_shifts_the_cards_of_meta_and_keeps_the_others(store):
    header = sip_header()
    header["CRPIX1A"], header["CRPIX2A"] = (-1290.0, "full frame"), -862.0
    ref = store.put(CCDData(values("float32"), unit="adu", meta=header), "CCDData")
    got = store.get(ref, bbox=(3, 17, 5, 25)).meta
    assert got["CRPIX1"] == header["CRPIX1"] - 3
    assert (got["CRPIX1A"], got["CRPIX2A"]) == (-1293.0, -867.0)
    assert got.comments["CRPIX1A"] == "full frame"
    assert list(got) == list(header)


def test_cutout_of_a_cube_keeps_its_planes(store):
    cube = values("float32", (3, 20, 10))
    ref = store.put(CCDData(cube, unit="adu"), "CCDData")
    assert_identical(store.get(ref, bbox=(2, 5, 10, 20)).data, cube[:, 10:20, 2:5])
    assert store.get(ref, "shape", bbox=(2, 5, 10, 20)) == [3, 10, 3]


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"bbox": (100, 110, 0, 5)}, "lies wholly outside"),
        ({"bbox": (0, 5, 0, 5), "size": 3}, "bbox cannot be combined"),
        ({"center": (3, 3)}, "center was given without size"),
        ({"center": SkyCoord(1, 2, unit="deg"), "size": 3}, "needs an image with a celestial WCS"),
    ],
)
def test_cutout_that_has_no_meaning_is_refused(store, parameters, why):
    ref = store.put(CCDData(values("float32"), unit="adu"), "CCDData")
    with pytest.raises(Exception) as info:  # noqa: PT011
        store.get(ref, **parameters)
    assert why in messages(info)


def test_cutout_of_a_spectrum_is_refused(store):
    ref = store.put(CCDData(np.arange(9.0), unit="adu"), "CCDData")
    with pytest.raises(Exception) as info:  # noqa: PT011
        store.get(ref, bbox=(0, 2, 0, 2))
    assert "['bbox'] need an image of two axes or more; this has shape (9,)" in messages(info)


# What is read.


def spoil_data(path: Path, *, keep: dict[str, tuple[int, int]]) -> None:
    """Overwrite every image's data, except a range of rows of the HDUs in ``keep``."""
    with fits.open(path, disable_image_compression=True) as hdus:
        spans = {hdu.name: (hdu.fileinfo()["datLoc"], hdu.fileinfo()["datSpan"], hdu.header) for hdu in hdus}
    content = bytearray(path.read_bytes())
    for name, (start, length, header) in spans.items():
        if name == "META":
            continue
        width = header.get("NAXIS1", 0) * abs(header["BITPIX"]) // 8
        first, last = (row * width for row in keep.get(name, (0, 0)))
        kept = bytes(content[start + first : start + last])
        content[start : start + length] = b"\xa5" * length
        content[start + first : start + last] = kept
    path.write_bytes(content)


@pytest.mark.parametrize("component", ["header", "shape", "unit", "wcs"])
def test_component_reads_no_pixel(store, component):
    ccd = full_image()
    ref = store.put(ccd, "CCDData")
    spoil_data(store.path(ref), keep={})
    got = store.get(ref, component)
    if component == "header":
        assert cards(got) == cards(ccd.meta)
    elif component == "wcs":
        assert_same_wcs(got, ccd.wcs)
    else:
        assert got == {"shape": [*SHAPE], "unit": ccd.unit}[component]


@pytest.mark.parametrize("component", ["image", "mask", "uncertainty", "flags"])
def test_component_reads_only_its_own_rows(store, component):
    ccd = full_image()
    ref = store.put(ccd, "CCDData")
    name = {"image": "PRIMARY", "mask": "MASK", "uncertainty": "UNCERT", "flags": "FLAGS"}[component]
    spoil_data(store.path(ref), keep={name: (10, 14)})
    got = store.get(ref, component, bbox=(2, 20, 10, 14))
    whole = {"image": ccd.data, "mask": ccd.mask, "uncertainty": ccd.uncertainty.array, "flags": ccd.flags}[component]
    if component == "uncertainty":
        assert isinstance(got, VarianceUncertainty)
        assert got.unit == ccd.unit**2
        got = got.array
    assert_identical(got, whole[10:14, 2:20])


def test_cutout_of_a_compressed_image_decompresses_only_its_tiles(recipe_store):
    store, ccd = recipe_store("gzip_2"), CCDData(values("int32"), unit="adu")
    ref = store.put(ccd, "CCDData")
    path = store.path(ref)
    with fits.open(path, disable_image_compression=True) as hdus:
        start = hdus["IMAGE"].fileinfo()["datLoc"]
    raw = np.frombuffer(path.read_bytes(), dtype=">i4", offset=start, count=2 * SHAPE[0]).reshape(-1, 2)
    heap = start + raw.nbytes
    content = bytearray(path.read_bytes())
    for row, (length, offset) in enumerate(raw):
        if not 10 <= row < 14:
            content[heap + offset : heap + offset + length] = b"\xa5" * int(length)
    path.write_bytes(content)
    assert_identical(store.get(ref, "image", bbox=(2, 20, 10, 14)), ccd.data[10:14, 2:20])
    with pytest.raises(Exception) as info:  # noqa: PT011
        store.get(ref, "image")
    assert "gzip" in messages(info).lower()


def test_components_take_cutouts(store):
    ccd = full_image()
    ref = store.put(ccd, "CCDData")
    whole = store.get(ref, bbox=(3, 17, 5, 25))
    assert store.get(ref, "shape", bbox=(3, 17, 5, 25)) == [20, 14]
    assert cards(store.get(ref, "header", bbox=(3, 17, 5, 25))) == cards(whole.meta)
    assert_same_wcs(store.get(ref, "wcs", bbox=(3, 17, 5, 25)), whole.wcs)


@pytest.mark.parametrize("component", ["mask", "uncertainty", "flags", "wcs"])
def test_absent_component_is_none(store, component):
    ref = store.put(CCDData(values("float32"), unit="adu"), "CCDData")
    assert store.get(ref, component) is None
    assert store.get(ref, component, bbox=(1, 3, 1, 3)) is None


# Compression.


@pytest.mark.parametrize("recipe", ["gzip_2", "rice_1"])
def test_compressed_round_trip_is_exact(recipe_store, recipe):
    store = recipe_store(recipe)
    for dtype in DTYPES:
        ccd = full_image(dtype)
        ref = store.put(ccd, "CCDData")
        assert_same_image(store.get(ref), ccd)
        with fits.open(store.path(ref)) as hdus:
            assert isinstance(hdus["IMAGE"], fits.CompImageHDU)
            assert hdus["IMAGE"].compression_type == ("RICE_1" if recipe == "rice_1" and _rice(dtype) else "GZIP_2")
            assert hdus["IMAGE"].header["OBJECT"] == "M31"
            assert hdus[0].header["LSST BUTLER ID"] == str(ref.id)


def assert_same_image(got: CCDData, expected: CCDData) -> None:
    for plane in ("data", "mask", "flags", "psf"):
        assert_identical(getattr(got, plane), getattr(expected, plane))
    assert_identical(got.uncertainty.array, expected.uncertainty.array)
    assert cards(got.meta) == cards(expected.meta)
    assert_same_wcs(got.wcs, expected.wcs)


def _rice(dtype: str) -> bool:
    stored = np.dtype("uint8" if dtype == "bool" else dtype)
    return stored.kind in "iu" and stored.itemsize < 8


def test_compressed_file_is_read_by_plain_astropy(recipe_store):
    store, ccd = recipe_store("rice_1"), full_image("int32")
    got = CCDData.read(store.path(store.put(ccd, "CCDData")), format="fits", hdu="IMAGE")
    np.testing.assert_array_equal(got.data, ccd.data)
    np.testing.assert_array_equal(got.mask, ccd.mask)
    assert got.unit == ccd.unit
    assert_same_wcs(got.wcs, ccd.wcs)


def test_compression_takes_any_number_of_axes(recipe_store):
    store = recipe_store("gzip_2")
    for shape in [(50,), (3, 20, 10)]:
        ccd = CCDData(values("float32", shape), unit="adu")
        assert_identical(store.round_trip(ccd, "CCDData").data, ccd.data)


def test_floats_are_quantized_only_where_a_recipe_says_so(recipe_store):
    store = recipe_store("lossy", {"compression": "RICE_1", "quantize_level": 16.0})
    data = np.random.default_rng(2).normal(size=(100, 100)).astype("float32")
    flags = values("int32", (100, 100))
    got = store.round_trip(CCDData(data, unit="adu", flags=flags), "CCDData")
    assert 0 < np.abs(got.data - data).max() < 1 / 16
    assert_identical(got.flags, flags)


def test_unknown_option_of_a_recipe_is_refused(recipe_store):
    with pytest.raises(Exception) as info:  # noqa: PT011
        recipe_store("mine", {"quality": 3}).put(CCDData(values("int16"), unit="adu"), "CCDData")
    assert "unknown options ['quality']; expected ['compression', 'quantize_level']" in messages(info)


# What is refused, and what other files give.


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (np.zeros((0, 5)), "HDU 'PRIMARY' would have shape (0, 5), which is no image"),
        (np.array(3.0), "HDU 'PRIMARY' would have shape (), which is no image"),
        (np.zeros((2, 2), dtype=complex), "HDU 'PRIMARY' cannot hold ndarray of dtype complex128; FITS images hold"),
    ],
)
def test_data_that_fits_cannot_hold_are_refused(store, data, why):
    assert why in refused("CCDData", store, CCDData(data, unit="adu"))


def test_spectral_image_is_refused(store):
    image = SpectralImage(np.zeros((4, 4), dtype="float32"), unit="MJy / sr")
    text = refused("CCDData", store, image)
    assert "would lose its flag definitions, zodi and psf; use the storage class SpectralImage" in text


@pytest.mark.parametrize("component", [None, "image", "shape", "header"])
def test_truncated_file_is_refused_by_hdu(store, component):
    ref = store.put(full_image(), "CCDData")
    path = store.path(ref)
    path.write_bytes(path.read_bytes()[: -2880 - 1000])
    refused_read(store, ref, path, component, "truncated in HDU 'PSFIMAGE'")


def refused_read(store: Any, ref: Any, path: Path, component: str | None, why: str) -> None:
    """Check why a file cannot be read, by the formatter alone: Butler would stop at the file's size."""
    formatter = store.butler._datastore._prepare_for_direct_get(ref, {})[0].formatter
    with pytest.raises(FormatError) as info:
        formatter.read_from_local_file(str(path), component)
    assert why in messages(info)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "expected the start of a FITS file"),
        (b"not FITS at all" * 500, "expected the start of a FITS file"),
        (b"SIMPLE  =                    T".ljust(1000), "has no END card"),
    ],
)
def test_file_that_is_not_fits_is_refused(store, content, why, tmp_path):
    ref = store.put(CCDData(values("float32"), unit="adu"), "CCDData")
    path = tmp_path / "other.fits"
    path.write_bytes(content)
    refused_read(store, ref, path, None, why)


def hdu_file(path: Path, *hdus: Any) -> Path:
    fits.HDUList([*hdus]).writeto(path)
    return path


@pytest.mark.parametrize(
    ("hdus", "component", "why"),
    [
        (
            [fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 2)), name="MASK")],
            None,
            "The file holds no image in 0 'PRIMARY', 1 'MASK'; expected one image, or that of HDU 0 or 'IMAGE'",
        ),
        (
            [fits.PrimaryHDU(), *(fits.ImageHDU(np.ones((2, 2)), name=name) for name in ("CWAVE", "MASK", "CBAND"))],
            "shape",
            "The file holds images in 1 'CWAVE', 3 'CBAND'; expected one image, or that of HDU 0 or 'IMAGE': a file of",
        ),
        ([fits.PrimaryHDU(np.zeros((0, 2)))], None, "HDU 'PRIMARY' has shape (0, 2); expected one pixel or more"),
        (
            [fits.PrimaryHDU(np.ones((2, 2)), fits.Header({"BUNIT": "smoots"}))],
            "unit",
            "BUNIT='smoots', which is no unit",
        ),
        (
            [fits.PrimaryHDU(np.ones((2, 2))), fits.ImageHDU(np.ones((3, 2)), name="MASK")],
            "mask",
            "HDU 'MASK' has shape (3, 2); expected that of the image, (2, 2)",
        ),
        (
            [fits.PrimaryHDU(np.ones((2, 2))), fits.ImageHDU(np.ones((2, 2)), fits.Header({"UTYPE": "X"}), "UNCERT")],
            "uncertainty",
            "HDU 'UNCERT' has UTYPE='X'; expected one of ['InverseVariance'",
        ),
        (
            [fits.PrimaryHDU(np.ones((2, 2)), fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "RA---TAN"}))],
            "wcs",
            "The header's WCS (CTYPE1='RA---TAN') cannot be read",
        ),
    ],
)
def test_other_file_is_refused_by_hdu(store, hdus, component, why, tmp_path):
    ref = store.put(CCDData(values("float32"), unit="adu"), "CCDData")
    refused_read(store, ref, hdu_file(tmp_path / "other.fits", *hdus), component, why)


def test_file_of_ccddata_write_can_be_read(store, tmp_path):
    ccd = full_image()
    path = tmp_path / "astropy.fits"
    ccd.write(path, format="fits")
    formatter = store.butler._datastore._prepare_for_direct_get(store.put(ccd, "CCDData"), {})[0].formatter
    got = formatter.read_from_local_file(str(path))
    assert_identical(got.data, ccd.data)
    assert_identical(got.mask, ccd.mask)
    assert got.mask.dtype == bool
    assert isinstance(got.uncertainty, VarianceUncertainty)
    assert got.meta["OBJECT"] == "M31"
    np.testing.assert_allclose(got.wcs.all_pix2world(3, 4, 0), ccd.wcs.all_pix2world(3, 4, 0), rtol=1e-11)


def test_image_extension_of_another_file_has_the_primary_headers_cards_too(store, tmp_path):
    image = fits.ImageHDU(values("float32"), fits.Header({"BUNIT": "adu", "OBJECT": "M31"}), name="IMAGE")
    path = hdu_file(tmp_path / "other.fits", fits.PrimaryHDU(header=fits.Header({"VERSION": "6.6"})), image)
    formatter = store.butler._datastore._prepare_for_direct_get(store.put(full_image(), "CCDData"), {})[0].formatter
    got = formatter.read_from_local_file(str(path))
    assert_identical(got.data, values("float32"))
    assert (got.meta["VERSION"], got.meta["OBJECT"]) == ("6.6", "M31")


# As HDUList.


def test_ccddata_is_read_as_hdulist(store):
    ccd = full_image()
    hdus = store.get(store.put(ccd, "CCDData"), storage_class="HDUList")
    assert [hdu.name for hdu in hdus] == ["PRIMARY", "META", "MASK", "UNCERT", "FLAGS", "PSFIMAGE"]
    np.testing.assert_array_equal(hdus[0].data, ccd.data)
    assert hdus[0].header["OBJECT"] == "M31"
    assert hdus[0].header["BUNIT"] == "MJy / sr"


def test_cutout_is_read_as_hdulist(store):
    ccd = full_image()
    hdus = store.get(store.put(ccd, "CCDData"), storage_class="HDUList", bbox=(3, 17, 5, 25))
    np.testing.assert_array_equal(hdus["FLAGS"].data, ccd.flags[5:25, 3:17])
    assert hdus[0].header["CRPIX1"] == ccd.wcs.wcs.crpix[0] - 3


def test_hdus_can_be_written_and_are_valid(tmp_path):
    ccddata_to_hdulist(full_image()).writeto(tmp_path / "hdus.fits", output_verify="exception")
    with fits.open(tmp_path / "hdus.fits") as hdus:
        assert len(hdus) == 6


# Properties.


@st.composite
def images(draw: st.DrawFn) -> CCDData:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))
    data = draw(hnp.arrays(draw(st.sampled_from(DTYPES)), shape))
    mask = draw(st.none() | hnp.arrays(bool, shape))
    kind = draw(
        st.none() | st.sampled_from([StdDevUncertainty, VarianceUncertainty, InverseVariance, UnknownUncertainty])
    )
    uncertainty: NDUncertainty | None = None
    if kind is not None:
        uncertainty = kind(draw(hnp.arrays(draw(st.sampled_from(["float32", "float64"])), shape)))
    return CCDData(data, unit="adu", mask=mask, uncertainty=uncertainty)


# The repository only grows, so examples may share it.
SHARED = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("recipe", ["none", "gzip_2", "rice_1"])
def test_any_image_survives_any_compression(recipe_store, recipe):
    store = recipe_store(recipe)

    @SHARED
    @given(images())
    def check(ccd: CCDData) -> None:
        got = store.round_trip(ccd, "CCDData")
        assert_identical(got.data, ccd.data)
        assert np.array_equal(got.mask, ccd.mask)
        assert type(got.uncertainty) is type(ccd.uncertainty)
        if ccd.uncertainty is not None:
            assert_identical(got.uncertainty.array, ccd.uncertainty.array)

    check()


@pytest.mark.parametrize("recipe", ["none", "gzip_2"])
def test_any_box_is_numpys_slice(recipe_store, recipe):
    store, ccd = recipe_store(recipe), full_image("uint16")
    ref = store.put(ccd, "CCDData")

    @SHARED
    @given(*(st.tuples(st.integers(0, n - 1), st.integers(1, 2 * n)) for n in SHAPE[::-1]))
    def check(x: tuple[int, int], y: tuple[int, int]) -> None:
        box = (x[0], x[0] + x[1], y[0], y[0] + y[1])
        got = store.get(ref, bbox=box)
        index = (slice(box[2], box[3]), slice(box[0], box[1]))
        assert_identical(got.data, ccd.data[index])
        assert_identical(got.mask, ccd.mask[index])
        assert_same_wcs(got.wcs, ccd.wcs[index])

    check()
