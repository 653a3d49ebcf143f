"""Byte ranges of local files, and of what gzipped ones hold."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits import byte_ranges
from spherex_butler.formats.fits.byte_ranges import LocalRanges, UnzippedRanges

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


def unzipped(content: bytes, name: str = "The file") -> UnzippedRanges:
    return UnzippedRanges(io.BytesIO(content), len(content), name)


def test_ranges_of_a_gzipped_file_are_of_what_it_holds():
    read_ranges = unzipped(ZIPPED)
    assert read_ranges.size is None
    assert (read_ranges(SPANS), read_ranges.size) == (EXPECTED, len(CONTENT))


@pytest.mark.parametrize("content", [ZIPPED[:-20], ZIPPED[:15] + b"\xff" * 40 + ZIPPED[55:], b"SIMPLE"])
def test_spoilt_gzipped_file_is_refused(content):
    with pytest.raises(FormatError, match=r"'x\.fits\.gz' is gzipped and cannot be unzipped: .*; get it again"):
        unzipped(content, "'x.fits.gz'")([(0, len(CONTENT))])


def test_no_more_is_unzipped_than_is_asked_for():
    noise = np.random.default_rng(1).bytes(1 << 20)
    stream = io.BytesIO(gzip.compress(noise))
    assert UnzippedRanges(stream, len(stream.getvalue()))([(10, 20)]) == [noise[10:20]]
    assert stream.tell() < 1 << 18


def test_far_more_than_the_size_lets_expect_is_not_unzipped(monkeypatch):
    monkeypatch.setattr(byte_ranges, "_UNZIPPED", 1 << 20)
    bomb = gzip.compress(b"0" * (1 << 22)) * 100  # 400 MiB in 400 kB
    with pytest.raises(FormatError, match=r"'x\.fits\.gz' is gzipped and holds more than [\d,]+ bytes, far more"):
        unzipped(bomb, "'x.fits.gz'")([(0, 1 << 40)])
