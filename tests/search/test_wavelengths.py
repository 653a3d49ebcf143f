"""The wavelength of an image is that of the control points that are certified for it, or else of its release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import pytest
from astropy.io import fits
from lsst.daf.butler import Butler
from made_once import new_repo
from sky_images import make_frame, register_frames, sky_of

from spherex_butler.calibrations import certify, ingest_calibrations
from spherex_butler.constants import DATASET_TYPE
from spherex_butler.errors import FormatError
from spherex_butler.search import find_images
from spherex_butler.testing.calibrations import write_calibration

FRAME = make_frame(detector=5)
CENTER = sky_of(FRAME, 1000.0, 900.0)
QR2, QR3 = "cal-wcs-v4-2025-254", "cal-swcs-v5-2026-191"


@pytest.fixture
def butler() -> Iterator[Butler]:
    with new_repo() as butler:
        register_frames(butler, FRAME)
        yield butler


def shifted_map(folder: Path, token: str, release: str = "qr2") -> Path:
    """Return a spectral_wcs of detector 5 whose wavelengths are 50 nm longer than they are."""
    path = write_calibration(folder, "spectral_wcs", token, detector=5, release=release, shape=(8, 8))
    with fits.open(path, mode="update") as hdus:
        hdus["WCS-WAVE"].data["VALUES"][..., 0] += 0.05
    return path


def wavelength(butler: Butler, **options: object) -> float:
    (found,) = find_images(butler, CENTER, **options)
    return float(found["wavelength"].to_value(u.um))


def in_own_run(butler: Butler) -> str:
    """Return a run of no release that has a dataset of the image."""
    (ref,) = butler.query_datasets(DATASET_TYPE)
    butler.registry.registerRun("u/me/own")
    butler.registry.insertDatasets(DATASET_TYPE, [ref.dataId], run="u/me/own")
    return "u/me/own"


def test_image_of_no_release_has_that_of_its_time(butler):
    shipped = wavelength(butler)
    own = in_own_run(butler)
    assert wavelength(butler, collections=own) == shipped
    (found,) = find_images(butler, CENTER, collections=own, wavelength=shipped * u.um)
    assert (found["release"], found["run"]) == ("", own)
    assert len(find_images(butler, CENTER, collections=[own, "SPHEREx/defaults"], latest=False)) == 2


def test_certified_map_counts(butler, tmp_path):
    shipped = wavelength(butler)
    assert shipped == pytest.approx(FRAME.wavelengths.at(1000, 900)[0], abs=2e-3)  # without its distortion
    ingest_calibrations(butler, shifted_map(tmp_path, QR2), transfer="copy")
    assert wavelength(butler) == pytest.approx(shipped + 0.05, abs=1e-6)
    (found,) = find_images(butler, CENTER, wavelength=(shipped + 0.05) * u.um)
    assert found["wavelength"].to_value(u.um) == pytest.approx(shipped + 0.05, abs=1e-6)
    assert len(find_images(butler, CENTER, wavelength=shipped * u.um)) == 0


def test_map_that_is_not_certified_is_not_used(butler, tmp_path):
    shipped = wavelength(butler)
    ingest_calibrations(butler, shifted_map(tmp_path, QR2), transfer="copy", certify=None)
    assert wavelength(butler) == shipped


def test_map_that_is_valid_at_another_time_is_not_used(butler, tmp_path):
    shipped = wavelength(butler)
    ingest_calibrations(butler, shifted_map(tmp_path, QR2), transfer="copy", certify=None)
    certify(butler, "spectral_wcs", begin="2026-01-01", end=None)
    assert wavelength(butler) == shipped
    certify(butler, "spectral_wcs", begin="2025-01-01", end=None, replace=True)
    assert wavelength(butler) == pytest.approx(shipped + 0.05, abs=1e-6)


def test_newest_map_of_another_release_is_left_aside(butler, tmp_path):
    """By default the newest is certified for all times, QR3's for images of QR2 too."""
    shipped = wavelength(butler)
    ingest_calibrations(butler, shifted_map(tmp_path, QR3, "qr3"), transfer="copy")
    assert wavelength(butler) == shipped


def test_map_counts_where_it_is_searched(butler, tmp_path):
    shipped = wavelength(butler)
    ingest_calibrations(butler, shifted_map(tmp_path, QR2), transfer="copy")
    assert wavelength(butler, collections="SPHEREx/qr2") == shipped


def test_map_without_control_points_is_refused(butler, tmp_path):
    path = shifted_map(tmp_path, QR2)
    with fits.open(path) as hdus:
        fits.HDUList([hdu.copy() for hdu in hdus if hdu.name != "WCS-WAVE"]).writeto(path, overwrite=True)
    ingest_calibrations(butler, path, transfer="copy")
    with pytest.raises((FormatError, ValueError), match="WCS-WAVE"):
        find_images(butler, CENTER)
