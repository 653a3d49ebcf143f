"""Simulated HDUs, and the real headers that they imitate."""

from __future__ import annotations

import io
from importlib.resources import files

from astropy.io import fits

from spherex_butler.testing import level2_hdulist

REAL = {
    name: fits.Header.fromstring(
        (files("spherex_butler.testing") / "data" / f"{name.lower()}_header.txt").read_text(), sep="\n"
    )
    for name in ("IMAGE", "FLAGS")
}
DETECTORS = range(1, 7)


def hdulist(**options):
    return level2_hdulist(**{"size": 32, **options})


def written(hdus):
    """Return the HDUs as a reader gets them."""
    stream = io.BytesIO()
    hdus.writeto(stream)
    return fits.open(io.BytesIO(stream.getvalue()), memmap=False)


def pixel_flags(header):
    return {name[3:]: 1 << header[name] for name in header if name.startswith("MP_")}
