"""Clients of the Virtual Observatory ask a server that really runs."""

from __future__ import annotations

import io
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from xml.etree import ElementTree as ET

import astropy.units as u
import pytest
from astropy.io.votable import parse, validate
from astropy.table import Table
from astropy.time import Time
from command_line import run
from made_once import copy_exposures, copy_repo, open_repo
from obscore_samples import archive_repo, archive_rows
from pyvo.dal import DALQueryError
from pyvo.dal.sia2 import SIA2Service
from running_service import running_service

from spherex_butler.ingest import ingest_files
from spherex_butler.service.sia import answer


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with archive_repo(folder / "repo", obscore=False):
        pass
    with running_service(folder / "repo") as address:
        yield address


@pytest.fixture(scope="module")
def service(address) -> SIA2Service:
    return SIA2Service(address)


def got(address: str, *parameters: tuple[str, str], post: bool = False) -> bytes:
    query = urllib.parse.urlencode(parameters)
    url, body = (address, query.encode()) if post else (f"{address}?{query}", None)
    with urllib.request.urlopen(url, body, timeout=60) as response:
        return response.read()


def ids_of(content: bytes) -> list[str]:
    return parse(io.BytesIO(content)).get_first_table().to_table()["obs_id"].tolist()


def test_circle_finds_the_archives_rows(service):
    found = service.search(pos=(10.085 * u.deg, 42.0 * u.deg, 0.01 * u.deg)).to_table()
    theirs = {row["obs_publisher_did"]: row for row in archive_rows().values()}
    assert len(found) >= 2
    for row in found:
        expected = theirs[row["obs_publisher_did"]]
        assert row["access_url"] == expected["access_url"]
        assert (row["t_min"], row["t_max"], row["em_min"]) == (expected["t_min"], expected["t_max"], expected["em_min"])


@pytest.mark.parametrize(
    ("pos", "number"),
    [
        ((162.1 * u.deg, 0.5 * u.deg, 0.1 * u.deg), 2),
        ((162 * u.deg, 163 * u.deg, 0 * u.deg, 1 * u.deg), 2),
        ((162 * u.deg, 0 * u.deg, 163 * u.deg, 0 * u.deg, 163 * u.deg, 1 * u.deg), 2),
        ((200 * u.deg, 60 * u.deg, 1 * u.deg), 0),
        ((200 * u.deg, 201 * u.deg, 60 * u.deg, 61 * u.deg), 0),
    ],
    ids=["circle", "range", "polygon", "circle elsewhere", "range elsewhere"],
)
def test_positions_of_all_shapes_are_understood(service, pos, number):
    assert len(service.search(pos=pos).to_table()) == number


def test_band_and_time_are_understood(service):
    assert set(service.search(band=(1.2 * u.um, 1.4 * u.um)).to_table()["energy_bandpassname"]) == {"SPHEREx-D2"}
    assert len(service.search(band=(1.64 * u.um, 1.64 * u.um)).to_table()) == 6  # D2 and D3 overlap there
    found = service.search(
        time=(Time(61027, format="mjd"), Time(61028, format="mjd")), band=(1.7 * u.um, 5 * u.um)
    ).to_table()
    assert found["obs_id"].tolist() == ["2025W51_1A_0684_2"]


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"instrument": "SPHEREx"}, 8),
        ({"instrument": "Spitzer"}, 0),
        ({"exptime": (100 * u.s, 120 * u.s)}, 8),
        ({"exptime": (200 * u.s, float("inf") * u.s)}, 0),
        ({"publisher_did": "ivo://irsa.ipac/spherex_qr2?2025W49_1A_0332_1/D2"}, 1),
        ({"publisher_did": "IVO://irsa.ipac/SPHEREX_QR2?2025w49_1A_0332_1/d2"}, 1),  # identifiers are, in any case
        ({"publisher_did": "ivo://irsa.ipac/spherex_qr2?2025W49_1A_0332_1/D3"}, 0),
        ({"publisher_did": "ivo://elsewhere/image"}, 0),
        ({"collection": "spherex_qr2"}, 8),
        ({"collection": "spherex_qr3"}, 0),
        ({"calib_level": 2, "data_type": "image"}, 8),
        ({"calib_level": 3}, 0),
        ({"target_name": "SPS_37425"}, 1),
        ({"timeres": (0 * u.s, 1e9 * u.s)}, 0),  # which is not known
    ],
)
def test_other_parameters_are_understood(service, query, number):
    assert len(service.search(**query).to_table()) == number


def test_more_rows_than_asked_for_are_an_overflow(service, address):
    found = service.search(instrument="SPHEREx", maxrec=3)
    assert len(found.to_table()) == 3
    for most, status in (("3", "OVERFLOW"), ("0", "OVERFLOW"), ("8", "OK")):
        infos = parse(io.BytesIO(got(address, ("MAXREC", most)))).resources[0].infos
        assert [info.value for info in infos if info.name == "QUERY_STATUS"][-1] == status


def test_answer_is_a_valid_votable(address, tmp_path):
    for number, parameters in enumerate([[("POS", "CIRCLE 10 42 1")], [("MAXREC", "0")], [("MAXREC", "1")]]):
        path = tmp_path / f"{number}.xml"
        path.write_bytes(got(address, *parameters))
        assert validate(str(path), output=io.StringIO())


def test_query_may_be_posted_with_names_in_any_case(address):
    assert len(ids_of(got(address, ("pos", "CIRCLE 162.1 0.5 0.1"), ("Collection", "spherex_qr2"), post=True))) == 2


def test_answer_is_csv_if_asked_for(address):
    content = got(address, ("TARGET", "SPS_37425"), ("RESPONSEFORMAT", "text/csv"))
    assert Table.read(content.decode(), format="ascii.csv")["obs_id"].tolist() == ["2025W49_1A_0332_1"]


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (("POS", "SQUARE 1 2"), "POS='SQUARE 1 2': Unrecognized shape in POS string 'SQUARE 1 2'; expected 'CIRCLE"),
        (("POS", "CIRCLE 10 95 1"), "POS='CIRCLE 10 95 1': .*; expected 'CIRCLE"),
        (
            ("POS", "CIRCLE 10 42 -1"),
            "POS='CIRCLE 10 42 -1': the radius has to be from 0 to 180 degrees",
        ),
        (("POS", "CIRCLE 10 42 inf"), "the radius has to be from 0 to 180 degrees"),
        (("POS", "CIRCLE nan 42 1"), "POS='CIRCLE nan 42 1': a number is NaN; expected"),
        (("POS", "POLYGON 9 40 nan 40 11 42"), "POS='POLYGON 9 40 nan 40 11 42': a number is NaN"),
        (("POS", "RANGE 9 11 42 40"), "POS='RANGE 9 11 42 40': it is empty; the lower latitude has to come first"),
        (("POS", "\x00\x01"), "Unrecognized shape"),  # in XML, which has no such characters
        (("POS", "x" * 1000), f"^POS='{'x' * 100}…': .{{100}}…; expected"),
        (("BAND", "1 2 3"), "BAND='1 2 3': these are 3 numbers; expected metres such as '1.2e-6 1.4e-6'"),
        (("TIME", "2 1"), "TIME='2 1': the first has to be the smaller one; expected MJD such as"),
        (("EXPTIME", "long"), "EXPTIME='long': these are not numbers; expected"),
        (("MAXREC", "-1"), "MAXREC='-1': it is negative; expected a whole number from 0"),
        (("MAXREC", "1.5"), "MAXREC='1.5': it is not a whole number; expected"),
        (("MAXREC", "1_0"), "MAXREC='1_0': it is not a whole number; expected"),
        (("MAXREC", "\uff11\uff10"), "MAXREC='\uff11\uff10': it is not a whole number; expected"),
        (("MAXREC", "9" * 5000), "it is not a whole number"),
        (("BAND", "1_0"), "BAND='1_0': these are not numbers; expected metres"),
        (("TIME", "\u0661 2"), "these are not numbers; expected MJD"),
        (("POS", "CIRCLE 1_0 42 1"), "POS='CIRCLE 1_0 42 1': these are not numbers; expected"),
        (("POS", "CIRCLE \uff11 42 1"), "these are not numbers; expected 'CIRCLE"),
        (("RESPONSEFORMAT", "fits"), "RESPONSEFORMAT='fits' is not known here; expected one of votable, csv"),
        (("UPLOAD", "table,param:one"), "UPLOAD is not supported here"),
    ],
)
def test_wrong_query_is_told_in_a_votable(address, parameter, message):
    with pytest.raises(urllib.error.HTTPError, match="400") as error:
        got(address, parameter)
    (info,) = parse(io.BytesIO(error.value.read())).resources[0].infos
    assert (info.name, info.value) == ("QUERY_STATUS", "ERROR")
    assert re.search(message, info.content)


def test_client_raises_what_is_wrong(service):
    with pytest.raises(DALQueryError, match="UPLOAD is not supported here"):
        service.search(UPLOAD="table,param:one")


@pytest.mark.parametrize(
    ("time", "number"),
    [("99999 100001", 0), ("-50000 -40000", 0), ("-99999 61012", 2), ("61012 99999", 6), ("-Inf +Inf", 8)],
)
def test_times_may_be_beyond_butlers(address, time, number):
    assert len(ids_of(got(address, ("TIME", time)))) == number


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_body_of_another_kind_is_refused_instead_of_ignored(address, kind):
    request = urllib.request.Request(address, b"POS=CIRCLE 10 42 1", {"Content-Type": kind})
    with pytest.raises(urllib.error.HTTPError, match="415") as error:
        urllib.request.urlopen(request, timeout=60)
    assert b"expected 'application/x-www-form-urlencoded'" in error.value.read()


def test_failure_on_the_way_breaks_csv_and_is_told_in_a_votable():
    def rows():
        yield {"obs_id": "first"}
        raise LookupError("the table is gone")

    told = b"".join(answer(rows(), "votable", most=10))
    infos = [info for info in parse(io.BytesIO(told)).resources[0].infos if info.name == "QUERY_STATUS"]
    assert (infos[-1].value, infos[-1].content) == ("ERROR", "LookupError: the table is gone")
    with pytest.raises(LookupError, match="the table is gone"):
        list(answer(rows(), "csv", most=10))


def test_parameter_given_twice_is_refused(address):
    with pytest.raises(urllib.error.HTTPError) as error:
        got(address, ("MAXREC", "1"), ("MAXREC", "2"))
    assert b"MAXREC was given 2 times; expected it once" in error.value.read()


def test_service_says_what_it_is(service, address):
    assert b"<available>true</available>" in got(f"{address}/availability")
    assert service.query_ep == address
    root = ET.fromstring(got(f"{address}/capabilities"))
    standards = {element.get("standardID") for element in root.iter("capability")}
    assert standards == {
        "ivo://ivoa.net/std/SIA#query-2.0",
        "ivo://ivoa.net/std/VOSI#capabilities",
        "ivo://ivoa.net/std/VOSI#availability",
    }


def test_nothing_can_be_changed(address):
    for method in ("PUT", "DELETE", "PATCH"):
        request = urllib.request.Request(address, method=method)
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(request, timeout=60)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    with open_repo(copy_repo(folder / "repo")) as butler:
        ingest_files(butler, copy_exposures(folder / "files"), transfer="copy")
        paths = [butler.getURI(ref).ospath for ref in butler.query_datasets("level2", "SPHEREx/defaults")]
    with running_service(folder / "repo") as address:
        yield address, paths


def test_local_files_are_served_whole_and_in_parts(local):
    address, paths = local
    rows = SIA2Service(address).search(instrument="SPHEREx").to_table()
    contents = {path.rpartition("/")[2]: Path(path).read_bytes() for path in paths}
    assert len(rows) == 6
    for url in rows["access_url"]:
        assert url.startswith(address.removesuffix("/sia") + "/files/")
        with urllib.request.urlopen(url, timeout=60) as response:
            assert response.headers["Content-Type"] == "image/fits"
            assert response.read() == contents[url.rpartition("/")[2]]
    part = urllib.request.Request(url, headers={"Range": "bytes=2880-2889"})
    with urllib.request.urlopen(part, timeout=60) as response:
        assert (response.status, response.read()) == (206, contents[url.rpartition("/")[2]][2880:2890])


def test_other_files_are_not_served(local):
    address, _ = local
    base = address.removesuffix("/sia")
    url = SIA2Service(address).search(instrument="SPHEREx").to_table()["access_url"][0]
    for other in (
        f"{base}/files/none/x.fits",
        f"{base}/files/{'0' * 32}/x.fits",
        f"{url.rpartition('/')[0]}/butler.yaml",
        f"{url.rpartition('/')[0]}/..%2f..%2fbutler.yaml",
        f"{base}/butler.yaml",
    ):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(other, timeout=60)


def test_taken_port_and_foreign_host_are_refused(empty_repo):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = run("serve", empty_repo, "--port", port, code=1)
    assert f"Port {port} of 127.0.0.1 is taken by another program; give another port, or 0" in said
    said = run("serve", empty_repo, "--host", "192.0.2.1", code=1)
    assert "'192.0.2.1' is no address of this machine" in said
