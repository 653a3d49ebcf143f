"""`SpectralImage` from a web server: parts by byte ranges, in few requests, and never half an image."""

from __future__ import annotations

import itertools
import shutil
import socket
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from archive_samples import FIRST_KEY, sia_table
from http_server import exchange, serve
from image_samples import assert_same
from lsst.daf.butler import Butler, DatasetRef
from lsst.resources.http import HttpResourcePath

from spherex_butler import SpectralImage
from spherex_butler.archive import ingest_archive_table
from spherex_butler.errors import SpherexButlerWarning
from spherex_butler.files.transports import connections_at_once
from spherex_butler.files.waiting import TIMEOUT_VARIABLE
from spherex_butler.formatters.fits import kept_open
from spherex_butler.ingest import ingest_files
from spherex_butler.testing import write_level2


@pytest.fixture(scope="module", params=["qr2", "qr3"])
def path(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frame large enough that a cutout is a small part of it."""
    return write_level2(tmp_path_factory.mktemp(request.param), release=request.param, detector=3, size=1024)


@pytest.fixture(scope="module")
def full(path) -> SpectralImage:
    return SpectralImage.read(path)


def ingested(butler: Butler, served, path: Path) -> DatasetRef:
    (ref,) = ingest_files(butler, f"{served.url}/{path.name}", transfer="direct").ingested
    served.requests.clear()
    return ref


def test_cutout_is_that_of_the_file_in_nine_requests(butler, path, full):
    center = full.wcs.pixel_to_world(300.2, 511.7)
    with serve(path.parent) as served:
        ref = ingested(butler, served, path)
        found = butler.get(ref, parameters={"center": center, "size": 3 * u.arcmin})
        methods = [method for method, *_ in served.requests]
        assert methods == ["GET"] * len(methods)
        assert len(methods) <= 9
        assert_same(found, full.cutout(center, 3 * u.arcmin), psf=False)


def test_cutout_of_an_image_that_a_table_registered_takes_as_few(butler, tmp_path):
    table = sia_table()[:1]  # without a request, so that the size is not known
    folder = tmp_path / Path(FIRST_KEY).parent
    path = write_level2(folder, detector=3, size=1024)
    full = SpectralImage.read(path)
    with serve(tmp_path) as served:
        report = ingest_archive_table(butler, table, access=served.url)
        assert (len(report.ingested), served.requests) == (1, [])
        found = butler.get(report.ingested[0], parameters={"bbox": (600, 620, 700, 710)})
        assert len(served.requests) <= 9
    assert_same(found, full.cutout(bbox=(600, 620, 700, 710)), psf=False)


@pytest.mark.parametrize("version", [lambda data: {"ETag": f'"{zlib.crc32(data)}"'}, lambda _: {}])
def test_cutout_of_an_image_that_is_replaced_meanwhile_is_refused(butler, path, tmp_path, version):
    own = Path(shutil.copy(path, tmp_path))
    data = own.read_bytes()
    other = data[::-1] if version(data) else data + bytes(2880)  # of another size where nothing else tells them apart
    armed: list[bool] = []

    def replace(number: int) -> None:
        if armed and number == 4:
            exchange(own, other)

    with serve(tmp_path, version=version, fault=replace) as served:
        ref = ingested(butler, served, own)
        armed.append(True)
        with pytest.raises(Exception, match=r"was replaced while it was read|bytes; expected"):
            butler.get(ref, parameters={"bbox": (600, 620, 700, 710)})


def test_remote_cutout_at_numbers_that_were_probably_degrees_warns(butler, path):
    with serve(path.parent) as served:
        ref = ingested(butler, served, path)
        with pytest.warns(SpherexButlerWarning, match=r"20.0% of .* center=\(505, 900\) is in pixels, not degrees"):
            found = butler.get(ref, parameters={"center": (505, 900), "size": 10})
    assert found.shape == (10, 2)


def test_psf_of_a_cutout_is_loaded_on_first_use(butler, path, full):
    with serve(path.parent) as served:
        ref = ingested(butler, served, path)
        found = butler.get(ref, parameters={"bbox": (600, 620, 700, 710)})
        before = len(served.requests)
        part = found.cutout(bbox=(605, 610, 700, 705))
        assert len(served.requests) == before
        expected = full.cutout(bbox=(605, 610, 700, 705))
        assert np.array_equal(part.psf.at(1, 2), expected.psf.at(1, 2))
        loaded = len(served.requests)
        assert loaded > before
        assert found.psf.origin == (600, 700)
        assert len(served.requests) == loaded


@pytest.mark.parametrize(("component", "taken"), [(None, lambda image: image.copy().psf), ("psf", lambda psf: psf)])
def test_psf_of_a_copy_and_as_a_component_needs_no_server(butler, path, full, component, taken):
    with serve(path.parent) as served:
        ref = ingested(butler, served, path)
        ref = ref if component is None else ref.makeComponentRef(component)
        psf = taken(butler.get(ref, parameters={"bbox": (600, 620, 700, 710)}))
    assert psf.origin == (600, 700)
    assert np.array_equal(psf.kernels, full.psf.kernels)


def test_planes_limit_what_is_fetched(butler, path, full):
    with serve(path.parent) as served:
        ref = ingested(butler, served, path)
        found = butler.get(ref, parameters={"bbox": (600, 620, 700, 710), "planes": ["FLAGS"]})
        assert len(served.requests) <= 4
    assert np.array_equal(found.flags, full.cutout(bbox=(600, 620, 700, 710)).flags)


@pytest.mark.parametrize(
    ("component", "requests"),
    [("header", 1), ("wcs", 1), ("shape", 1), ("footprint", 1), ("wavelength", 2), ("flags", 3), ("zodi", 6)],
)
def test_component_takes_few_requests(butler, path, full, component, requests):
    with serve(path.parent) as served:
        ref = ingested(butler, served, path)
        found = butler.get(ref.makeComponentRef(component), parameters={"bbox": (600, 620, 700, 710)})
        assert len(served.requests) <= requests
    if component in {"flags", "zodi", "wavelength"}:
        assert np.array_equal(found, getattr(full.cutout(bbox=(600, 620, 700, 710)), component))


def test_whole_image_is_downloaded_once_and_serves_cutouts_too(butler, path, full):
    with serve(path.parent) as served:
        ref = ingested(butler, served, path)
        assert_same(butler.get(ref), full)
        served.requests.clear()
        found = butler.get(ref, parameters={"bbox": (600, 620, 700, 710)})
        assert [r for r in served.requests if r[0] == "GET"] == []
    assert_same(found, full.cutout(bbox=(600, 620, 700, 710)))


def test_server_without_ranges_still_works(butler, path, full):
    with serve(path.parent, ranges=False) as served:
        ref = ingested(butler, served, path)
        assert_same(butler.get(ref, parameters={"bbox": (600, 620, 700, 710)}), full.cutout(bbox=(600, 620, 700, 710)))


def test_every_third_request_failing_changes_nothing(butler, path, full):
    faults: list[int] = []
    problems = itertools.cycle(["503", "reset", "cut", "short"])
    with serve(path.parent, fault=lambda number: next(problems) if faults and number % 3 == 0 else None) as served:
        ref = ingested(butler, served, path)
        faults.append(1)
        found = butler.get(ref, parameters={"bbox": (600, 620, 700, 710)})
        assert len(served.requests) >= 12
    assert_same(found, full.cutout(bbox=(600, 620, 700, 710)), psf=False)


@pytest.mark.parametrize("path", ["qr2"], indirect=True)
def test_server_that_goes_on_failing_gives_an_error_and_no_image(butler, path):
    faults: list[int] = []
    with serve(path.parent, fault=lambda number: "short" if faults and number > 1 else None) as served:
        ref = ingested(butler, served, path)
        faults.append(1)
        with pytest.raises(ValueError, match="could not be read in 3 attempts"):
            butler.get(ref, parameters={"bbox": (600, 620, 700, 710)})


def test_whole_image_of_a_silent_server_is_given_up(butler, tmp_path, monkeypatch):
    path = write_level2(tmp_path, size=16)
    with serve(tmp_path) as served:
        ref = ingested(butler, served, path)
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.2")
    monkeypatch.setattr(HttpResourcePath._config, "_timeout", None)
    port = int(served.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):  # which accepts connections and never answers
        start = time.perf_counter()
        with pytest.raises(Exception, match=r"[Tt]imed out|[Tt]imeout"):
            butler.get(ref)
        assert time.perf_counter() - start < 60


def test_cutouts_of_a_file_that_is_kept_open_take_four_requests_after_the_first(butler, path, full):
    boxes = [(600, 620, 700, 710), (530, 590, 540, 640), (600, 620, 700, 710), (1500, 1532, 1510, 1532)]
    with serve(path.parent) as served:
        ref = ingested(butler, served, path)
        taken = []
        with kept_open():
            for box in boxes:
                served.requests.clear()
                found = butler.get(ref, parameters={"bbox": box})
                taken.append(len(served.requests))
                assert_same(found, full.cutout(bbox=box), psf=False)
            served.requests.clear()
            assert found.psf.origin == (1500, 1510)
            assert len(served.requests) <= 3
        assert taken[0] == 9
        assert max(taken[1:]) <= 4 + (path.parent.name[:3] == "qr3")
        served.requests.clear()
        butler.get(ref, parameters={"bbox": boxes[0]})
        assert len(served.requests) == 9


def test_connections_to_a_server_are_bounded_over_all_threads(butler, path):
    under_way = Counter()

    def count(_: int) -> None:
        under_way["now"] += 1
        under_way["most"] = max(under_way["most"], under_way["now"])
        time.sleep(0.01)
        under_way["now"] -= 1

    with serve(path.parent, fault=count) as served:
        ref = ingested(butler, served, path)
        under_way.clear()
        with connections_at_once(3), ThreadPoolExecutor(6) as pool:
            tasks = [
                pool.submit(copy_context().run, butler.get, ref, parameters={"bbox": (n, n + 20, n, n + 30)})
                for n in range(600, 900, 50)
            ]
            assert [task.result().shape for task in tasks] == [(30, 20)] * 6
    assert under_way["most"] == 3
