"""Units as headers write them."""

from __future__ import annotations

import astropy.units as u
import pytest

from spherex_butler.formats.fits.units import read_unit_text

GAIN = u.MJy / u.sr / (u.electron / u.s)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("", u.dimensionless_unscaled),
        ("  ", u.dimensionless_unscaled),
        ("MJy / sr", u.MJy / u.sr),
        ("arcsec2", u.arcsec**2),
        ("arcsec^2", u.arcsec**2),
        ("1e-3 Jy", 1e-3 * u.Jy),
        ("(MJy/sr)/(electron/s)", GAIN),
        ("(MJy/sr) / (e-/s)", GAIN),
        ("((MJy/sr)/(e-/s))", GAIN),
        ("MJy/sr/(electron/s)", GAIN),
        ("MJy sr-1 electron-1 s", GAIN),
        ("(MJy/sr)^2", (u.MJy / u.sr) ** 2),
        ("(MJy/sr)**-2", (u.MJy / u.sr) ** -2),
        ("(MJy/sr)/(e-/s)^2", u.MJy / u.sr / (u.electron / u.s) ** 2),
        ("(MJy/sr)*(s)", u.MJy / u.sr * u.s),
        ("e-", u.electron),
        ("electrons/sec", u.electron / u.s),
        ("microns", u.um),
    ],
)
def test_unit_is_read(text, unit):
    assert read_unit_text(text) == unit


@pytest.mark.parametrize("text", ["smoots", "1e-3 smoots", "(", ")(", "Jy/", "(MJy/sr)^(2)", "()", "Jy/(smoots/s)"])
def test_what_is_no_unit_is_refused(text):
    with pytest.raises(ValueError, match="did not parse as unit"):
        read_unit_text(text)
