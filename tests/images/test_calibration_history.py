from __future__ import annotations

import uuid

from astropy.io import fits

from spherex_butler.images.calibration_history import list_calibrations, read_calibrations

FIRST, SECOND = (uuid.UUID(text) for text in ("0d47d467-abe7-4583-b55d-3e9357b06aae", "1" * 32))


def header(*lines):
    header = fits.Header()
    for line in lines:
        header.add_history(line)
    return header


def test_calibrations_come_from_history():
    found = header(f"[CALIB] dark {FIRST}", "[CALIB] epsf not-a-uuid", "[CALIB] nonfunc " + "-" * 36, "[CALIB]")
    assert read_calibrations(found) == {"dark": FIRST}
    assert read_calibrations(header()) == {}


def test_type_with_two_ids_is_listed_twice():
    found = header(*(f"[CALIB] dark {value}" for value in (FIRST, SECOND, FIRST)))
    assert list_calibrations(found) == [("dark", FIRST), ("dark", SECOND)]
    assert read_calibrations(found) == {"dark": SECOND}
