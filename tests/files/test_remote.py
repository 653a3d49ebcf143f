"""Byte ranges of remote files: through failing, stalling and truncating servers, and ones without ranges."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from http_server import serve
from lsst.resources import ResourcePath

from spherex_butler.errors import FormatError
from spherex_butler.files.remote import NoRangesError, download, remote_ranges

CONTENT = bytes(range(256)) * 400
SIZE = len(CONTENT)
SPANS = [(0, 10), (1000, 70_000), (SIZE - 5, SIZE)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").write_bytes(CONTENT)
    return tmp_path


def read(served, spans=SPANS, *, name="data", size=SIZE, silence=30.0):
    uri = ResourcePath(f"{served.url}/{name}")
    return remote_ranges(uri, size, pauses=(0.0, 0.01, 0.01), silence=silence)(spans)


def expected(spans=SPANS):
    return [CONTENT[start:stop] for start, stop in spans]


def test_every_range_is_one_request(folder):
    with serve(folder) as served:
        assert read(served) == expected()
        assert sorted(wanted for _, _, wanted, _ in served.requests) == sorted(
            f"bytes={start}-{stop - 1}" for start, stop in SPANS
        )


def test_ranges_are_fetched_at_once(folder):
    with serve(folder, latency=0.3) as served:
        start = time.perf_counter()
        read(served)
        assert time.perf_counter() - start < 0.7
        assert len(served.requests) == 3


@pytest.mark.parametrize("problem", ["503", "reset", "cut", "short", "stall"])
def test_passing_fault_is_retried_and_nothing_else_asked_again(folder, problem):
    with serve(folder, fault=lambda number: problem if number == 1 else None) as served:
        assert read(served, silence=0.5) == expected()
        assert len(served.requests) >= len(SPANS) + 1


@pytest.mark.parametrize(
    ("problem", "said"),
    [("503", "503"), ("reset", "Disconnected|reset"), ("cut", "Payload"), ("short", "5 bytes came instead of 10")],
)
def test_lasting_fault_is_a_clear_error(folder, problem, said):
    with (
        serve(folder, fault=lambda _: problem) as served,
        pytest.raises(OSError, match=rf"bytes \(0, 10\) could not be read in 3 attempts: .*({said})"),
    ):
        read(served, [(0, 10)])


def test_missing_file_is_not_retried(folder):
    with serve(folder) as served:
        with pytest.raises(FileNotFoundError):
            read(served, [(0, 10)], name="nothing")
        assert len(served.requests) == 1


def test_server_without_ranges_is_told_apart(folder):
    with serve(folder, ranges=False) as served, pytest.raises(NoRangesError, match="it knows no byte ranges"):
        read(served, [(0, 10)])


def test_range_past_the_end_of_a_file_of_unknown_size_is_cut_short(folder):
    with serve(folder) as served:
        found = read(served, [(SIZE - 5, SIZE + 100), (SIZE + 1, SIZE + 10)], size=None)
    assert found == [CONTENT[-5:], b""]


@pytest.mark.parametrize("url", ["https://example.org/data", "s3://bucket/data"])
def test_without_the_extra_the_file_can_only_be_fetched_whole(monkeypatch, url):
    uri = ResourcePath(url)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(NoRangesError, match=f"{url} can only be fetched whole: .*aiohttp"):
        remote_ranges(uri)


# Downloads.


@pytest.fixture
def copied(folder: Path) -> Path:
    (folder / "copy").touch()
    return folder / "copy"


@pytest.mark.parametrize("fault", [None, "503", "reset", "cut", "short"])
def test_download_is_whole(folder, copied, fault):
    with serve(folder, fault=lambda number: fault if number == 2 else None) as served:
        download(ResourcePath(f"{served.url}/data"), copied, piece=40_000)
        requests = [wanted for method, _, wanted, _ in served.requests if method == "GET"]
    assert copied.read_bytes() == CONTENT
    assert len(requests) == 3 + (fault is not None)


def test_download_from_a_server_without_ranges(folder, copied):
    with serve(folder, ranges=False) as served:
        download(ResourcePath(f"{served.url}/data"), copied)
    assert copied.read_bytes() == CONTENT


def test_download_without_the_extra_is_checked_too(folder, copied, monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with serve(folder) as served:
        uri = ResourcePath(f"{served.url}/data")
        download(uri, copied)
        assert copied.read_bytes() == CONTENT
        monkeypatch.setattr(type(uri), "size", lambda _: 300_000)
        with pytest.raises(FormatError, match=rf"Of '.*/data' {SIZE} bytes came; expected 300000"):
            download(uri, copied)
