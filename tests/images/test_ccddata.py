"""CCDData as HDUs and back: everything returns, cutouts agree with astropy's, and only what is asked for is read."""

from __future__ import annotations

import io
import re
import warnings
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
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS
from fits_samples import (
    DTYPES,
    SHAPE,
    assert_identical,
    assert_same_image,
    assert_same_wcs,
    awkward_header,
    cards,
    data_spans,
    full_image,
    opened,
    sip_header,
    spoilt,
    values,
    written,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.formats.fits.tile_compression import RECIPES
from spherex_butler.images.ccddata import ccddata_to_hdulist, stored_hdus
from spherex_butler.images.ccddata_reading import StoredCCDData, check_image
from spherex_butler.images.spectral_image import SpectralImage
from spherex_butler.testing import make_spectral_image
from spherex_butler.testing.templates import image_template


def image(data: Any = None, *, unit: Any = "adu", **parts: Any) -> CCDData:
    return CCDData(values("float32") if data is None else data, unit=unit, **parts)


def stored(ccd: CCDData, recipe: str = "none") -> bytes:
    return written(stored_hdus(ccd, RECIPES[recipe]))


def part(raw: bytes, name: str = "ccddata", **parameters: Any) -> Any:
    return getattr(StoredCCDData(opened(raw), parameters), name)


def round_trip(ccd: CCDData, recipe: str = "none", **parameters: Any) -> CCDData:
    return part(stored(ccd, recipe), **parameters)


def assert_refused(why: str, ccd: CCDData) -> None:
    with pytest.raises(FormatError, match=re.escape(why)):
        stored_hdus(ccd, RECIPES["none"])


# Round trips.


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_part_survives_and_the_image_stays_as_it_was(recipe, dtype):
    ccd = full_image(dtype)
    raw = stored(ccd, recipe)
    assert_same_image(part(raw), ccd)
    assert_same_image(ccd, full_image(dtype))
    assert ccd.data.flags.writeable
    with fits.open(io.BytesIO(raw)) as hdus:
        assert hdus[0 if recipe == "none" else "IMAGE"].header["OBJECT"] == "M31"
        found = {hdu.compression_type for hdu in hdus if isinstance(hdu, fits.CompImageHDU) and hdu.name == "IMAGE"}
    rice = recipe == "rice_1" and dtype not in {"int64", "uint64", "float16", "float32", "float64"}
    assert found == (set() if recipe == "none" else {"RICE_1" if rice else "GZIP_2"})


@pytest.mark.parametrize("recipe", ["none", "gzip_2"])
@pytest.mark.parametrize("shape", [(50,), (3, 20, 10), (2, 3, 4, 5), (1, 1)])
def test_any_number_of_axes_survives(recipe, shape):
    data = values("float32", (*shape, 5))[..., 0]
    got = round_trip(image(data, mask=np.zeros(shape, dtype=bool), uncertainty=StdDevUncertainty(0.1)), recipe)
    assert_identical(got.data, data)
    assert_identical(got.mask, np.zeros(shape, dtype=bool))
    assert (got.uncertainty.array.shape, got.uncertainty.array) == ((), 0.1)


@pytest.mark.parametrize("dtype", [">i2", ">u4", ">f4", ">f8", "int32"])
def test_data_of_any_memory_survive(dtype):
    data = values(np.dtype(dtype).newbyteorder("=").name).astype(dtype)[::-2, 3:17:3]
    data.flags.writeable = False
    assert_identical(round_trip(image(data)).data, data)


def test_arrays_are_writable():
    got = round_trip(full_image())
    got.data += 1
    got.mask[:] = True
    got.flags[:] = 0
    got.uncertainty.array[:] = 0


@pytest.mark.parametrize(
    "unit",
    ["", "adu", "electron / s", "MJy / sr", "10 MJy / sr", "mag(AB)", "%", "erg / (Angstrom s cm2)", "DN", "angstrom"],
)
def test_unit_survives(unit):
    assert round_trip(image(unit=u.Unit(unit))).unit == u.Unit(unit)


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        *((StdDevUncertainty, unit) for unit in (None, u.Jy, u.mJy)),
        *((VarianceUncertainty, unit) for unit in (None, u.mJy**2)),
        *((InverseVariance, unit) for unit in (None, u.Jy**-2)),
        (UnknownUncertainty, None),
    ],
)
def test_uncertainty_keeps_kind_unit_and_dtype(kind, unit):
    array = np.random.default_rng(1).random(SHAPE).astype("float32")
    ccd = image(unit="Jy", uncertainty=kind(array, unit=unit))
    got = round_trip(ccd).uncertainty
    assert (type(got), got.unit) == (kind, ccd.uncertainty.unit)
    assert_identical(got.array, array)


def test_psf_survives_and_is_not_cut():
    psf = values("float64", (7, 9))
    assert_identical(round_trip(image(psf=psf), bbox=(0, 2, 0, 2)).psf, psf)


class OwnImage(CCDData):
    pass


class OwnUncertainty(StdDevUncertainty):
    pass


def test_another_subclass_comes_back_as_ccddata():
    assert type(round_trip(OwnImage(values("float32"), unit="adu"))) is CCDData


def flag_collection() -> FlagCollection:
    flags = FlagCollection(shape=SHAPE)
    flags["hot"] = np.zeros(SHAPE, dtype=bool)
    return flags


@pytest.mark.parametrize(
    ("ccd", "why"),
    [
        (image(np.zeros((0, 5))), "HDU 'PRIMARY' would have shape (0, 5), which holds no pixel"),
        (image(np.array(3.0)), "HDU 'PRIMARY' would have shape (), which holds no pixel"),
        (
            image(np.zeros((2, 2), dtype=complex)),
            "HDU 'PRIMARY' cannot hold ndarray of dtype complex128; FITS images hold",
        ),
        (
            image(unit=u.def_unit("furlong_of_light", 3.7 * u.m)),
            "BUNIT of HDU 'PRIMARY' cannot be 'furlong_of_light'",
        ),
        (
            image(uncertainty=StdDevUncertainty(np.ones((1, 30)))),
            "HDU 'UNCERT' would have shape (1, 30); expected (40, 30), the shape of the data",
        ),
        (
            image(uncertainty=OwnUncertainty(np.ones(SHAPE))),
            "uncertainty is OwnUncertainty; expected one of ['InverseVariance'",
        ),
        (image(flags=flag_collection()), "HDU 'FLAGS' cannot hold FlagCollection of dtype object"),
        (
            SpectralImage(np.zeros((4, 4), dtype="float32"), unit="MJy / sr"),
            "would lose its flag definitions, zodi and psf; use the storage class SpectralImage",
        ),
    ],
)
def test_what_hdus_cannot_hold_is_refused(ccd, why):
    assert_refused(why, ccd)


# Header and WCS.


def test_meta_comes_back_card_by_card():
    header = awkward_header()
    header.update({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "BZERO": 32768, "BLANK": -1, "ZBLANK": 7})
    header["BUNIT"] = ("ELECTRONS", "not what the image has")
    header["COMPLEX"] = 1.5 - 2.25j
    header["WIDE"] = (1.2345678901234567e-5 - 9.876543210987654e-7j, "all digits too")
    header["PI_LIKE"] = -3.1415926535897932e-10
    header.append(), header.append()
    got = round_trip(image(values("uint16"), meta=header))
    assert cards(got.meta) == cards(header)
    assert got.unit == u.adu
    assert_identical(got.data, values("uint16"))


def test_real_header_comes_back():
    header = image_template()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = WCS(header)
    got = round_trip(image(meta=header, wcs=wcs))
    assert got.meta == header
    assert got.wcs.wcs.compare(wcs.wcs)
    assert_same_wcs(got.wcs, wcs)


def test_meta_of_a_dict_comes_back_as_header():
    meta = {"OBJECT": " M 31", "exptime": 1.5, "a long key": True, "count": np.int64(3), "nothing": None}
    assert cards(round_trip(image(meta=meta)).meta) == [
        ("OBJECT", " M 31", ""),
        ("EXPTIME", 1.5, ""),
        ("A LONG KEY", True, ""),
        ("COUNT", 3, ""),
        ("NOTHING", None, ""),
    ]


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ({"listed": [1, 2]}, "meta['listed'] is [1, 2]; a header card holds one"),
        ({"nested": {"a": 1}}, "meta['nested'] is {'a': 1}; a header card holds one"),
        ({"thing": object()}, "meta['thing'] = <object"),
        ({"infinite": np.inf}, "meta['infinite'] = inf cannot be a FITS header card"),
        ({"object": "Å"}, "meta['object'] = 'Å' cannot be a FITS header card"),
        ({"name": "M31 "}, "meta['name'] = 'M31 ' cannot be a FITS header card: FITS drops blanks at the end of a str"),
        ({"blank": " "}, "meta['blank'] = ' ' cannot be a FITS header card: FITS drops blanks at the end of a string"),
        ({3: "number"}, "meta[3] = 'number' cannot be a FITS header card"),
        ({"a": 1, "A": 2}, "meta['A'] = 2 cannot be a FITS header card: another key is 'A' in upper case"),
    ],
)
def test_meta_that_no_card_can_hold_is_refused_by_name(meta, why):
    assert_refused(why, image(meta=meta))


@pytest.mark.filterwarnings("ignore:Card is too long")
def test_header_card_that_cannot_be_written_is_refused_by_name():
    header = fits.Header([("HIERARCH " + "LONG " * 12 + "SIX", 12345.678)])
    with pytest.raises(
        FormatError, match=r"Header card 'LONG LONG.* FITS: 80 characters do not hold its value 12345\.678"
    ):
        ccddata_to_hdulist(image(meta=header))


OTHER_WCS = WCS(fits.Header({"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CRPIX1": 3.0, "CDELT1": -0.1}))


@pytest.mark.parametrize("meta", [sip_header(), fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "RA---TAN"})])
def test_wcs_wins_over_the_cards_of_meta_and_leaves_them(meta):
    raw, without = stored(image(meta=meta, wcs=OTHER_WCS)), round_trip(image(meta=meta))
    assert_same_wcs(part(raw).wcs, OTHER_WCS)
    assert_same_wcs(WCS(fits.getheader(io.BytesIO(raw))), OTHER_WCS)
    assert without.wcs is None
    assert cards(part(raw).meta) == cards(without.meta) == cards(meta)


@pytest.mark.parametrize(("recipe", "hdu"), [("none", 0), ("rice_1", "IMAGE")])
def test_plain_astropy_reads_the_file(recipe, hdu):
    ccd = full_image("int32")
    got = CCDData.read(io.BytesIO(stored(ccd, recipe)), format="fits", hdu=hdu)
    for name in ("data", "mask", "psf"):
        np.testing.assert_array_equal(getattr(got, name), getattr(ccd, name))
    np.testing.assert_array_equal(got.uncertainty.array, ccd.uncertainty.array)
    assert (type(got.uncertainty), got.unit, got.header["OBJECT"]) == (VarianceUncertainty, ccd.unit, "M31")
    assert_same_wcs(got.wcs, ccd.wcs)


def test_plain_astropy_is_not_misled_by_an_uncertainty_it_would_misread():
    raw = stored(image(unit="Jy", uncertainty=StdDevUncertainty(np.ones(SHAPE), unit=u.mJy)))
    assert CCDData.read(io.BytesIO(raw), format="fits").uncertainty is None


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


@pytest.mark.parametrize("recipe", ["none", "gzip_2"])
@pytest.mark.parametrize("parameters", CUTOUTS)
def test_cutout_agrees_with_cutout2d(recipe, parameters):
    ccd = full_image()
    got, expected = round_trip(ccd, recipe, **parameters), expected_cutout(ccd.data, ccd.wcs, parameters)
    assert_identical(got.data, expected.data)
    for plane, whole in (("mask", ccd.mask), ("flags", ccd.flags)):
        assert_identical(getattr(got, plane), whole[expected.slices_original])
    assert_identical(got.uncertainty.array, ccd.uncertainty.array[expected.slices_original])
    np.testing.assert_array_equal(got.wcs.wcs.crpix, expected.wcs.wcs.crpix)
    assert_same_wcs(got.wcs, expected.wcs)
    assert got.wcs.array_shape == got.shape


def test_cutout_shifts_the_cards_of_meta_and_keeps_the_others():
    header = sip_header()
    header["CRPIX1A"], header["CRPIX2A"] = (-1290.0, "full frame"), -862.0
    got = round_trip(image(meta=header), bbox=(3, 17, 5, 25)).meta
    assert got["CRPIX1"] == header["CRPIX1"] - 3
    assert (got["CRPIX1A"], got["CRPIX2A"]) == (-1293.0, -867.0)
    assert got.comments["CRPIX1A"] == "full frame"
    assert list(got) == list(header)


def test_cutout_of_a_cube_keeps_its_planes():
    cube = values("float32", (3, 20, 10))
    raw = stored(image(cube))
    assert_identical(part(raw, bbox=(2, 5, 10, 20)).data, cube[:, 10:20, 2:5])
    assert part(raw, "shape", bbox=(2, 5, 10, 20)) == [3, 10, 3]


@pytest.mark.parametrize(
    ("data", "parameters", "why"),
    [
        (None, {"bbox": (100, 110, 0, 5)}, "lies wholly outside"),
        (None, {"center": SkyCoord(1, 2, unit="deg"), "size": 3}, "needs an image with a celestial WCS"),
        (np.arange(9.0), {"bbox": (0, 2, 0, 2)}, "['bbox'] need an image of two axes or more; this has shape (9,)"),
    ],
)
def test_cutout_that_has_no_meaning_is_refused(data, parameters, why):
    with pytest.raises(ParameterError, match=re.escape(why)):
        round_trip(image(data), **parameters)


# What is read.


OWN_HDU = {**dict.fromkeys(("header", "shape", "unit", "wcs")), "image": 0, "mask": 2, "uncertainty": 3, "flags": 4}


@pytest.mark.parametrize("component", OWN_HDU)
def test_component_reads_the_pixels_of_its_own_hdu_alone(component):
    raw = stored(full_image())
    others = [span for number, span in data_spans(raw).items() if number not in {1, OWN_HDU[component]}]
    got, expected = part(spoilt(raw, others), component), part(raw, component)
    if component == "wcs":
        assert_same_wcs(got, expected)
    elif component == "uncertainty":
        assert (type(got), got.unit) == (VarianceUncertainty, expected.unit)
        assert_identical(got.array, expected.array)
    elif OWN_HDU[component] is not None:
        assert_identical(got, expected)
    else:
        assert got == expected


"""The HDUs that components are in."""


@pytest.mark.parametrize("component", ["mask", "uncertainty", "flags", "wcs"])
def test_absent_component_is_none(component):
    raw = stored(image())
    assert part(raw, component) is None
    assert part(raw, component, bbox=(1, 3, 1, 3)) is None
    assert getattr(part(raw), component) is None


def test_hdus_can_be_changed_and_those_of_a_spectral_image_are_its_own():
    hdus = ccddata_to_hdulist(full_image())
    hdus[0].data += 1
    assert [hdu.name for hdu in hdus] == ["PRIMARY", "META", "MASK", "UNCERT", "FLAGS", "PSFIMAGE"]
    spectral = make_spectral_image(size=8)
    assert [hdu.name for hdu in ccddata_to_hdulist(spectral)] == [hdu.name for hdu in spectral.to_hdulist()]


# Other files.


def pixels(shape: tuple[int, ...] = (2, 2), name: str = "", **header: Any) -> Any:
    return fits.ImageHDU(np.ones(shape), fits.Header(header), name=name)


def primary(**header: Any) -> fits.PrimaryHDU:
    return fits.PrimaryHDU(np.ones((2, 2)), fits.Header(header))


@pytest.mark.parametrize(
    ("hdus", "component", "why"),
    [
        (
            [fits.PrimaryHDU(), pixels(name="MASK")],
            "ccddata",
            "The file holds no image in 0 'PRIMARY', 1 'MASK'; expected one image, or an image in HDU 0 or 'IMAGE'",
        ),
        (
            [fits.PrimaryHDU(), pixels(name="CWAVE"), pixels(name="MASK"), pixels(name="CBAND")],
            "shape",
            "The file holds images in 1 'CWAVE', 3 'CBAND'; expected one image, or an image in HDU 0 or 'IMAGE'; read",
        ),
        (
            [fits.PrimaryHDU(np.zeros((0, 2)))],
            "ccddata",
            "HDU 'PRIMARY' has shape (0, 2); expected one pixel or more",
        ),
        (
            [primary(), pixels((3, 2), "MASK")],
            "mask",
            "HDU 'MASK' has shape (3, 2); expected (2, 2), the shape of the image",
        ),
        (
            [primary(), pixels(name="UNCERT", UTYPE="X")],
            "uncertainty",
            "HDU 'UNCERT' has UTYPE='X'; expected one of ['InverseVariance'",
        ),
    ],
)
def test_other_file_is_refused_by_hdu(hdus, component, why):
    with pytest.raises(FormatError, match=re.escape(why)):
        part(written(hdus), component)


def test_file_of_ccddata_write_can_be_read(tmp_path):
    ccd = full_image()
    ccd.write(tmp_path / "astropy.fits", format="fits")
    got = part((tmp_path / "astropy.fits").read_bytes())
    assert_identical(got.data, ccd.data)
    assert_identical(got.mask, ccd.mask)
    assert isinstance(got.uncertainty, VarianceUncertainty)
    assert got.meta["OBJECT"] == "M31"
    np.testing.assert_allclose(got.wcs.all_pix2world(3, 4, 0), ccd.wcs.all_pix2world(3, 4, 0), rtol=1e-11)


def test_parts_of_such_a_file_are_what_they_are_called():
    data, mask = np.arange(12.0).reshape(3, 4), np.eye(3, 4, dtype="uint8")
    hdus = [fits.ImageHDU(data, fits.Header({"OBJECT": "M31"}), name="DARK"), fits.ImageHDU(mask, name="MASK")]
    hdus.append(fits.ImageHDU(data / 10, name="UNCERT"))
    got = part(written([fits.PrimaryHDU(header=fits.Header({"VERSION": "6.6"})), *hdus]))
    assert (got.meta["VERSION"], got.meta["OBJECT"]) == ("6.6", "M31")
    np.testing.assert_array_equal(got.data, data)
    np.testing.assert_array_equal(got.mask, mask.astype(bool))
    assert isinstance(got.uncertainty, StdDevUncertainty)
    np.testing.assert_array_equal(got.uncertainty.array, data / 10)


@pytest.mark.parametrize("value", ["", "   ", None])
def test_blank_unit_is_dimensionless(value):
    assert part(written([primary(BUNIT=value)])).unit == u.dimensionless_unscaled


def test_unknown_unit_is_odd():
    assert check_image(opened(written([primary(BUNIT="adu")]))) == []
    (warning,) = check_image(opened(written([primary(BUNIT="smoots")])))
    assert warning.startswith("HDU 'PRIMARY' has BUNIT='smoots', which astropy does not know as a unit")
    assert warning.endswith("only its components other than unit can be read.")


# Properties.


# Properties.


KINDS = [StdDevUncertainty, VarianceUncertainty, InverseVariance, UnknownUncertainty]


@st.composite
def images(draw: st.DrawFn) -> CCDData:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))
    data = draw(hnp.arrays(draw(st.sampled_from(DTYPES)), shape))
    mask = draw(st.none() | hnp.arrays(bool, shape))
    kind = draw(st.none() | st.sampled_from(KINDS))
    array = draw(hnp.arrays(draw(st.sampled_from(["float32", "float64"])), shape))
    return image(data, mask=mask, uncertainty=None if kind is None else kind(array))


SOME = settings(max_examples=25, derandomize=True, deadline=None, database=None)


@pytest.mark.parametrize("recipe", RECIPES)
@SOME
@given(ccd=images())
def test_any_image_survives_any_compression(recipe, ccd):
    got = round_trip(ccd, recipe)
    assert_identical(got.data, ccd.data)
    assert np.array_equal(got.mask, ccd.mask)
    assert type(got.uncertainty) is type(ccd.uncertainty)
    if ccd.uncertainty is not None:
        assert_identical(got.uncertainty.array, ccd.uncertainty.array)


BOX_IMAGE = full_image("uint16")
BOX_FILES = {recipe: stored(BOX_IMAGE, recipe) for recipe in ("none", "gzip_2")}


@pytest.mark.parametrize("recipe", BOX_FILES)
@SOME
@given(x=st.tuples(st.integers(0, 29), st.integers(1, 60)), y=st.tuples(st.integers(0, 39), st.integers(1, 80)))
def test_any_box_is_numpys_slice(recipe, x, y):
    got = part(BOX_FILES[recipe], bbox=(x[0], sum(x), y[0], sum(y)))
    index = (slice(y[0], sum(y)), slice(x[0], sum(x)))
    assert_identical(got.data, BOX_IMAGE.data[index])
    assert_identical(got.mask, BOX_IMAGE.mask[index])
    assert_same_wcs(got.wcs, BOX_IMAGE.wcs[index])
