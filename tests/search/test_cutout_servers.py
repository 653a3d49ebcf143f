"""When a server counts as refusing, and when it is given up; and cutouts from an S3 store."""

from __future__ import annotations

import contextlib
from pathlib import Path

import aiohttp
import astropy.units as u
import pytest
import requests
from astropy.table import Table
from botocore.exceptions import ClientError
from image_samples import assert_same
from made_once import copy_exposures, copy_repo, open_repo
from multidict import CIMultiDict, CIMultiDictProxy
from s3_server import serve_bucket
from s3fs.errors import translate_boto_error
from yarl import URL

from spherex_butler import SpectralImage
from spherex_butler.errors import FormatError
from spherex_butler.ingest import ingest_files
from spherex_butler.search import get_cutouts
from spherex_butler.search.cutout_plan import LOCAL
from spherex_butler.search.cutout_servers import REFUSALS, Server

SERVER = "https://archive"


def by_aiohttp(status: int) -> Exception:
    url = URL(SERVER)
    info = aiohttp.RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict()), url)
    return aiohttp.ClientResponseError(info, (), status=status, message="no")


def by_requests(status: int) -> Exception:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("no", response=response)


def by_s3(code: str) -> Exception:
    found = translate_boto_error(ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject"))
    assert isinstance(found, Exception)
    return found


def wrapped(error: Exception) -> Exception:
    """Return an error as our reader and then Butler pass it on."""
    for kind in (OSError, ValueError):
        outer = kind("could not be read in 3 attempts")
        outer.__cause__ = error
        error = outer
    return error


REFUSING = {
    **{f"aiohttp {status}": by_aiohttp(status) for status in (401, 403, 429, 503)},
    **{f"requests {status}": by_requests(status) for status in (403, 429, 503)},
    **{f"s3 {code}": by_s3(code) for code in ("SlowDown", "AccessDenied", "503")},
}
OTHERS = {
    "aiohttp 500": by_aiohttp(500),
    "requests 404": by_requests(404),
    "s3 NoSuchKey": by_s3("NoSuchKey"),
    "file": FormatError("no FITS file"),
    "time": TimeoutError(),
}


@pytest.mark.parametrize("name", REFUSING)
def test_server_that_refuses_is_given_up(name):
    server = Server(SERVER, [])
    for number in range(REFUSALS):
        assert server.given_up is None, number
        assert server.note(wrapped(REFUSING[name]))
    assert server.given_up.startswith(f"{SERVER} refused {REFUSALS} images in a row and was not asked any more, the ")


@pytest.mark.parametrize("name", OTHERS)
def test_other_errors_are_no_refusals(name):
    server = Server(SERVER, [])
    assert not any(server.note(wrapped(OTHERS[name])) for _ in range(3 * REFUSALS))
    assert server.given_up is None


def test_error_that_is_its_own_cause_is_looked_at_once():
    error = OSError("no")
    error.__cause__ = error
    assert not Server(SERVER, []).note(error)


def test_success_and_local_files_begin_anew():
    server, local = Server(SERVER, []), Server(LOCAL, [])
    for _ in range(3 * REFUSALS):
        server.note(wrapped(by_aiohttp(503)))
        server.note(None)
        assert not local.note(PermissionError("of a file"))
    assert (server.given_up, local.given_up) == (None, None)


def test_cutouts_come_from_s3_and_an_object_that_is_gone_is_one_failure(tmp_path):
    files = copy_exposures(tmp_path / "files", size=64)[:3]
    with serve_bucket("store") as bucket:
        folder = copy_repo(tmp_path / "repo", datastore_root=f"{bucket.url}/images")
        with contextlib.closing(open_repo(folder)) as butler:
            refs = sorted(ingest_files(butler, files, transfer="copy").ingested)
            bucket.client.delete_object(Bucket="store", Key=butler.getURI(refs[1]).relativeToPathRoot)
        with contextlib.closing(open_repo(folder)) as butler:
            table = Table({"dataset_id": [str(ref.id) for ref in refs], "x": [1020.0] * 3, "y": [1010.0] * 3})
            cutouts = get_cutouts(butler, table, 30 * u.arcsec, folder=Path(tmp_path / "out"))
            assert [failed.row for failed in cutouts.failed] == [1]
            assert "FileNotFoundError" in cutouts[1].reason
            assert all(wanted for _, _, wanted, _ in bucket.gets)
            full = SpectralImage.read(files[0])
            in_memory = get_cutouts(butler, table[:1], 30 * u.arcsec)
            assert_same(in_memory[0], full.cutout((1020.0, 1010.0), 30 * u.arcsec), psf=False)
