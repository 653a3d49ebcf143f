"""Spectra as objects of specutils: in order of wavelength, one for each source, with what is known of each point."""

from __future__ import annotations

import sys

import astropy.units as u
import numpy as np
import pytest
import specutils
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable, Table
from specutils.manipulation import extract_region

from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.spectra import specutils_spectra


@pytest.fixture
def table() -> QTable:
    return QTable(
        {
            "source": ["a", "b", "a", "a", "a", "a"],
            "wavelength": [2.0, 1.5, 0.9, 1.2, np.nan, 3.0] * u.um,
            "flux": [2.0, 7.0, -0.1, 1.0, np.nan, np.nan] * u.Jy,
            "flux_error": [0.2, 0.7, 0.1, 0.1, np.nan, np.nan] * u.Jy,
            "masked_fraction": [0.0, 0.0, 0.1, 0.9, np.nan, 1.0],
            "detector": [3, 2, 1, 2, 2, 4],
        },
        meta={"method": "matched filter"},
    )


def test_each_source_has_a_spectrum_in_order_of_wavelength(table):
    spectra = specutils_spectra(table)
    assert list(spectra) == ["a", "b"]
    found = spectra["a"]
    assert isinstance(found, getattr(specutils, "Spectrum", None) or specutils.Spectrum1D)
    assert found.spectral_axis.to_value(u.um).tolist() == [0.9, 1.2, 2.0, 3.0]
    assert found.flux.unit == u.Jy
    assert found.flux.value[:3].tolist() == [-0.1, 1.0, 2.0]
    assert isinstance(found.uncertainty, StdDevUncertainty)
    assert found.uncertainty.quantity[:3].to_value(u.Jy).tolist() == [0.1, 0.1, 0.2]
    assert spectra["b"].flux.to_value(u.Jy).tolist() == [7.0]


def test_what_is_mostly_masked_or_without_a_flux_is_masked(table):
    assert specutils_spectra(table)["a"].mask.tolist() == [False, True, False, True]
    assert specutils_spectra(table, most_masked=0.95)["a"].mask.tolist() == [False, False, False, True]


def test_meta_has_how_it_was_made_and_the_rows_of_the_points(table):
    meta = specutils_spectra(table)["a"].meta
    assert (meta["method"], meta["source"]) == ("matched filter", "a")
    assert meta["measurements"]["detector"].tolist() == [1, 2, 3, 4]
    assert table.meta == {"method": "matched filter"}


def test_specutils_reckons_with_it(table):
    part = extract_region(specutils_spectra(table)["a"], specutils.SpectralRegion(0.8 * u.um, 1.3 * u.um))
    assert part.flux.to_value(u.mJy) == pytest.approx([-100, 1000])


@pytest.mark.parametrize("name", ["spectrum.ecsv", "spectrum.fits", "spectrum.vot"])
def test_saved_tables_are_taken(table, tmp_path, name):
    table.write(tmp_path / name, format="votable" if name.endswith("vot") else None)
    found = specutils_spectra(Table.read(tmp_path / name))["a"]
    assert found.spectral_axis.to_value(u.um).tolist() == [0.9, 1.2, 2.0, 3.0]
    assert found.mask.tolist() == [False, True, False, True]


def test_source_in_which_nothing_was_measured_is_empty(table):
    assert len(specutils_spectra(table[4:5])["a"].flux) == 0
    assert specutils_spectra(table[:0]) == {}


def test_other_tables_are_refused(table):
    del table["flux_error"]
    with pytest.raises(ParameterError, match="no column flux_error; expected one that extract_spectra returned"):
        specutils_spectra(table)
    with pytest.raises(ParameterError, match="is a list; expected what extract_spectra returns"):
        specutils_spectra([])


def test_library_that_is_missing_is_named(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "specutils", None)
    with pytest.raises(ConfigurationError, match="needs specutils, which is not installed: pip install specutils"):
        specutils_spectra(table)
