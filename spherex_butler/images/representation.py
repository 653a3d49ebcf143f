"""What an image shows of itself: in one line what it is of and what of it is loaded; in a notebook also a picture."""

from __future__ import annotations

__all__ = ("as_html", "one_line", "unit_text")

from base64 import b64encode
from collections.abc import Callable
from html import escape
from typing import Any

import astropy.units as u
import numpy as np

from ..errors import SpherexButlerError, reason_of
from .level2 import PLANES
from .psf import DeferredPSF
from .stretch import BrightnessRange
from .thumbnail import thumbnail


def one_line(image: Any) -> str:
    """Return what an image is of and what it has, without reading or computing pixels.

    It is the ``repr`` of a `~spherex_butler.SpectralImage`.
    """
    parts = image._parts()
    header = parts["header"]
    detector = header.get("DETECTOR")
    observation = [] if image.obs_id is None else [image.obs_id]
    of = " ".join([*observation, *([] if detector is None else [f"D{detector}"])]) or "of no observation"
    unit = f"in {unit_text(image.unit)}" if str(image.unit) else "without unit"
    facts = [of, *_version(parts), f"shape {image.shape}", unit]
    if image.origin != (0, 0):
        facts.insert(-1, f"from pixel {image.origin} of the full frame")
    if (wavelengths := parts["wavelengths"]) is not None:
        low, high = wavelengths.span(image.box)
        facts.append(f"{low:.4g} to {high:.4g} µm")
    loaded = _loaded(parts)
    facts.append(f"with {loaded}" if loaded else "without other planes")
    return f"<{type(image).__name__} {', '.join(facts)}>"


def unit_text(unit: u.UnitBase) -> str:
    """Return a unit as people read it, such as MJy² / sr²; files have what their standard says."""
    text: str = unit.to_string("unicode", fraction="inline")
    return text


def _loaded(parts: dict[str, Any]) -> str:
    later = {"PSF": "PSF (read on first use)"} if isinstance(parts["psf"], DeferredPSF) else {}
    return ", ".join(later.get(name, name) for name in PLANES if parts[_PARTS[name]] is not None)


_PARTS = dict(zip(PLANES, ("flags", "variance", "zodi", "psf", "wavelengths"), strict=True))


def _version(parts: dict[str, Any]) -> list[str]:
    """Return the version of the pipeline, and the release in whose form the PSF is; a header names no release."""
    version, psf = parts["primary_header"].get("VERSION"), parts["psf"]
    known = psf is not None and not isinstance(psf, DeferredPSF)
    form = [f"form of {'QR3' if psf.is_effective else 'QR2'}"] if known else []
    return [*([] if version is None else [f"pipeline {str(version).strip()}"]), *form]


def as_html(image: Any) -> str:
    """Return what an image is of as HTML: a small picture of it, and its numbers beside.

    It is what a notebook shows. Text has the colour of the page, so that it is readable on dark ones as well.
    """
    name = escape(type(image).__name__)
    facts = {fact: _told(tell, image) for fact, tell in _FACTS.items()}
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(fact)}</th><td style="text-align:left">{escape(text)}</td></tr>'
        for fact, text in facts.items()
        if text
    )
    return (
        f'<div style="display:flex;gap:1em;align-items:flex-start">{_picture(image)}'
        f'<div><strong>{name}</strong><table style="color:inherit;font-size:inherit">{rows}</table></div></div>'
    )


def _picture(image: Any) -> str:
    if 0 in image.data.shape:
        return ""
    picture = b64encode(thumbnail(image.data, _mask(image))).decode()
    rows, columns = image.data.shape
    scale = _SIDE / max(rows, columns)
    width, height = (max(1, round(side * scale)) for side in (columns, rows))
    return (
        f'<img src="data:image/png;base64,{picture}" width="{width}" height="{height}" alt="the image, y upwards" '
        'style="image-rendering:pixelated;border:1px solid currentColor;max-width:none"/>'
    )


def _told(tell: Callable[[Any], str], image: Any) -> str:
    """Return a fact, or why it is not known: what is damaged keeps no other from being shown."""
    try:
        return tell(image)
    except Exception as error:  # noqa: BLE001 - wcslib's errors have no common base, and a notebook shows the rest
        return reason_of(error)


def _mask(image: Any) -> Any:
    try:
        return image.mask
    except SpherexButlerError:
        return None


def _observation(image: Any) -> str:
    detector = image._parts()["header"].get("DETECTOR")
    return ", ".join(filter(None, (image.obs_id, None if detector is None else f"detector {detector}")))


def _size(image: Any) -> str:
    rows, columns = image.data.shape
    origin = image.origin
    place = "" if origin == (0, 0) else f", from pixel {origin} of the full frame"
    return f"{columns} × {rows} pixels{place}"


def _span(image: Any) -> str:
    wavelengths = image._parts()["wavelengths"]
    return "" if wavelengths is None else "{:.4g} to {:.4g} µm".format(*wavelengths.span(image.box))


def _middle(image: Any) -> str:
    if image.wcs is None or not image.wcs.has_celestial:
        return ""
    rows, columns = image.data.shape
    middle = image.wcs.celestial.pixel_to_world((columns - 1) / 2, (rows - 1) / 2).icrs
    return f"RA {middle.ra.deg:.5f}°, Dec {middle.dec.deg:+.5f}°"


def _brightness(image: Any) -> str:
    mask = _mask(image)
    good = np.isfinite(image.data) if mask is None else np.isfinite(image.data) & ~mask
    if not good.any():
        return "no pixel with a value"
    found = BrightnessRange.of(image.data, mask)
    unit = f" {unit_text(image.unit)}" if str(image.unit) else ""
    return f"median {np.median(image.data[good]):.4g}{unit}; most from {found.low:.4g} to {found.high:.4g}"


def _spoilt(image: Any) -> str:
    missing = float(np.isnan(image.data).mean()) if image.data.size else 0
    shares = {"masked": 0 if image.mask is None else float(image.mask.mean()), "NaN": missing}
    return ", ".join(
        f"{share:.2%} {name}"
        for name, share in shares.items()
        if share or (name == "masked" and image.mask is not None)
    )


_SIDE = 160  # pixels of the page
_FACTS: dict[str, Callable[[Any], str]] = {
    "observation": _observation,
    "pipeline": lambda image: ", ".join(_version(image._parts())).removeprefix("pipeline "),
    "size": _size,
    "wavelengths": _span,
    "middle": _middle,
    "brightness": _brightness,
    "pixels": _spoilt,
    "planes": lambda image: _loaded(image._parts()),
}
"""What a notebook shows, by name; what is not known is left out."""
