"""The headers of a simulated Level 2 file, derived card by card from the saved real ones.

What the observation, the detector, the pointing and the cutout decide is
replaced; everything else, counts of flagged pixels and spacecraft position
included, stays as it is in the real header.
"""

from __future__ import annotations

__all__ = (
    "flag_bits",
    "flags_header",
    "image_header",
    "pixel_solid_angle",
    "plane_header",
    "primary_header",
)

from functools import lru_cache
from typing import Any

import astropy.units as u
from astropy.io import fits

from ..images.flags import read_flag_definitions
from .frames import Frame
from .observations import Observation, processing_date
from .pointing import celestial_cards
from .templates import flags_template, image_template

_QR3_FLAGS = {"CROSSTALK": 20, "STREAK": 25}
_QR2_ONLY_FLAGS = {"PHANTOM", "REFERENCE"}


@lru_cache
def flag_bits() -> dict[str, int]:
    """Return the bit number of every flag of a QR2 file."""
    return read_flag_definitions(flags_template())


def pixel_solid_angle() -> float:
    """Return the solid angle of a pixel in sr, the median of the real header's detector."""
    return float((image_template()["OMEGA_MEDIAN"] * u.arcsec**2).to_value(u.sr))


def primary_header(frame: Frame) -> fits.Header:
    """Return the header of the PRIMARY HDU."""
    return fits.Header(
        [
            ("VERSION", frame.version, "Level 2 pipeline version"),
            ("DATE", processing_date(frame.token), "file creation time (UTC)"),
            ("TELESCOP", "SPHEREx", "project name"),
            ("INSTRUME", "SPHEREx", "instrument name"),
        ]
    )


def image_header(frame: Frame) -> fits.Header:
    """Return the header of the IMAGE HDU."""
    header = image_template().copy()
    _replace(header, _common_cards(frame))
    _replace(
        header,
        {
            "DETECTOR": frame.detector,
            "OBSID": str(frame.observation),
            "EXPIDN": frame.observation.expidn(frame.detector),
            "DATE": processing_date(frame.token),
            "SPS_TARGET": _target(frame),
        },
    )
    longitude, latitude, angle = frame.pointing.ecliptic
    for name, value in (("SPS_ELON", longitude), ("SPS_ELAT", latitude), ("SPS_EPA", angle)):
        # Free format, as in the real header: in fixed format the comments would not fit.
        text = f"{name:8}= {value:.6f} / {header.comments[name]}"
        index = header.index(name)
        header.remove(name)
        header.insert(index, fits.Card.fromstring(text))
    return header


def flags_header(frame: Frame) -> fits.Header:
    """Return the header of the FLAGS HDU, with the definitions in the release's convention."""
    header = flags_template().copy()
    _replace(header, _common_cards(frame))
    if frame.release != "qr2":
        _define_masks(header)
    return header


def plane_header(frame: Frame, name: str, unit: str) -> fits.Header:
    """Return the header of the VARIANCE or ZODI HDU: its name, its unit and the WCS."""
    header = _plane_template().copy()
    header["BUNIT"] = (unit, "Unit of pixel value")
    _replace(header, {"BITPIX": -32, "EXTNAME": name, **_common_cards(frame)})
    return header


@lru_cache
def _plane_template() -> fits.Header:
    """Return the FLAGS header without what is about flags."""
    header = flags_template().copy()
    for key in ["EXTTYPE", *(key for key in header if key.startswith(("L2 N_", "MP_")))]:
        header.remove(key)
    return header


def _common_cards(frame: Frame) -> dict[str, Any]:
    """Return the cards that every plane has: size, WCS and times."""
    template = image_template()
    height, width = frame.box.shape
    cards: dict[str, Any] = {"NAXIS1": width, "NAXIS2": height}
    cards |= celestial_cards(frame.pointing, frame.detector)
    for axis, origin in ((1, frame.box.x_min), (2, frame.box.y_min)):
        for name in (f"CRPIX{axis}", f"CRPIX{axis}A", f"CRPIX{axis}W"):
            cards[name] = template[name] - origin
    return cards | frame.observation.times(frame.detector).cards()


def _replace(header: fits.Header, cards: dict[str, Any]) -> None:
    """Set values of cards that are there; astropy leaves a card with that value as it was written."""
    for name, value in cards.items():
        header[name] = value


def _target(frame: Frame) -> int:
    """Return the survey's target number, which counts down along a scan."""
    template = image_template()
    reference = Observation.parse(template["OBSID"]).pointing_number
    return int(template["SPS_TARGET"]) - (frame.observation.pointing_number - reference)


def _define_masks(header: fits.Header) -> None:
    """Turn ``MP_<NAME> = bit`` into ``MSKNnnnn``, ``MSKMnnnn`` and the flags into those of QR3."""
    kept = {name: bit for name, bit in flag_bits().items() if name not in _QR2_ONLY_FLAGS}
    for name in [f"MP_{name}" for name in flag_bits()] + [f"L2 N_{name}" for name in _QR2_ONLY_FLAGS]:
        header.remove(name)
    previous = "EXTTYPE"
    for name, bit in sorted((kept | _QR3_FLAGS).items(), key=lambda item: item[1]):
        number = f"{bit:04d}"
        header.insert(previous, (f"MSKN{number}", name, f"Name of the flag of bit {bit}"), after=True)
        header.insert(f"MSKN{number}", (f"MSKM{number}", 1 << bit, f"Mask of {name}"), after=True)
        previous = f"MSKM{number}"
