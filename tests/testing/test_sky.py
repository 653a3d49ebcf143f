"""The simulated sky: sources of known flux, zodiacal light and noise."""

from __future__ import annotations

import math

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from simulated import DETECTORS, hdulist, pixel_flags

from spherex_butler.testing import level2_hdulist, source_catalog, source_flux
from spherex_butler.testing.frames import make_frame
from spherex_butler.testing.planes import wavelengths_of

BAD = ("TRANSIENT", "SUR_ERROR", "NONFUNC", "HOT", "COLD", "OUTLIER", "PERSIST")


def measured_and_true_flux(detector, seed, obs_id):
    """Return aperture fluxes of isolated sources on good pixels, and what the catalog says."""
    frame = make_frame(detector=detector, seed=seed, size=400, obs_id=obs_id)
    hdus = level2_hdulist(detector=detector, seed=seed, size=400, obs_id=obs_id)
    header = hdus["IMAGE"].header
    catalog = source_catalog(
        SkyCoord(*frame.wcs().all_pix2world(1019.5, 1019.5, 0), unit="deg"), 0.5 * u.deg, seed=seed
    )
    x, y = frame.wcs().all_world2pix(catalog["ra"], catalog["dec"], 0)
    x, y = x - 820, y - 820
    good = (np.abs(x - 199.5) < 190) & (np.abs(y - 199.5) < 190)
    alone = [np.sort(np.hypot(x - a, y - b))[1] > 9 for a, b in zip(x, y, strict=True)]
    wavelengths = wavelengths_of(frame)
    bad = sum(mask for name, mask in pixel_flags(hdus["FLAGS"].header).items() if name in BAD)
    solid_angle = (header["OMEGA_MEDIAN"] * u.arcsec**2).to(u.sr)
    measured, true, error = [], [], []
    for i in np.flatnonzero(good & alone & (catalog["flux"] > 1 * u.mJy)):
        column, row = round(x[i]), round(y[i])
        aperture = np.s_[row - 3 : row + 4, column - 3 : column + 4]
        if np.any(hdus["FLAGS"].data[aperture] & bad):
            continue
        brightness = (hdus["IMAGE"].data[aperture] - hdus["ZODI"].data[aperture]).astype(float).sum()
        measured.append((brightness * u.MJy / u.sr * solid_angle).to_value(u.mJy))
        true.append(source_flux(catalog[[i]], wavelengths[row, column] * u.um)[0].to_value(u.mJy))
        variance = hdus["VARIANCE"].data[aperture].astype(float).sum()
        error.append((math.sqrt(variance) * u.MJy / u.sr * solid_angle).to_value(u.mJy))
    return np.array(measured), np.array(true), np.array(error)


@pytest.mark.parametrize("detector", DETECTORS)
def test_source_fluxes_are_recovered_within_the_noise(detector):
    measured, true, error = measured_and_true_flux(detector, 3, "2025W51_1A_0684_2")
    deviation = (measured - true) / np.hypot(error, 0.003 * true)
    assert len(deviation) > 10
    assert np.abs(deviation).max() < 4
    assert abs(deviation.mean()) < 4 / math.sqrt(len(deviation))
    assert np.std(deviation) == pytest.approx(1, abs=0.5)


def test_noise_is_that_of_the_variance_plane():
    hdus = level2_hdulist(size=300, detector=6)
    masks = pixel_flags(hdus["FLAGS"].header)
    faint = (hdus["FLAGS"].data & sum(masks[name] for name in BAD)) == 0
    zodi_only = np.isclose(hdus["VARIANCE"].data, 0.010**2 + 2e-4 * hdus["ZODI"].data, rtol=1e-5)
    pulls = (hdus["IMAGE"].data - hdus["ZODI"].data) / np.sqrt(hdus["VARIANCE"].data)
    pulls = pulls[faint & zodi_only]
    assert len(pulls) > 50_000
    assert pulls.mean() == pytest.approx(0, abs=0.02)
    assert pulls.std() == pytest.approx(1, abs=0.01)


def test_catalog_is_one_sky_seen_through_any_circle():
    center = SkyCoord(359.95, 66.5, unit="deg")
    wide = source_catalog(center, 1.2 * u.deg, seed=4)
    assert len(wide) == pytest.approx(600 * math.pi * 1.2**2, rel=0.15)
    narrow = source_catalog(center.directional_offset_by(30 * u.deg, 0.4 * u.deg), 0.5 * u.deg, seed=4)
    assert set(narrow["source_id"]) < set(wide["source_id"])
    assert len(set(wide["source_id"])) == len(wide)
    assert wide["ra"].max() > 359 * u.deg
    assert wide["ra"].min() < 1 * u.deg


@pytest.mark.parametrize("dec", [-90, 89.9])
def test_catalog_covers_the_poles(dec):
    catalog = source_catalog(SkyCoord(10, dec, unit="deg"), 1 * u.deg)
    assert len(catalog) == pytest.approx(600 * math.pi, rel=0.15)
    assert np.ptp(catalog["ra"]) > 300 * u.deg


def test_source_spectra_are_blackbodies_and_power_laws():
    catalog = source_catalog(SkyCoord(10, 40, unit="deg"), 0.3 * u.deg)
    assert set(catalog["kind"]) == {"star", "galaxy"}
    np.testing.assert_allclose(source_flux(catalog, 2 * u.um), catalog["flux"])
    galaxy = catalog[catalog["kind"] == "galaxy"][:1]
    assert source_flux(galaxy, 4 * u.um)[0] == galaxy["flux"][0] * 2 ** galaxy["index"][0]
    star = catalog[catalog["kind"] == "star"][:1]
    temperature = star["temperature"][0]
    ratio = (source_flux(star, 4 * u.um) / source_flux(star, 1 * u.um))[0]
    hc_over_k = 14387.77 * u.um * u.K
    planck = [lam**-3 / np.expm1((hc_over_k / (lam * u.um * temperature)).value) for lam in (4, 1)]
    assert ratio.to_value(u.one) == pytest.approx(planck[0] / planck[1])


def test_zodiacal_light_grows_towards_the_ecliptic():
    poles, plane = (
        hdulist(center=SkyCoord(100, latitude, unit="deg", frame="barycentricmeanecliptic"), detector=2)
        for latitude in (85, 2)
    )
    assert plane["ZODI"].data.mean() > 1.5 * poles["ZODI"].data.mean()


def test_seed_observation_and_detector_each_change_the_noise():
    images = [
        hdulist(**options)["IMAGE"].data - hdulist(**options)["ZODI"].data
        for options in ({}, {"seed": 1}, {"obs_id": "2025W51_1A_0684_3"}, {"detector": 4})
    ]
    assert len({image.tobytes() for image in images}) == 4
