"""Gzipped files: ranges of what they hold, or why they cannot be unzipped."""

from __future__ import annotations

import gzip

import pytest

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits.gzipped import is_gzipped, unzipped_ranges

CONTENT = bytes(range(256)) * 40
ZIPPED = gzip.compress(CONTENT)


def test_ranges_are_of_the_content():
    read_ranges, size = unzipped_ranges(ZIPPED)
    assert size == len(CONTENT)
    assert read_ranges([(3, 8), (10_000, 20_000)]) == [CONTENT[3:8], CONTENT[10_000:]]


def test_gzipped_file_is_known_by_its_start():
    assert is_gzipped(ZIPPED)
    assert not is_gzipped(b"SIMPLE  =")
    assert not is_gzipped(b"")


@pytest.mark.parametrize("content", [ZIPPED[:-20], ZIPPED[:15] + b"\xff" * 40 + ZIPPED[55:], b"SIMPLE"])
def test_spoilt_file_is_refused(content):
    with pytest.raises(FormatError, match=r"'x\.fits\.gz' is gzipped and cannot be unzipped: .*; get it again"):
        unzipped_ranges(content, "'x.fits.gz'")
