from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.images.flags import USABLE_FLAGS, bit_mask, default_bad_flags, flagged, read_flag_definitions
from spherex_butler.testing.templates import flags_template

QR2_NAMES = "TRANSIENT OVERFLOW SUR_ERROR PHANTOM REFERENCE NONFUNC DICHROIC MISSING_DATA HOT COLD FULLSAMPLE PHANMISS"
QR2_NAMES += " NONLINEAR PERSIST OUTLIER SOURCE"
QR2 = dict(zip(QR2_NAMES.split(), (0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 19, 21), strict=True))
DEFINITIONS = {"HOT": 3, "SOURCE": 21, "SNOWBALL": 27}


def qr3_header(**cards):
    named = {"MSKN0003": "HOT     ", "MSKM0003": 1 << 3, "MSKN0021": "SOURCE", "MSKM0021": 1 << 21}
    return fits.Header(list((named | cards).items()))


def test_definitions_of_the_real_qr2_header_come_in_order_of_bits():
    definitions = read_flag_definitions(flags_template())
    assert {name: definitions[name] for name in QR2} == QR2
    assert list(definitions.values()) == sorted(definitions.values())


def test_definitions_of_qr3_cards_whose_numbers_need_not_be_bits():
    header = qr3_header(MSKN0001="COLD", MSKM0001=1 << 10)
    assert read_flag_definitions(header) == {"HOT": 3, "COLD": 10, "SOURCE": 21}


def test_header_without_flags_defines_none():
    assert read_flag_definitions(fits.Header()) == {}


NO_BIT = "FLAGS card MP_HOT is {!r}; expected a bit number from 0 to 30"
NO_POWER = r"FLAGS card MSKM0003 is {!r}; expected a power of two below 2\*\*31"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        *((fits.Header([("MP_HOT", value)]), NO_BIT.format(value)) for value in (31, -1, 1.0, True, "3")),
        *((qr3_header(MSKM0003=value), NO_POWER.format(value)) for value in (0, 3, -8, 1 << 31, True, "8")),
        (qr3_header(MSKN0009="COLD"), "FLAGS card MSKM0009 is None; expected a power of two"),
        (qr3_header(MSKN0004="COLD", MSKM0004=8), r"gives one bit to two flags: .*'HOT': 3"),
        (qr3_header(MP_HOT=5), "defines 'HOT' twice; expected one bit for each flag"),
    ],
)
def test_impossible_definition_is_refused(header, message):
    with pytest.raises(FormatError, match=message):
        read_flag_definitions(header)


def test_default_bad_flags_are_all_but_those_the_archives_mosaics_keep():
    definitions = read_flag_definitions(flags_template())
    assert set(default_bad_flags(definitions)) == set(definitions) - {"OVERFLOW", "FULLSAMPLE", "OUTLIER", "SOURCE"}
    assert set(definitions) >= USABLE_FLAGS


def test_bit_mask_is_the_sum_of_the_bits():
    assert bit_mask(DEFINITIONS, ["HOT", "SOURCE", "HOT"]) == (1 << 3) + (1 << 21)
    assert bit_mask(DEFINITIONS, []) == 0


def test_unknown_flag_is_refused_with_those_there_are():
    with pytest.raises(ParameterError, match=r"no flag 'WARM'; this image defines \['HOT', 'SNOWBALL', 'SOURCE'\]"):
        bit_mask(DEFINITIONS, ["WARM"])


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64", "uint8", "int16", ">i4"])
def test_flagged_pixels_in_any_integer_type(dtype):
    flags = np.array([[0, 8, 9, 7]]).astype(dtype)
    assert flagged(flags, DEFINITIONS).tolist() == [[False, True, True, False]]


def test_usable_flags_spoil_no_pixel_unless_asked():
    flags = np.array([1 << 21, 1 << 27], np.int32)
    assert flagged(flags, DEFINITIONS).tolist() == [False, True]
    assert flagged(flags, DEFINITIONS, ["SOURCE"]).tolist() == [True, False]
    assert flagged(flags, DEFINITIONS, []).tolist() == [False, False]
