"""`SpectralImageFormatter` through a real Butler."""

from __future__ import annotations

import re
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from image_samples import assert_same, cards
from refusals import refused, refused_get

from spherex_butler import SpectralImage
from spherex_butler.errors import ParameterError, SpherexButlerWarning
from spherex_butler.images.psf import SpectralImagePSF
from spherex_butler.testing import make_spectral_image

COMPONENTS = {
    "image": lambda image: image.data,
    "variance": lambda image: image.variance,
    "flags": lambda image: image.flags,
    "zodi": lambda image: image.zodi,
    "mask": lambda image: image.mask,
    "wavelength": lambda image: image.wavelength,
    "bandwidth": lambda image: image.bandwidth,
    "flag_definitions": lambda image: image.flag_definitions,
    "calibrations": lambda image: image.calibrations,
    "origin": lambda image: list(image.origin),
    "shape": lambda image: list(image.data.shape),
}


@pytest.fixture(scope="module", params=["qr2", "qr3"])
def image(request):
    return make_spectral_image(release=request.param, detector=3, size=40, origin=(1500, 300))


@pytest.fixture(scope="module")
def ref(store, image):
    return store.put(image, "SpectralImage")


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"bbox": (1510, 1520, 305, 330)},
        {"center": (1505, 310), "size": 9},
        {"center": (1500, 300), "size": (6, 10), "mode": "trim"},
        {"center": "sky", "size": 60 * u.arcsec},
    ],
)
def test_image_and_every_component_is_whole_or_cut(store, image, ref, parameters):
    if parameters.get("center") == "sky":
        parameters = parameters | {"center": image.wcs.pixel_to_world(20, 11)}
    expected = image.cutout(**parameters) if parameters else image
    assert_same(store.get(ref, **parameters), expected)

    def get(name: str) -> Any:
        return store.get(ref, name, **parameters)

    for name, part in COMPONENTS.items():
        found, wanted = get(name), part(expected)
        assert type(found) is type(wanted), name
        assert np.array_equal(found, wanted) if isinstance(wanted, np.ndarray) else found == wanted, name
    assert get("wcs").pixel_to_world(1, 2) == expected.wcs.pixel_to_world(1, 2)
    assert get("spectral_wcs").pixel_to_world_values(3, 4) == expected.spectral_wcs.pixel_to_world_values(3, 4)
    assert cards(get("header")) == cards(expected.image_header)
    assert cards(get("primary_header"))[: len(image.primary_header)] == cards(image.primary_header)
    assert isinstance(get("psf"), SpectralImagePSF)
    psf, sky = get("psf"), expected.wcs.pixel_to_world(3, 1)
    assert np.array_equal(psf.at(sky), expected.psf.at(3, 1))
    with pytest.raises(ParameterError, match="outside the image"):
        psf.at(expected.shape[1], 0)
    assert get("footprint").separation(expected.footprint).max() < 1e-6 * u.arcsec


def test_center_that_was_probably_meant_in_degrees_warns(store, ref):
    with pytest.warns(SpherexButlerWarning, match=r"center=\(1497, 320\) is in pixels, not degrees: pass a SkyCoord"):
        assert store.get(ref, center=(1497, 320), size=10).shape == (10, 2)


@pytest.mark.parametrize(
    ("component", "parameters", "message"),
    [
        (None, {"center": (1500, 300), "size": 9, "mode": "strict"}, "partly outside the image"),
        ("flags", {"bbox": (0, 9, 0, 9)}, "wholly outside the image, .*corners at RA, Dec"),
        (None, {"planes": ["DARK"]}, "planes names DARK; expected some of"),
    ],
)
def test_impossible_request_is_refused(store, ref, component, parameters, message):
    assert re.search(message, refused_get(store, ref, component, **parameters))


def test_planes_limit_what_is_read(store, ref):
    image = store.get(ref, planes=["FLAGS"])
    assert (image.uncertainty, image.flags.any()) == (None, True)


def test_as_ccddata_it_is_returned_unchanged(store, image, ref):
    found = store.get(ref, storage_class="CCDData")
    assert isinstance(found, CCDData)
    assert_same(found, image)


def test_as_hdulist_it_is_the_hdus(store, image, ref):
    hdus = store.get(ref, storage_class="HDUList")
    assert isinstance(hdus, fits.HDUList)
    names = ["PRIMARY", "IMAGE", "FLAGS", "VARIANCE", "ZODI", image.to_hdulist()[5].name, "WCS-WAVE"]
    assert [hdu.name for hdu in hdus] == names
    assert np.array_equal(hdus["FLAGS"].data, image.flags)


def test_recipe_is_chosen_by_configuration(configured_store, image):
    name = "spherex_butler.formatters.spectral_image.SpectralImageFormatter"
    store = configured_store(
        {
            "SpectralImage": {"formatter": name, "parameters": {"recipe": "mine"}},
            "write_recipes": {name: {"mine": {"planes": "RICE_1", "flags": "GZIP_1"}}},
        }
    )
    ref = store.put(image, "SpectralImage")
    # RICE_1 knows no floats: those planes go to GZIP_2.
    expected = {"IMAGE": "GZIP_2", "FLAGS": "GZIP_1", "VARIANCE": "GZIP_2", "ZODI": "GZIP_2"}
    with fits.open(store.path(ref), disable_image_compression=True) as hdus:
        assert {hdu.name: hdu.header["ZCMPTYPE"] for hdu in hdus if "ZCMPTYPE" in hdu.header} == expected
    assert_same(store.get(ref), image)


def test_archive_file_is_read_where_it_lies(store, level2_path):
    ref = store.ingest(level2_path, "SpectralImage")
    assert_same(store.get(ref), SpectralImage.read(level2_path))


def test_refused_put_leaves_nothing(store, image):
    odd = image.copy()
    odd.unit = u.Unit("3 MJy/sr")
    assert "cannot be written to FITS" in refused("SpectralImage", store, odd)


@pytest.mark.parametrize("component", [None, "flags", "psf", "wavelength"])
def test_truncated_file_is_refused(store, image, component):
    ref = store.put(image, "SpectralImage")
    path = store.path(ref)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 10])
    assert re.search("size|truncated", refused_get(store, ref, component))
