"""Byte ranges of local files, and of what gzipped ones hold."""

from __future__ import annotations

import gzip

import pytest

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits.byte_ranges import local_ranges, unzipped_ranges

CONTENT = bytes(range(256)) * 40
ZIPPED = gzip.compress(CONTENT)


@pytest.mark.parametrize("content", [CONTENT, ZIPPED, b""])
def test_ranges_are_of_the_content_and_outlive_the_file(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    whole = CONTENT if content else b""
    with local_ranges(path) as (read_ranges, size):
        found = read_ranges([(3, 8), (10_000, 20_000), (4, 4)])
    path.unlink()
    assert (size, found) == (len(whole), [whole[3:8], whole[10_000:], b""])


@pytest.mark.parametrize("content", [ZIPPED[:-20], ZIPPED[:15] + b"\xff" * 40 + ZIPPED[55:], b"SIMPLE"])
def test_spoilt_gzipped_file_is_refused(content):
    with pytest.raises(FormatError, match=r"'x\.fits\.gz' is gzipped and cannot be unzipped: .*; get it again"):
        unzipped_ranges(content, "'x.fits.gz'")
