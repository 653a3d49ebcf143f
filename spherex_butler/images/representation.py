"""An image in one line: what it is of, and what of it is loaded."""

from __future__ import annotations

__all__ = ("one_line",)

from typing import Any

from .level2 import PLANES
from .psf import DeferredPSF


def one_line(image: Any) -> str:
    """Return what an image is of and what it has, without reading or computing pixels.

    It is the ``repr`` of a `~spherex_butler.SpectralImage`.
    """
    parts = image._parts()
    header = parts["header"]
    detector = header.get("DETECTOR")
    observation = [] if image.obs_id is None else [image.obs_id]
    of = " ".join([*observation, *([] if detector is None else [f"D{detector}"])]) or "of no observation"
    facts = [of, *_version(parts), f"shape {image.shape}", f"in {image.unit}" if str(image.unit) else "without unit"]
    if image.origin != (0, 0):
        facts.insert(-1, f"from pixel {image.origin} of the full frame")
    if (wavelengths := parts["wavelengths"]) is not None:
        low, high = wavelengths.span(image.box)
        facts.append(f"{low:.4g} to {high:.4g} µm")
    loaded = [name for name in PLANES if parts[_PARTS[name]] is not None]
    later = {"PSF": "PSF (read on first use)"} if isinstance(parts["psf"], DeferredPSF) else {}
    facts.append(f"with {', '.join(later.get(name, name) for name in loaded)}" if loaded else "without other planes")
    return f"<{type(image).__name__} {', '.join(facts)}>"


_PARTS = dict(zip(PLANES, ("flags", "variance", "zodi", "psf", "wavelengths"), strict=True))


def _version(parts: dict[str, Any]) -> list[str]:
    """Return the version of the pipeline, and the release in whose form the PSF is; a header names no release."""
    version, psf = parts["primary_header"].get("VERSION"), parts["psf"]
    known = psf is not None and not isinstance(psf, DeferredPSF)
    form = [f"form of {'QR3' if psf.is_effective else 'QR2'}"] if known else []
    return [*([] if version is None else [f"pipeline {str(version).strip()}"]), *form]
