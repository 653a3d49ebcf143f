"""Byte ranges of remote files: through failing, stalling and truncating servers, and ones without ranges."""

from __future__ import annotations

import itertools
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from urllib.request import urlopen

import pytest
from http_server import exchange, serve
from lsst.resources import ResourcePath
from lsst.resources.http import HttpResourcePath, HttpResourcePathConfig

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.files.remote import ChangedFileError, NoRangesError, download, remote_ranges
from spherex_butler.files.waiting import TIMEOUT_VARIABLE, limit_waits, patience

CONTENT = bytes(range(256)) * 400
SIZE = len(CONTENT)
SPANS = [(0, 10), (1000, 70_000), (SIZE - 5, SIZE)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").write_bytes(CONTENT)
    return tmp_path


def read(served, spans=SPANS, *, name="data", size=SIZE):
    uri = ResourcePath(f"{served.url}/{name}")
    return remote_ranges(uri, size, pauses=(0.0, 0.01, 0.01))(spans)


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
def test_passing_fault_is_retried_and_nothing_else_asked_again(folder, problem, monkeypatch):
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.5")
    with serve(folder, fault=lambda number: problem if number == 1 else None) as served:
        assert read(served) == expected()
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


# Versions.


def etag(content: bytes) -> dict[str, str]:
    return {"ETag": f'"{zlib.crc32(content)}"'}


def weak_etag(content: bytes) -> dict[str, str]:
    return {"ETag": f'W/"{zlib.crc32(content)}"'}


def modified(content: bytes) -> dict[str, str]:
    return {"Last-Modified": formatdate(zlib.crc32(content), usegmt=True)}


def both(content: bytes) -> dict[str, str]:
    return etag(content) | modified(content)


VERSIONS = [etag, weak_etag, modified, both]


@pytest.mark.parametrize("version", VERSIONS)
def test_file_that_stays_is_read_whatever_tells_its_version(folder, version):
    with serve(folder, version=version) as served:
        reader = remote_ranges(ResourcePath(f"{served.url}/data"))
        assert [reader([span]) for span in SPANS] == [[part] for part in expected()]
        assert reader.size == SIZE


@pytest.mark.parametrize("version", VERSIONS)
def test_file_that_is_replaced_by_one_of_the_same_size_is_not_mixed(folder, version):
    with serve(folder, version=version) as served:
        reader = remote_ranges(ResourcePath(f"{served.url}/data"), SIZE, pauses=(0.0, 0.01))
        assert reader([SPANS[0]]) == [CONTENT[:10]]
        (folder / "data").write_bytes(CONTENT[::-1])
        with pytest.raises(ChangedFileError, match=r"/data was replaced while it was read: .* read it again"):
            reader([SPANS[1]])


@pytest.mark.parametrize("size", [None, SIZE])
def test_file_that_is_replaced_by_one_of_another_size_is_not_mixed(folder, size):
    with serve(folder) as served:
        reader = remote_ranges(ResourcePath(f"{served.url}/data"), size, pauses=(0.0, 0.01))
        reader([SPANS[0]])
        (folder / "data").write_bytes(CONTENT + b"more")
        with pytest.raises(ChangedFileError, match=rf"has {SIZE + 4} bytes; expected {SIZE}"):
            reader([SPANS[1]])


def test_answers_of_several_versions_to_requests_at_once_are_not_mixed(folder):
    turns = itertools.count()
    with (
        serve(folder, version=lambda _: {"ETag": f'"{next(turns)}"'}) as served,
        pytest.raises(ChangedFileError, match="was replaced while it was read"),
    ):
        read(served)


def test_bytes_from_another_place_are_not_believed(folder):
    with (
        serve(folder, shift=2880) as served,
        pytest.raises(OSError, match=r"bytes from 3880 on came instead of those from 1000 on"),
    ):
        read(served, [(1000, 5000)])


def test_file_of_unknown_size_that_is_cut_off_by_the_server_is_noticed(folder):
    with serve(folder, fault=lambda _: "short") as served, pytest.raises(OSError, match="5 bytes came instead of 10"):
        remote_ranges(ResourcePath(f"{served.url}/data"), pauses=(0.0, 0.01))([(0, 10)])


@pytest.mark.parametrize("status", [400, 401, 403, 405, 410, 418, 451])
def test_refusal_is_told_in_words_and_not_asked_for_again(folder, status):
    with serve(folder, status=lambda _: status) as served:
        with pytest.raises(OSError, match=rf"/data: the server answers {status} .*; expected the bytes of a file"):
            read(served, [(0, 10)])
        assert len(served.requests) == 1


def test_redirects_in_circles_are_told(folder):
    with (
        serve(folder, status=lambda _: 302) as served,
        pytest.raises(OSError, match="/data: the server redirects in circles"),
    ):
        read(served, [(0, 10)])


# Waiting.


@pytest.mark.parametrize("fault", ["stall", "dry"])
def test_silent_server_is_given_up_after_three_tries(folder, fault, monkeypatch):
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.2")
    with serve(folder, fault=lambda _: fault) as served:
        start = time.perf_counter()
        with pytest.raises(OSError, match=r"could not be read in 3 attempts: .*[Tt]imeout"):
            read(served, [(0, 100)])
        assert time.perf_counter() - start < 10
        assert len(served.requests) == 3


def test_lsst_resources_waits_no_longer_than_we_do(monkeypatch):
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.2")
    config = HttpResourcePath._config
    monkeypatch.setattr(config, "_timeout", None)
    limit_waits(ResourcePath("s3://bucket/data"))
    assert config._timeout is None
    limit_waits(ResourcePath("https://host/data"))
    assert config.timeout == (0.2, 0.2)
    monkeypatch.setenv("LSST_HTTP_TIMEOUT_READ", "77")
    monkeypatch.setattr(config, "_timeout", None)
    limit_waits(ResourcePath("https://host/data"))
    assert config.timeout[1] == 77


def test_lsst_resources_by_itself_waits_for_half_an_hour():
    # If this fails, `limit_waits` may no longer be needed.
    assert HttpResourcePathConfig.DEFAULT_TIMEOUT_READ > 1000


def test_patience_is_a_number_of_seconds(monkeypatch):
    assert patience() == (10, 30)
    monkeypatch.setenv(TIMEOUT_VARIABLE, "90")
    assert patience() == (10, 90)
    for text in ("soon", "0", "-3", "nan", "inf"):
        monkeypatch.setenv(TIMEOUT_VARIABLE, text)
        with pytest.raises(ParameterError, match=rf"SPHEREX_BUTLER_TIMEOUT is '{text}'; expected a number of seconds"):
            patience()


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


def test_download_of_a_file_that_is_replaced_is_begun_again(folder, copied):
    def replace(number: int) -> None:
        if number == 3:
            exchange(folder / "data", CONTENT[::-1])

    with serve(folder, fault=replace, version=etag) as served:
        download(ResourcePath(f"{served.url}/data"), copied, piece=20_000)
    assert copied.read_bytes() == CONTENT[::-1]


def test_download_of_a_file_that_is_replaced_time_and_again_is_given_up(folder, copied):
    turns = itertools.count()
    with serve(folder, version=lambda _: {"ETag": f'"{next(turns)}"'}) as served, pytest.raises(ChangedFileError):
        download(ResourcePath(f"{served.url}/data"), copied, piece=20_000)


def test_error_that_will_not_pass_is_not_its_own_cause(tmp_path):
    with serve(tmp_path) as served:
        with pytest.raises(FileNotFoundError) as raised:
            remote_ranges(ResourcePath(f"{served.url}/nothing.fits"))([(0, 80)])
        assert raised.value.__cause__ is None


def test_every_request_to_the_stand_in_has_its_own_number(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    numbers: list[int] = []

    def note(number: int) -> None:
        numbers.append(number)
        time.sleep(0.01)

    with serve(tmp_path, fault=note) as served, ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda _: urlopen(f"{served.url}/file").read(), range(40)))
    assert done == [b"content"] * 40
    assert sorted(numbers) == list(range(40))
