"""Byte ranges of local files, and of what gzipped ones hold."""

from __future__ import annotations

import gzip

import pytest

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits.byte_ranges import LocalRanges, unzipped_ranges

CONTENT = bytes(range(256)) * 40
ZIPPED = gzip.compress(CONTENT, mtime=0)


SPANS = [(3, 8), (10_000, 20_000), (4, 4)]
EXPECTED = [CONTENT[3:8], CONTENT[10_000:], b""]


def test_ranges_of_a_local_file_outlive_it(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    with (tmp_path / "file").open("rb") as stream:
        found = LocalRanges(stream.fileno())(SPANS)
    (tmp_path / "file").unlink()
    assert found == EXPECTED


def test_ranges_of_a_gzipped_file_are_of_what_it_holds():
    read_ranges, size = unzipped_ranges(ZIPPED)
    assert (size, read_ranges(SPANS)) == (len(CONTENT), EXPECTED)


@pytest.mark.parametrize("content", [ZIPPED[:-20], ZIPPED[:15] + b"\xff" * 40 + ZIPPED[55:], b"SIMPLE"])
def test_spoilt_gzipped_file_is_refused(content):
    with pytest.raises(FormatError, match=r"'x\.fits\.gz' is gzipped and cannot be unzipped: .*; get it again"):
        unzipped_ranges(content, "'x.fits.gz'")
