"""Which calibrations an image was made with, from the ``HISTORY [CALIB]`` cards of its header."""

from __future__ import annotations

__all__ = ("list_calibrations", "read_calibrations")

import re
import uuid

from astropy.io import fits

_CALIBRATION = re.compile(r"\[CALIB\]\s+(\S+)\s+([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")


def read_calibrations(header: fits.Header) -> dict[str, uuid.UUID]:
    """Return the Butler id of each calibration used, by dataset type; of several of a type, the last."""
    return dict(list_calibrations(header))


def list_calibrations(header: fits.Header) -> list[tuple[str, uuid.UUID]]:
    """Return dataset type and Butler id of every calibration used, in the header's order, each pair once."""
    history = "\n".join(str(line) for line in header.get("HISTORY", []))
    return list(dict.fromkeys((name, uuid.UUID(text)) for name, text in _CALIBRATION.findall(history)))
