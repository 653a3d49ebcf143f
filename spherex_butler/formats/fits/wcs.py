"""WCS as header cards, from which the same WCS is read back, digit for digit."""

from __future__ import annotations

__all__ = ("put_wcs", "read_wcs", "require_small")

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, WCSCOMPARE_ANCILLARY, FITSFixedWarning, Sip

from ...errors import FormatError
from .cards import exact_images

# Of the primary WCS (no alternate letter): FITS standard 4.0, section 8; the SIP convention; distortion paper IV.
_KEYWORDS = re.compile(
    r"WCSAXES|WCSNAME|(CTYPE|CUNIT|CRPIX|CRVAL|CDELT|CROTA|CRDER|CSYER|CNAME|CPDIS|CQDIS|CPERR|CQERR|D2IMDIS|D2IMERR)\d+"
    r"|(PC|CD|PV|PS)\d+_\d+|LONPOLE|LATPOLE|RADE(SYS|CSYS)|EQUINOX|EPOCH|SPECSYS|RESTFRQ|RESTFREQ|RESTWAV|WAT\d_\d+"
    r"|(A|B|AP|BP)_(ORDER|DMAX|\d+_\d+)|(DP|DQ|D2IM)\d+(\..*)?|AXISCORR"
)
# What else wcslib keeps of a header: times and places of the observation (FITS standard 4.0, sections 8.4 and 9).
_ANCILLARY = re.compile(
    r"(DATE|MJD|JD)(-?(OBS|BEG|AVG|END)|REF[IF]?)?|TIME(SYS|UNIT|OFFS|DEL|PIXR)|TIM(SYER|RDER)|TREF(POS|DIR)|PLEPHEM"
    r"|[JB]EPOCH|TSTART|TSTOP|XPOSURE|TELAPSE|OBS(GEO-[XYZBLH]|ORBIT)|VEL(REF|OSYS|ANGL)|ZSOURCE|SSYS(OBS|SRC)"
    r"|RSUN_REF|DSUN_OBS|(CRLN|HGLN|HGLT)_OBS|NAXIS\d?"
)

_MOST = {"A_ORDER": 9, "B_ORDER": 9, "AP_ORDER": 9, "BP_ORDER": 9, "WCSAXES": 99, "WCSAXESW": 99}
"""What the SIP convention and keywords such as CTYPE99 allow."""


def read_wcs(header: fits.Header) -> WCS | None:
    """Return the primary WCS of a header, or `None` if it has none."""
    if "WCSAXES" not in header and "CTYPE1" not in header:
        return None
    require_small(header)
    with warnings.catch_warnings():
        # astropy said what it corrected when the WCS was made; nobody needs to hear it again at every read.
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            return WCS(fits.Header([card for card in header.cards if _matters(card.keyword)]))
        except Exception as error:  # wcslib's errors have no common base
            raise FormatError(
                f"The header's WCS (CTYPE1={header.get('CTYPE1')!r}) cannot be read: {error}; read the file as HDUList."
            ) from error


def require_small(cards: Mapping[str, Any]) -> None:
    """Refuse orders of SIP polynomials and numbers of axes by which a few cards would fill the memory."""
    for keyword, most in _MOST.items():
        value = cards.get(keyword)
        if value is not None and not (isinstance(value, int) and 0 <= value <= most):
            raise FormatError(f"The header has {keyword}={value!r}; expected a number up to {most}.")


def _matters(keyword: str) -> bool:
    """Whether a card is about the WCS: astropy is slow with the others."""
    return bool(_KEYWORDS.fullmatch(keyword) or _ANCILLARY.fullmatch(keyword))


def put_wcs(header: fits.Header, wcs: WCS | None) -> None:
    """Make a header describe a WCS; cards that already do are kept as they are."""
    if _describes(header, wcs):
        return
    for keyword in {card.keyword for card in header.cards if _KEYWORDS.fullmatch(card.keyword)}:
        header.remove(keyword, remove_all=True)
    if wcs is None:
        return
    _check_without_tables(wcs)
    for card in _exact_cards(wcs):
        if card.keyword not in header:
            header.append(card)
    if not _equal(read_wcs(header), wcs, tolerance=1e-9, compare=WCSCOMPARE_ANCILLARY):
        raise FormatError(
            f"wcs (CTYPE {list(wcs.wcs.ctype)}) does not read back the same from FITS cards; keep it in an HDUList."
        )


def _describes(header: fits.Header, wcs: WCS | None) -> bool:
    try:
        return _equal(read_wcs(header), wcs)
    except FormatError:
        return False


def _check_without_tables(wcs: WCS) -> None:
    tables = {name: getattr(wcs, name) for name in ("cpdis1", "cpdis2", "det2im1", "det2im2")}
    found = [name for name, table in tables.items() if table is not None] + ["-TAB"] * bool(wcs.wcs.tab)
    if found:
        raise FormatError(
            f"wcs has lookup tables ({', '.join(found)}), which header cards cannot hold; "
            "expected a WCS of cards alone (SIP, TPV, …): keep it in an HDUList."
        )


def _exact_cards(wcs: WCS) -> list[fits.Card]:
    """Return the cards of a WCS with the digits put back that wcslib leaves out after the twelfth."""
    wcs = wcs.deepcopy()
    wcs.wcs.set()
    try:
        header = wcs.to_header(relax=True, key=" ")
        for keyword, value in _parameters(wcs).items():
            if keyword in header:
                header[keyword] = value
    except ValueError as error:
        raise FormatError(f"wcs (CTYPE {list(wcs.wcs.ctype)}) cannot be written as FITS cards: {error}") from error
    return list(fits.Header.fromstring("".join(exact_images(header))).cards)


def _parameters(wcs: WCS) -> dict[str, float | str]:
    linear = wcs.wcs
    axes = range(linear.naxis)
    values = {f"CRPIX{i + 1}": linear.crpix[i] for i in axes}
    values |= {f"CRVAL{i + 1}": linear.crval[i] for i in axes}
    values |= {f"CDELT{i + 1}": linear.get_cdelt()[i] for i in axes}
    values |= {f"PC{i + 1}_{j + 1}": linear.get_pc()[i, j] for i in axes for j in axes}
    if linear.has_cd():
        values |= {f"CD{i + 1}_{j + 1}": linear.cd[i, j] for i in axes for j in axes}
    values |= {f"PV{i}_{m}": value for i, m, value in linear.get_pv()}
    values |= {"LONPOLE": linear.lonpole, "LATPOLE": linear.latpole}
    # The types too: astropy adds "-SIP" to those that lack it.
    types: dict[str, float | str] = {f"CTYPE{i + 1}": linear.ctype[i] for i in axes}
    return types | {keyword: float(value) for keyword, value in values.items()}


def _equal(first: WCS | None, second: WCS | None, *, tolerance: float = 0.0, compare: int = 0) -> bool:
    if first is None or second is None:
        return first is second
    first, second = first.deepcopy(), second.deepcopy()
    first.wcs.set()
    second.wcs.set()
    return bool(first.wcs.compare(second.wcs, compare, tolerance)) and _equal_sip(first.sip, second.sip)


def _equal_sip(first: Sip | None, second: Sip | None) -> bool:
    if first is None or second is None:
        return first is second
    return all(
        (a is None) == (b is None) and (a is None or np.array_equal(a, b))
        for a, b in ((getattr(first, n), getattr(second, n)) for n in ("a", "b", "ap", "bp", "crpix"))
    )
