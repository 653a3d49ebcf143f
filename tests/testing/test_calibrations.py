"""Simulated calibrations: the archive's names, folders, HDUs and units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.images.wavelengths import WavelengthTable
from spherex_butler.names import parse_product_name
from spherex_butler.testing import (
    CALIBRATION_TYPES,
    calibration_tokens,
    level2_hdulist,
    write_calibration,
    write_calibrations,
)

REAL_CHANNEL_MAP = Path(__file__).parent / "data" / "channel_map_every_16.txt"
LAYOUTS = {
    "abs_gain_matrix": [("PRIMARY", None), ("IMAGE", "(MJy/sr)/(electron/s)")],
    "average_psf": [("PRIMARY", None), ("PSF-DATA-CUBE", None)],
    "dark": [("PRIMARY", None), ("DARK", "electron/s")],
    "dichroic": [("PRIMARY", None)],
    "epsf": [("PRIMARY", None), ("EPSF", None)],
    "l3_flux_corrections": [("PRIMARY", None), ("IMAGE", None)],
    "nonfunc": [("PRIMARY", None), ("NONFUNC", "")],
    "nonlinear_pars": [("PRIMARY", None), *((name, None) for name in ("Q_NL", "B1", "B2", "B3", "QMAX"))],
    "readnoise_pars": [("PRIMARY", None), ("READNOISE-1", "electron"), ("READNOISE-2", "electron")],
    "solid_angle_pixel_map": [("PRIMARY", None), ("IMAGE", "arcsec2")],
    "spectral_channels": [("PRIMARY", None), ("CHANNEL_MAP", None), ("SPECTRAL_CHANNELS", None)],
    "spectral_wcs": [("PRIMARY", None), ("CWAVE", "um"), ("CBAND", "um"), ("WCS-WAVE", None)],
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each type, of detector 3 where it has one."""
    folder = tmp_path_factory.mktemp("archive")
    paths = [path for release in ("qr2", "qr3") for path in write_calibrations(folder, detectors=[3], release=release)]
    return {parse_product_name(path.name).dataset_type: path for path in paths}


def test_every_type_is_written(archive):
    assert sorted(archive) == sorted(CALIBRATION_TYPES)


def test_files_are_where_the_archive_has_them(archive):
    for kind, path in archive.items():
        name = parse_product_name(path.name)
        token, detector = str(name.token), [] if name.detector is None else ["3"]
        assert path.parts[-len(detector) - 4 :] == (path.parts[-len(detector) - 4], kind, token, *detector, path.name)
    assert archive["gain_factors"].name == "gain_factors_spx_base-2025-158.yaml"
    assert archive["spectral_channels"].name == "spectral_channels_spx_cal-sch-v1-2026-106.fits.gz"
    assert archive["epsf"].match("qr3/epsf/cal-epsf-v2-2026-191/3/epsf_D3_spx_cal-epsf-v2-2026-191.fits")


@pytest.mark.parametrize("kind", sorted(LAYOUTS))
def test_hdus_are_those_of_the_archive(archive, kind):
    with fits.open(archive[kind]) as hdus:
        assert [(hdu.name, hdu.header.get("BUNIT")) for hdu in hdus] == LAYOUTS[kind]
        planes = [hdu for hdu in hdus if hdu.is_image and hdu.shape and len(hdu.shape) == 2]
        assert {hdu.shape for hdu in planes} <= {(48, 48)}
        assert {str(hdu.header["DETECTOR"]) for hdu in planes} <= ({"ALL"} if kind == "spectral_channels" else {"3"})
        assert hdus[0].header["TELESCOP"] == "SPHEREx"


def test_gain_factors_hold_32_gains_a_detector(archive):
    content = yaml.safe_load(archive["gain_factors"].read_bytes())
    assert list(content) == [f"D{detector}" for detector in range(1, 7)]
    assert {len(entry["gains"]) for entry in content.values()} == {32}
    assert all(entry["provenance"] for entry in content.values())


def test_psf_is_that_of_the_images(archive):
    for kind, name, release in (("average_psf", "PSF", "qr2"), ("epsf", "EPSF", "qr3")):
        image = level2_hdulist(release=release, detector=3, size=8)
        np.testing.assert_array_equal(fits.getdata(archive[kind], 1), image[name].data)


def test_wavelengths_agree_with_the_table_of_control_points(archive):
    with fits.open(archive["spectral_wcs"]) as hdus:
        y, x = (np.arange(length) + (2040 - length) // 2 for length in hdus["CWAVE"].shape)
        expected = WavelengthTable.from_table(hdus["WCS-WAVE"].data).at(x, y[:, np.newaxis])
        for name, values in zip(("CWAVE", "CBAND"), expected, strict=True):
            np.testing.assert_allclose(hdus[name].data, values, rtol=1e-6)


def test_channel_map_is_nearly_the_real_one(tmp_path):
    path = write_calibration(tmp_path, "spectral_channels", "cal-sch-v1-2026-106", shape=(2040, 2040))
    simulated = fits.getdata(path, "CHANNEL_MAP")
    difference = simulated[7::16, 7::16].astype(int) - np.loadtxt(REAL_CHANNEL_MAP, dtype=int)
    assert np.abs(difference).max() == 1
    assert np.mean(difference == 0) > 0.9
    assert len(fits.getdata(path, "SPECTRAL_CHANNELS")) == 102


def test_full_size_has_the_full_psf(tmp_path):
    path = write_calibration(tmp_path, "average_psf", "cal-psf-v4-2025-161", detector=1, shape=(2040, 2040))
    assert fits.getdata(path, "PSF-DATA-CUBE").shape == (121, 101, 101)


def test_same_options_give_the_same_bytes_in_every_release(tmp_path):
    for kind, detector in (("dark", 2), ("gain_factors", None)):
        token = calibration_tokens("qr2", 2)[kind]
        first, second = (
            write_calibration(tmp_path / place, kind, token, detector=detector, release=place)
            for place in ("qr2", "qr3")
        )
        assert first.read_bytes() == second.read_bytes()


def test_detectors_and_tokens_differ(tmp_path):
    files = {("cal-drk-v4-2025-161", 1), ("cal-drk-v4-2025-161", 2), ("cal-drk-v5-2026-001", 1)}
    arrays = [fits.getdata(write_calibration(tmp_path, "dark", token, detector=d), 1) for token, d in files]
    assert len({array.tobytes() for array in arrays}) == 3


def test_only_the_detectors_affected_have_dichroic_pixels(tmp_path):
    found = {d: fits.getdata(write_calibration(tmp_path, "dichroic", "base-2025-158", detector=d)) for d in range(1, 7)}
    assert [detector for detector, pixels in found.items() if pixels.any()] == [3, 4]


@pytest.mark.parametrize(
    ("arguments", "options", "reason"),
    [
        (("flat", "base-2025-158"), {"detector": 1}, r"There is no calibration 'flat'; known ones are \['abs_gain"),
        (("dark", "base-2025-158"), {}, r"detector=None has no 'dark'; expected 1 to 6"),
        (("dark", "base-2025-158"), {"detector": 7}, r"detector=7 has no 'dark'; expected 1 to 6"),
        (("gain_factors", "base-2025-158"), {"detector": 1}, r"detector=1 has no 'gain_factors'; expected None: one"),
        (("dark", "base-2025-158"), {"detector": 1, "shape": (0, 5)}, r"shape=\(0, 5\) is not a part of a frame"),
        (("dark", "v4"), {"detector": 1}, r"'v4' is not a processing token"),
    ],
)
def test_option_without_meaning_is_refused(tmp_path, arguments, options, reason):
    with pytest.raises((ParameterError, FormatError), match=reason):
        write_calibration(tmp_path, *arguments, **options)


def test_release_without_calibrations_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="release='qr9' has no simulated calibrations; expected 'qr2' or 'qr3'"):
        write_calibrations(tmp_path, release="qr9")
