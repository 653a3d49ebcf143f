"""The lines of a star come back from images of many exposures: their fluxes and their places."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from emission_star import FLUXES, LINES, continuum, lonely_position, profiles, seen, write_star
from made_once import copy_repo, open_repo

from spherex_butler.ingest import ingest_files
from spherex_butler.spectra import extract_spectrum


@pytest.fixture(scope="module")
def spectrum(tmp_path_factory):
    folder = tmp_path_factory.mktemp("star")
    position = lonely_position(SkyCoord(150.0, 2.0, unit="deg"))
    write_star(folder / "files", position)
    with open_repo(copy_repo(folder / "repo")) as butler:
        ingest_files(butler, folder / "files")
        return extract_spectrum(butler, position)


def test_every_measurement_is_what_its_band_sees(spectrum):
    assert len(spectrum) > 40
    assert set(spectrum["detector"].tolist()) == {1, 2, 3}
    good = spectrum[spectrum["masked_fraction"] < 0.3]
    truth = seen(good["wavelength"].value, good["bandwidth"].value)
    np.testing.assert_allclose(good["flux"].to_value(u.mJy), truth, rtol=0.01)


def test_lines_have_their_fluxes(spectrum):
    good = spectrum[spectrum["masked_fraction"] < 0.3]
    wavelength, bandwidth = good["wavelength"].value, good["bandwidth"].value
    flux, error = good["flux"].to_value(u.mJy), good["flux_error"].to_value(u.mJy)
    design = np.column_stack([continuum(wavelength), profiles(wavelength, bandwidth)])
    (height, *lines), *_ = np.linalg.lstsq(design / error[:, np.newaxis], flux / error, rcond=None)
    found = dict(zip(LINES, lines, strict=True))
    assert height == pytest.approx(1, rel=0.01)
    for name in ("Pa β", "Pa α"):
        assert found[name] == pytest.approx(FLUXES[name], rel=0.05)
    # Closer than half a channel to each other: together they are known better than each.
    assert found["He I"] + found["Pa γ"] == pytest.approx(FLUXES["He I"] + FLUXES["Pa γ"], rel=0.05)


def test_peaks_are_where_the_lines_are(spectrum):
    excess = spectrum["flux"].to_value(u.mJy) - continuum(spectrum["wavelength"].value)
    for name in ("He I", "Pa β", "Pa α"):
        near = np.abs(spectrum["wavelength"].value - LINES[name]) < 3 * spectrum["bandwidth"].value
        place = spectrum[near][np.argmax(excess[near])]
        assert abs(place["wavelength"].value - LINES[name]) < place["bandwidth"].value
