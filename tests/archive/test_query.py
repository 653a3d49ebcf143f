from __future__ import annotations

import socket

import numpy as np
import pytest
from archive_samples import ADQL, IRIS, M31, planned_of
from astropy.time import Time
from vo_server import serve_archive

from spherex_butler.archive.query import query_adql, query_sia, query_tap
from spherex_butler.errors import FormatError, ParameterError

WEEKS = (Time(61000, format="mjd"), Time(61050, format="mjd"))


@pytest.fixture
def archive():
    with serve_archive() as services:
        yield services


def sia(archive, **options):
    """Ask the image search."""
    return query_sia(service=f"{archive.url}/SIA", **{"time": WEEKS, "collections": ["spherex_qr2"], **options})


def images(tables):
    return sorted(file.uri for file in planned_of(tables))


def real():
    return sorted(images(M31) + images(IRIS))


# The image search


def test_the_whole_sky_is_asked_for_in_parts_that_have_every_image_once(archive):
    assert images(sia(archive)) == real()
    times = [[f"{begin:.1f} {begin + 10:.1f}"] for begin in (61000, 61010, 61020, 61030, 61040)]
    assert [query["TIME"] for query in archive.asked] == times
    assert {tuple(query) for query in archive.asked} == {("TIME", "COLLECTION", "MAXREC")}


def test_an_image_over_a_boundary_is_found_once(archive):
    boundary = 61027.2155  # within the first exposure
    begin, middle, end = Time([boundary - 10, boundary, boundary + 10], format="mjd")
    assert [len(table) for table in sia(archive, time=(begin, end))] == [1, 4]
    (table,) = sia(archive, time=(middle, Time(61030, format="mjd")))
    assert list(table["obs_id"]) == ["2025W51_2A_0258_2"]  # the first began before


def test_a_position_is_asked_for_at_once_with_its_radius(archive):
    assert images(sia(archive, position=(10.68, 41.27, 0.5))) == images(M31)
    (query,) = archive.asked
    assert query["POS"] == ["CIRCLE 10.68 41.27 0.5"]
    assert query["TIME"] == ["61000.0 61050.0"]


def test_by_default_images_of_all_collections_from_launch_to_now_are_asked_for(archive):
    before = Time.now().mjd
    assert images(query_sia(position=(10.68, 41.27, 0.5), service=f"{archive.url}/SIA")) == images(M31)
    collections = [query["COLLECTION"] for query in archive.asked]
    assert collections == [["spherex_qr2"], ["spherex_qr2_deep"], ["spherex_qr3"], ["spherex_qr3_deep"]]
    begin, end = map(float, archive.asked[0]["TIME"][0].split())
    assert begin == 60745
    assert before <= end <= Time.now().mjd


@pytest.mark.parametrize("silent", [False, True])
def test_an_answer_that_was_cut_off_is_asked_for_again_in_halves(silent):
    with serve_archive(silent=silent) as archive:
        assert images(sia(archive, position=(10.68, 41.27, 0.5), maxrec=2)) == images(M31)
    assert len(archive.asked) > 3
    assert {tuple(query["MAXREC"]) for query in archive.asked} == {("2",)}


def test_a_limit_of_the_service_is_met_as_well():
    with serve_archive(limit=2) as archive:
        assert images(sia(archive)) == real()


def test_an_answer_that_stays_cut_off_is_an_error(archive):
    message = r"cut its answer off after 1 rows \(overflow\); ask again with a greater MAXREC"
    with pytest.raises(FormatError, match=message):
        list(sia(archive, maxrec=1))


# Tables by TAP


def test_tables_are_asked_for_in_parts_as_jobs_that_are_deleted(archive):
    assert images(query_tap(time=WEEKS, service=f"{archive.url}/TAP")) == real()
    assert len(archive.jobs) == 5
    assert sorted(archive.deleted) == [1, 2, 3, 4, 5]
    assert "time_bounds_lower >= 61000.0 AND p.time_bounds_lower < 61010.0" in archive.jobs[1]["QUERY"]
    assert "a.producttype = 'science'" in archive.jobs[1]["QUERY"]


def test_images_that_cover_a_point_are_asked_for_at_once(archive):
    found = images(query_tap(position=(np.float64(162.1), 0.5), time=WEEKS, service=f"{archive.url}/TAP"))
    assert found == images(IRIS)
    assert len(archive.jobs) == 1


def test_a_job_is_waited_for_but_not_for_ever():
    with serve_archive(looks=3) as archive:
        assert len(images(query_adql(ADQL, service=f"{archive.url}/TAP"))) == 8
    assert archive.looked[1] > 3
    with serve_archive(looks=1000) as archive:
        said = rf"{archive.url}/TAP gave no table: the job .*/async/1 is still EXECUTING after 0\.5 s"
        with pytest.raises(ConnectionError, match=said):
            list(query_adql(ADQL, service=f"{archive.url}/TAP", timeout=0.5))
    assert archive.deleted == [1]


def test_a_query_of_ones_own_is_taken_whole_or_not(archive):
    with pytest.raises(FormatError, match=r"cut its answer off after 3 rows \(overflow\); .*, or in parts, by time\."):
        list(query_adql(ADQL, service=f"{archive.url}/TAP", maxrec=3))


def test_what_the_service_says_of_a_query_is_said(archive):
    with pytest.raises(ParameterError, match=r"/TAP refused the query: .*ADQL syntax: unexpected 'SELEKT' <line 1>"):
        list(query_adql("SELEKT 1", service=f"{archive.url}/TAP"))
    assert archive.deleted == [1]


# What goes wrong


NO_CIRCLES = [(-1, 0, 1), (10, 91, 1), (10, 0, 91), (10, 0, 0), (10, float("nan"), 1)]
REFUSAL = (
    b'<VOTABLE><RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">too busy</INFO></RESOURCE></VOTABLE>'
)
SAID = "gave no table: "
HINT = r"/TAP gave no table: .* Look whether the URL is right, or try again"


@pytest.mark.parametrize(
    ("path", "answer", "error", "message"),
    [
        ("/SIA", (200, "text/xml", REFUSAL), ParameterError, "refused the query: too busy"),
        ("/SIA", (400, "text/xml", REFUSAL), (ParameterError, ConnectionError), "too busy"),
        ("/SIA", (503, "text/plain", b"down for maintenance"), ConnectionError, "gave no table: down for maintenance"),
        ("/SIA", (504, "text/html", b"<html>Gateway</html>"), ConnectionError, "gave no table: 504 Server Error"),
        ("/SIA", (200, "text/html", b"<html>Welcome</html>"), ConnectionError, SAID),
        ("/SIA", (200, "text/xml", b"<VOTABLE><RESOURCE type="), ConnectionError, SAID),
        ("/SIA", (200, "text/xml", b""), ConnectionError, SAID),
        ("/TAP", (503, "text/plain", b"down"), ConnectionError, HINT),
        ("/TAP", (200, "text/html", b"<html>Welcome</html>"), ConnectionError, HINT),
        ("/TAP", (200, "text/xml", b"<uws:job"), ConnectionError, HINT),
        ("/TAP", (404, "text/plain", b"nothing here"), ConnectionError, HINT),
        ("/results/result", (503, "text/plain", b"down"), ConnectionError, SAID),
        ("/results/result", (200, "text/xml", b"<VOTABLE><RESOURCE"), ConnectionError, SAID),
    ],
)
def test_answers_that_are_no_tables_are_said(path, answer, error, message):
    with serve_archive(answer=lambda asked: answer if path in asked else None) as archive:
        query = sia(archive) if path == "/SIA" else query_adql(ADQL, service=f"{archive.url}/TAP")
        with pytest.raises(error, match=message):
            list(query)
    assert archive.deleted == ([1] if path == "/results/result" else [])


def test_a_service_that_says_nothing_or_is_not_there_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = f"http://127.0.0.1:{listener.getsockname()[1]}/SIA"
        with pytest.raises(ConnectionError, match=r"gave no table: .*timed out"):
            list(query_sia(time=WEEKS, service=service, timeout=0.3))
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1.* gave no table: .*refused"):
        list(query_sia(time=WEEKS, service=service))


@pytest.mark.parametrize(
    "service", ["file:///etc/passwd", "ftp://host/SIA", "irsa.ipac.caltech.edu/SIA", "", "https://"]
)
@pytest.mark.parametrize("ask", [query_sia, query_tap, lambda **options: query_adql(ADQL, **options)])
def test_only_web_services_are_asked(ask, service):
    with pytest.raises(ParameterError, match="is not a web service; expected an http:// or https:// URL"):
        ask(service=service)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"position": circle}, "are not a circle; expected degrees within") for circle in NO_CIRCLES),
        ({"time": WEEKS[::-1]}, r"is not a range; expected the earlier time first\."),
        ({"maxrec": 0}, "allow no answer; expected more than 0"),
        ({"timeout": 0}, "allow no answer; expected more than 0"),
    ],
)
def test_options_without_meaning_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        query_sia(**options)


def test_without_pyvo_it_is_said_what_to_install(run_python):
    script = """
import sys
sys.modules["pyvo"] = None
from spherex_butler.archive.query import query_sia
from spherex_butler.errors import ConfigurationError
try:
    query_sia()
except ConfigurationError as error:
    print(error)
"""
    assert run_python(script).strip() == "Asking services needs pyvo: pip install 'spherex-butler[archive]'."
