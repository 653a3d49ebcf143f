"""WCS as header cards: the same WCS comes back, or is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable, Sip
from fits_samples import assert_same_wcs, cards, sip_header

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits.wcs import put_wcs, read_wcs


def header_with(wcs: WCS | None, header: fits.Header | None = None) -> fits.Header:
    """Return a header that describes a WCS, as it comes back from a file."""
    header = fits.Header() if header is None else header.copy()
    put_wcs(header, wcs)
    return fits.Header.fromstring(header.tostring())


def linear_wcs(**parts: object) -> WCS:
    wcs = WCS(naxis=2)
    for name, value in parts.items():
        setattr(wcs.wcs, name, value)
    return wcs


GALACTIC = linear_wcs(ctype=["GLON-CAR", "GLAT-CAR"], crval=[5, 0], crpix=[3, 4], cdelt=[-0.1, 0.1])


def test_wcs_without_cards_survives_with_every_digit():
    wcs = WCS(sip_header())
    got = read_wcs(header_with(wcs))
    np.testing.assert_array_equal(got.wcs.crval, wcs.wcs.crval)
    np.testing.assert_array_equal(got.wcs.crpix, wcs.wcs.crpix)
    np.testing.assert_array_equal(got.pixel_scale_matrix, wcs.pixel_scale_matrix)
    assert_same_wcs(got, wcs)


def test_cards_that_describe_the_wcs_stay_as_they_are():
    header = sip_header()
    put_wcs(header, WCS(header))
    assert cards(header) == cards(sip_header())


@pytest.mark.parametrize("header", [sip_header(), fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "RA---TAN"})])
@pytest.mark.parametrize("wcs", [GALACTIC, WCS(sip_header())])
def test_wcs_wins_over_other_cards_valid_or_not(header, wcs):
    assert_same_wcs(read_wcs(header_with(wcs, header)), wcs)


def test_no_wcs_leaves_no_card_of_one():
    assert len(header_with(None, sip_header())) == 0
    assert read_wcs(header_with(None, sip_header())) is None


def test_linear_wcs_survives():
    wcs = linear_wcs(crpix=[3, 4], cdelt=[2, 2], crval=[100, 200])
    np.testing.assert_array_equal(read_wcs(header_with(wcs)).wcs_pix2world(5, 6, 0), wcs.wcs_pix2world(5, 6, 0))


def test_alternate_wcs_becomes_the_primary_one():
    header = fits.Header({"CTYPE1B": "RA---TAN", "CTYPE2B": "DEC--TAN", "CRVAL1B": 5.0, "CRVAL2B": 6.0})
    wcs = WCS(header, key="B")
    assert_same_wcs(read_wcs(header_with(wcs, header)), wcs)


@pytest.mark.parametrize("with_cards", [True, False])
def test_wcs_whose_type_does_not_say_sip_survives(with_cards):
    header = sip_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    wcs = WCS(header)
    got = read_wcs(header_with(wcs, header if with_cards else None))
    assert_same_wcs(got, wcs)
    assert list(got.wcs.ctype) == ["RA---TAN", "DEC--TAN"]


def with_lookup_table() -> WCS:
    wcs = WCS(sip_header())
    wcs.cpdis1 = DistortionLookupTable(np.zeros((4, 4), dtype="float32"), (1, 1), (1, 1), (10, 10))
    return wcs


def with_another_reference_pixel() -> WCS:
    wcs = WCS(sip_header())
    wcs.sip = Sip(wcs.sip.a, wcs.sip.b, None, None, (1, 2))
    return wcs


@pytest.mark.parametrize(
    ("wcs", "why"),
    [
        (with_lookup_table(), "wcs has lookup tables (cpdis1), which header cards cannot hold"),
        (linear_wcs(crpix=[np.inf, 1]), "wcs (CTYPE ['', '']) cannot be written as FITS cards"),
        (
            with_another_reference_pixel(),
            "wcs (CTYPE ['RA---TAN-SIP', 'DEC--TAN-SIP']) does not read back the same",
        ),
    ],
)
def test_wcs_that_cards_cannot_hold_is_refused(wcs, why):
    with pytest.raises(FormatError, match=re.escape(why)):
        put_wcs(fits.Header(), wcs)


def test_cards_that_make_no_wcs_are_refused():
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "RA---TAN"})
    with pytest.raises(FormatError, match=re.escape("The header's WCS (CTYPE1='RA---TAN') cannot be read")):
        read_wcs(header)
