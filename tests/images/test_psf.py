from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from astropy.io import fits

from spherex_butler import SpectralImage
from spherex_butler.errors import FormatError
from spherex_butler.formats.fits.lazy_header import LazyHeader
from spherex_butler.images.psf import DeferredPSF, SpectralImagePSF, zones_are_swapped
from spherex_butler.testing import make_spectral_image

RELEASES = ["qr2", "qr3"]
SIDE = 21


@pytest.fixture(scope="module", params=RELEASES)
def image(request):
    return make_spectral_image(release=request.param, detector=3, size=48, origin=(660, 700))


def cube(kernels, cards):
    return SpectralImagePSF(np.asarray(kernels, "f4"), LazyHeader(fits.Header(cards)))


def zone_cards(number, x, y, width, height):
    names = ("XCTR", "YCTR", "XWID", "YWID")
    return [(f"{name}_{number}", value) for name, value in zip(names, (x, y, width, height), strict=True)]


@pytest.mark.parametrize(
    ("version", "swapped"),
    [
        (None, True),
        ("6.4.0", True),
        ("6.5.5", True),
        ("6.5.5+psffix1", False),
        ("6.4.1+psffix1.g1234", False),
        ("6.5.5+psffix2", True),
        ("6.5.6", False),
        ("6.10", False),
        ("7.1.0", False),
        (6.4, True),
        (" 6.6.0 ", False),
    ],
)
def test_zone_cards_are_swapped_up_to_the_fix(version, swapped):
    assert zones_are_swapped(version) is swapped


def test_text_that_is_no_version_is_refused():
    with pytest.raises(FormatError, match=r"VERSION is 'newest'; expected a pipeline version such as '6.5.5\+psffix1'"):
        zones_are_swapped("newest")


def test_file_with_swapped_cards_has_the_zones_of_one_without():
    old, new = (make_spectral_image(detector=3, size=8, version=version).psf for version in ("6.5.5", "6.5.6"))
    assert old.swapped
    assert not new.swapped
    assert not np.array_equal(old.zones[:, 0], old.zones[:, 1])
    assert np.array_equal(old.zones, new.zones)


def test_form_and_sampling_are_the_releases():
    forms = {r: make_spectral_image(release=r, size=8).psf for r in RELEASES}
    assert [(forms[r].oversampling, forms[r].is_effective) for r in RELEASES] == [(10, False), (5, True)]
    assert repr(forms["qr2"]) == "<SpectralImagePSF 9 zones, 10 samples a pixel, not pixel-integrated>"
    assert repr(forms["qr3"]) == "<SpectralImagePSF 9 zones, 5 samples a pixel, effective>"


def test_every_pixel_belongs_to_the_zone_whose_box_holds_it(image):
    psf = image.psf
    for x, y in ((0, 0), (47, 47), (20.2, 35.8)):
        center_x, center_y, width, height = psf.zones[psf.zone(x, y)]
        assert abs(x + 660 - center_x) <= width / 2
        assert abs(y + 700 - center_y) <= height / 2


def test_zones_are_those_of_the_files_cards_or_columns(image):
    psf = image.psf
    for number in range(9):
        if psf.is_effective:
            stored = [psf.data[name][number] for name in ("XCENTER", "YCENTER", "XWIDTH", "YWIDTH")]
        else:
            header = psf.header.header
            stored = [header[f"{name}_{number + 1}"] for name in ("XCTR", "YCTR", "XWID", "YWID")]
        assert psf.zones[number].tolist() == stored


def test_pixel_outside_every_zone_belongs_to_the_nearest():
    psf = cube(np.zeros((2, 5, 5)), zone_cards(1, 5, 5, 10, 10) + zone_cards(2, 25, 5, 10, 10))
    positions = (-0.5, 9, 14, 16, 21, 30.5)
    assert [psf.zone(x, 5) for x in positions] == psf.zone(positions, 5).tolist() == [0, 0, 0, 1, 1, 1]
    assert type(psf.zone(3, 5)) is int
    image = SpectralImage(np.zeros((8, 60)), unit="Jy", psf=psf)  # beyond the zones, but in the image
    assert image.psf.zone([35, 59], 5).tolist() == [1, 1]


def test_cutout_finds_the_kernel_of_the_same_place_on_the_detector(image):
    cut = image[30:40, 10:]
    assert cut.psf.origin == (670, 730)
    assert np.array_equal(cut.psf.at(3, 4), image.psf.at(13, 34))
    assert cut.psf.detector_kernel(3.25, 4).tolist() == image.psf.detector_kernel(13.25, 34).tolist()


def test_kernel_is_native_and_its_own(image):
    kernel = image.psf.at(0, 0)
    assert kernel.dtype.isnative
    kernel[:] = 0
    assert image.psf.at(0, 0).max() > 0


def test_missing_zone_card_is_refused():
    psf = cube(np.zeros((2, 5, 5)), zone_cards(1, 5, 5, 10, 10))
    with pytest.raises(FormatError, match=r"PSF header has no zone card .*XCTR_2.*; expected 2 zones"):
        psf.at(0, 0)


def test_uniform_kernel_integrates_to_the_overlap_with_each_pixel():
    psf = cube(np.ones((1, SIDE, SIDE)), zone_cards(1, 5, 5, 10, 10))  # 2.1 pixels wide
    row = psf.detector_kernel(3, 3)[2]
    assert row / row.sum() == pytest.approx(np.array([0, 5.5, 10, 5.5, 0]) / 21)
    shifted = psf.detector_kernel(3.25, 3)[2]
    assert shifted / shifted.sum() == pytest.approx(np.array([0, 3, 10, 8, 0]) / 21)


def test_effective_kernel_is_sampled_not_integrated():
    image = make_spectral_image(release="qr3", size=8)
    psf = image.psf
    kernel = psf.detector_kernel(3, 4)
    sampled = psf.at(3, 4)[16 % 5 :: 5, 16 % 5 :: 5]
    inner = kernel[kernel.shape[0] // 2 - 3 :, kernel.shape[1] // 2 - 3 :][:7, :7]
    assert inner == pytest.approx(sampled / sampled.sum(), rel=1e-6)


@pytest.mark.parametrize("position", [(0, 0), (3.3, 4.8), (3.5, 2.5), (-0.4, 47.5)])
def test_kernel_is_normalised_and_its_centroid_is_the_position(image, position):
    kernel = image.psf.detector_kernel(*position)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.sum() == pytest.approx(1)
    offsets = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    x, y = position
    pixel = np.floor(np.array([x, y]) + 0.5)
    centroid = np.array([kernel.sum(axis=0) @ offsets, kernel.sum(axis=1) @ offsets]) + pixel
    assert centroid == pytest.approx([x, y], abs=0.05)


@pytest.mark.parametrize(
    "duplicate", [SpectralImagePSF.copy, copy.copy, copy.deepcopy, lambda psf: pickle.loads(pickle.dumps(psf))]
)
def test_copies_give_the_same_kernels(image, duplicate):
    twin = duplicate(image.psf)
    assert (twin.origin, twin.swapped, twin.oversampling) == (image.psf.origin, False, image.psf.oversampling)
    assert np.array_equal(twin.zones, image.psf.zones)
    assert np.array_equal(twin.at(3, 3), image.psf.at(3, 3))
    assert [card.image for card in twin.header.header.cards] == [card.image for card in image.psf.header.header.cards]


# Loaded on first use.


@pytest.fixture
def deferred(image):
    """The PSF of an image that is to be loaded, and how often it was."""
    loads = []

    def load():
        loads.append(1)
        return image.psf

    return DeferredPSF(load, (660, 700)), loads


def test_deferred_psf_is_loaded_once_for_all_cutouts(image, deferred):
    psf, loads = deferred
    part = psf.cutout((10, 30))
    assert not loads
    assert part.loaded().origin == (670, 730)
    assert np.array_equal(psf.loaded().at(13, 34), image.psf.at(13, 34))
    assert np.array_equal(part.loaded().at(3, 4), image.psf.at(13, 34))
    assert psf.to_hdu().name == image.psf.to_hdu().name
    assert len(loads) == 1


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda psf: pickle.loads(pickle.dumps(psf))])
def test_copy_of_a_deferred_psf_is_loaded(image, deferred, duplicate):
    twin = duplicate(deferred[0])
    assert type(twin) is SpectralImagePSF
    assert np.array_equal(twin.kernels, image.psf.kernels)
