"""With headers read, pixels and wavelengths are those of the images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from lsst.daf.butler import Butler
from made_once import copy_exposures, new_repo
from sky_images import make_frame, register_tree, sky_of

from spherex_butler import SpectralImage
from spherex_butler.ingest import ingest_files
from spherex_butler.names import parse_product_name
from spherex_butler.search import find_images
from spherex_butler.testing import write_level2

X, Y = np.array([50.0, 700.0, 1900.0, 1020.0]), np.array([40.0, 1950.0, 800.0, 1020.0])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of full size in a copy of the archive's tree."""
    folder = tmp_path_factory.mktemp("tree")
    write_level2(folder / make_frame(detector=1).folder, detector=1)
    return folder


@pytest.fixture
def whole(tree: Path) -> Iterator[Butler]:
    """A repository that has not read the image's header: the distortion of its detector is not known."""
    with new_repo() as butler:
        register_tree(butler, tree, make_frame(detector=1))
        yield butler


@pytest.fixture
def cutouts(tmp_path: Path) -> Iterator[tuple[Butler, list[Path]]]:
    with new_repo() as butler:
        files = copy_exposures(tmp_path / "files")
        ingest_files(butler, files, transfer="direct")
        yield butler, files


def positions() -> SkyCoord:
    return sky_of(make_frame(detector=1), X, Y)


def test_pixels_and_wavelengths_are_those_of_the_header(whole):
    rough, exact = (find_images(whole, positions(), refine=refine) for refine in (False, True))
    assert exact.colnames == [*rough.colnames, "refined"]
    assert exact["refined"].all()
    off = np.hypot(rough["x"].value - X, rough["y"].value - Y)
    assert 1 < off.max() < 8
    np.testing.assert_allclose(exact["x"].value, X, atol=1e-3)
    np.testing.assert_allclose(exact["y"].value, Y, atol=1e-3)
    wavelength, bandwidth = make_frame(detector=1).wavelengths.at(X, Y)
    np.testing.assert_allclose(exact["wavelength"].to_value(u.um), wavelength, rtol=1e-6)
    np.testing.assert_allclose(exact["bandwidth"].to_value(u.um), bandwidth, rtol=1e-6)
    np.testing.assert_allclose(exact["position_angle"], rough["position_angle"], atol=0.5 * u.deg)
    edges = np.minimum.reduce([X + 0.5, Y + 0.5, 2039.5 - X, 2039.5 - Y])
    np.testing.assert_allclose(exact["edge_distance"].value, edges, atol=1e-3)


def test_image_that_just_misses_the_position_is_left_out(whole):
    """The polygon holds positions that the header puts two pixels above the image, whose upper edge bends inwards."""
    beyond = sky_of(make_frame(detector=1), np.linspace(300, 1700, 20), np.full(20, 2041.5))
    assert len(find_images(whole, beyond)) > 10
    assert len(find_images(whole, beyond, refine=True)) == 0


def test_wavelength_chooses_by_the_header(whole):
    (image,) = find_images(whole, positions()[1], refine=True)
    edge = image["wavelength"] + image["bandwidth"] / 2
    assert len(find_images(whole, positions()[1], refine=True, wavelength=edge - 1e-6 * u.um)) == 1
    assert len(find_images(whole, positions()[1], refine=True, wavelength=edge + 1e-6 * u.um)) == 0


def test_circle_has_the_nearest_pixel_of_the_header(whole):
    """The image's upper edge bends inwards, by less than the circle reaches into the image."""
    frame = make_frame(detector=1)
    center = sky_of(frame, 1000.0, 2200.0)
    (found,) = find_images(whole, center, radius=20 * u.arcmin, refine=True)
    assert (abs(found["x"].value - 1000) < 20, found["y"].value) == (True, 2039)
    assert sky_of(frame, found["x"].value, 2039.0).separation(SkyCoord(found["ra"], found["dec"])) < 0.01 * u.arcsec
    assert len(find_images(whole, center, radius=16.2 * u.arcmin)) == 1
    assert len(find_images(whole, center, radius=16.2 * u.arcmin, refine=True)) == 0


def test_circle_finds_wavelengths_by_the_header(whole):
    frame = make_frame(detector=1)
    center, (x, y) = sky_of(frame, 1020.0, 1020.0), np.mgrid[820:1220, 820:1220].reshape(2, -1).astype(float)
    near = sky_of(frame, x, y).separation(center) < 20 * u.arcmin
    wavelength, bandwidth = frame.wavelengths.at(x[near], y[near])
    last, first = (wavelength + bandwidth / 2).max(), (wavelength - bandwidth / 2).min()
    for edge, sign in ((last, 1), (first, -1)):
        beyond = (edge + sign * 2e-6) * u.um
        (found,) = find_images(whole, center, radius=20 * u.arcmin, refine=True, wavelength=(edge - sign * 2e-6) * u.um)
        assert found["refined"]
        assert SkyCoord(found["ra"], found["dec"]).separation(center) < 20 * u.arcmin
        assert len(find_images(whole, center, radius=20 * u.arcmin, refine=True, wavelength=beyond)) == 0


def test_circle_finds_wavelengths_of_cutouts(cutouts):
    """They are where the cutout has pixels, and nowhere else in its detector."""
    butler, files = cutouts
    image = next(image for image in map(SpectralImage.read, files) if image.detector == 3)
    center = image.wcs.pixel_to_world(8, 8)
    wavelength, bandwidth = (plane.to_value(u.um) for plane in (image.wavelength, image.bandwidth))
    last = (wavelength + bandwidth / 2).max()
    options = {"radius": 10 * u.arcmin, "detectors": 3, "refine": True}
    (found,) = find_images(butler, center, wavelength=(last - 2e-6) * u.um, **options)
    column, row = (found[name].value - first for name, first in zip("xy", image.origin, strict=True))
    assert wavelength[round(row), round(column)] == pytest.approx(found["wavelength"].to_value(u.um))
    assert len(find_images(butler, center, wavelength=(last + 2e-6) * u.um, **options)) == 0


def test_pixels_of_cutouts_become_known(cutouts):
    butler, files = cutouts
    images = {image.detector: image for image in map(SpectralImage.read, files)}
    centers = SkyCoord([image.wcs.pixel_to_world(5, 9) for image in images.values()])
    found = find_images(butler, centers, refine=True)
    assert found["refined"].all()
    for row in found[found["source"] == list(images).index(3)]:
        if row["detector"] == 3:
            image = images[3]
            assert row["x"].value == pytest.approx(image.origin[0] + 5, abs=1e-3)
            assert row["y"].value == pytest.approx(image.origin[1] + 9, abs=1e-3)
            assert abs(row["wavelength"] - image.wavelength_at(5, 9)) < 1e-6 * u.um
    wavelength = images[3].wavelength_at(5, 9)
    assert 3 in find_images(butler, centers, refine=True, wavelength=wavelength)["detector"]


def test_header_that_cannot_be_read_leaves_the_numbers_and_says_so(cutouts, caplog):
    butler, files = cutouts
    image = SpectralImage.read(files[2])
    center = image.wcs.pixel_to_world(5, 9)
    files[2].unlink()
    with caplog.at_level(logging.WARNING):
        found = find_images(butler, center, refine=True)
    lost = found[found["detector"] == image.detector]
    assert not lost["refined"].any()
    assert len(lost) == 1
    assert "Not refined: " in caplog.text


def test_nothing_found_stays_nothing(whole):
    found = find_images(whole, SkyCoord(0, 0, unit="deg"), refine=True)
    assert len(found) == 0
    assert found.colnames[-1] == "refined"


def test_no_more_headers_are_read_than_a_limit_takes(cutouts, caplog):
    butler, files = cutouts
    image = SpectralImage.read(files[0])
    near = image.wcs.pixel_to_world(np.full(40, 3.0), np.linspace(3, 4, 40))
    detector = parse_product_name(files[0].name).detector
    every = find_images(butler, near, refine=True, detectors=detector)
    assert len(every) == 40
    for limit in (0, 1, 17, 39, 100):
        found = find_images(butler, near, refine=True, limit=limit, detectors=detector)
        assert found.colnames == every.colnames
        assert found["source"].tolist() == every["source"].tolist()[:limit]
        assert found["refined"].all()
    files[0].unlink()
    with caplog.at_level(logging.WARNING):
        find_images(butler, near, refine=True, limit=1, detectors=detector)
    assert caplog.text.count("Not refined") == 16
