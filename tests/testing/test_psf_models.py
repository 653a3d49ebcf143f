"""The simulated PSF: zones and kernels."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import REAL, hdulist

from spherex_butler.testing import level2_hdulist, make_spectral_image


def zone_cards(hdus, name):
    header = hdus["PSF"].header
    return [header[f"{name}_{i}"] for i in range(1, hdus["PSF"].shape[0] + 1)]


@pytest.mark.parametrize("version", ["6.5.5", "6.4.0", "6.5.5+other"])
def test_old_versions_have_exchanged_zone_cards(version):
    broken = level2_hdulist(size=16, full_psf=True, version=version)
    fixed = level2_hdulist(size=16, full_psf=True)
    np.testing.assert_array_equal(broken["PSF"].data, fixed["PSF"].data)
    assert zone_cards(broken, "XCTR") == zone_cards(fixed, "YCTR")
    assert zone_cards(broken, "YCTR") == zone_cards(fixed, "XCTR")
    assert zone_cards(broken, "XCTR") != zone_cards(fixed, "XCTR")


@pytest.mark.parametrize("version", ["6.5.5+psffix1", "6.5.6", "6.10.0"])
def test_fixed_versions_count_zones_along_x(version):
    hdus = level2_hdulist(size=16, full_psf=True, version=version)
    width = 2040 / 11
    centers = [round((i + 0.5) * width - 0.5, 6) for i in range(11)]
    assert zone_cards(hdus, "XCTR") == centers * 11  # plane = y * 11 + x + 1: IRSA's erratum
    assert zone_cards(hdus, "YCTR") == [center for center in centers for _ in range(11)]
    assert set(zone_cards(hdus, "XWID")) == set(zone_cards(hdus, "YWID")) == {round(width, 6)}


def second_moments(kernel, oversampling):
    y, x = (np.arange(n) - n // 2 for n in kernel.shape)
    return (
        np.sqrt(np.sum(kernel * x**2) / kernel.sum()) / oversampling,
        np.sqrt(np.sum(kernel * y[:, np.newaxis] ** 2) / kernel.sum()) / oversampling,
    )


def test_kernels_vary_over_the_field_differently_along_x_and_y():
    cube = level2_hdulist(size=16, detector=3, full_psf=True)["PSF"].data.astype(float)
    np.testing.assert_allclose(cube.sum(axis=(1, 2)), 1, rtol=1e-6)
    right, top = second_moments(cube[5 * 11 + 10], 10), second_moments(cube[10 * 11 + 5], 10)
    assert right[0] > 1.02 * top[0]
    middle = cube[60, 50]
    above = np.flatnonzero(middle > middle.max() / 2)
    fwhm = (above[-1] - above[0] + 1) * 0.615
    assert fwhm == pytest.approx(REAL["IMAGE"]["PSF_FWHM"], abs=0.7)


def test_cube_is_off_the_middle_as_real_ones_are():
    kernel = level2_hdulist(size=16, detector=3, full_psf=True)["PSF"].data[60].astype(float)
    y, x = np.indices(kernel.shape) - 50
    assert (kernel * x).sum() / kernel.sum() / 10 == pytest.approx(-0.053, abs=1e-3)
    assert (kernel * y).sum() / kernel.sum() / 10 == pytest.approx(-0.048, abs=1e-3)


def test_effective_kernels_are_those_of_the_cube_seen_by_a_pixel():
    psf = make_spectral_image(size=16, detector=3, full_psf=True).psf
    table = level2_hdulist(size=16, detector=3, release="qr3")["EPSF"].data
    effective = table["EPSF"][4]
    assert effective.sum() == pytest.approx(25)
    seen = psf.detector_kernel(7, 7)
    middle = seen.shape[0] // 2
    assert effective[16, 16] == pytest.approx(seen[middle, middle], rel=2e-3)
    assert effective[16, 21] == pytest.approx(seen[middle, middle + 1], rel=0.02)
    assert 1 < table["NEFF_MEAN"][4] < 5
    assert table["CWAVE"][4] == pytest.approx(1.98, abs=0.02)
    assert table["CWAVE"][4] / table["CBAND"][4] == pytest.approx(40.5, abs=0.5)


def test_reduced_psf_covers_the_frame_with_nine_zones():
    hdus = hdulist()
    assert hdus["PSF"].shape == (9, 41, 41)
    assert [hdus["PSF"].header[f"XCTR_{i}"] for i in range(1, 10)] == [339.5, 1019.5, 1699.5] * 3
    assert len(hdulist(release="qr3")["EPSF"].data) == 9


def test_qr3_table_of_other_detectors_has_441_zones():
    table = hdulist(release="qr3", detector=4, full_psf=True)["EPSF"].data
    assert len(table) == 441
    assert (table["BINX"].max(), table["BINY"].max()) == (20, 20)
