"""The page: its numbers are the repository's, it asks for nothing, and nothing that it shows is more than text."""

from __future__ import annotations

import base64
import hashlib
import re
import stat
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from astropy.time import Time
from calibration_repositories import DARK, NEWER_DARK, register
from damage import damage, lose_regions
from lsst.daf.butler import Butler, CollectionType, Timespan
from made_once import copy_repo, new_repo, open_repo
from missions import IMAGES, NEW, OLD, register_mission
from report_pages import parsed, rows, said, section

from spherex_butler.calibrations import certify
from spherex_butler.errors import ConfigurationError
from spherex_butler.report import report_page
from spherex_butler.repository import opening
from spherex_butler.search import coverage

HOSTILE = "<script>alert(1)</script>"
PERIODS = 3
TOTAL = PERIODS * IMAGES + 50


@pytest.fixture(scope="module")
def butler() -> Iterator[Butler]:
    """Images of three planning periods, two darks one after the other, and names that would like to be markup."""
    with new_repo() as butler:
        register_mission(butler, periods=PERIODS)
        for token in (DARK, NEWER_DARK):
            register(butler, "dark", token, range(1, 7))
        certify(butler, "dark", rule="explicit", token=DARK, end="2025-05-03")
        certify(butler, "dark", rule="explicit", token=NEWER_DARK, begin="2025-05-03")
        refs = register(butler, "nonfunc", f"u/{HOSTILE}", [1])
        butler.collections.register(f"calib/{HOSTILE}", CollectionType.CALIBRATION)
        butler.registry.certify(f"calib/{HOSTILE}", refs, Timespan(Time("2025-05-01"), None))
        first = "(SELECT id FROM exposure ORDER BY id LIMIT 3)"
        damage(butler, f"UPDATE exposure SET science_program = '{HOSTILE}' WHERE id IN {first}")
        yield butler


@pytest.fixture(scope="module")
def text(butler: Butler) -> str:
    return report_page(butler, repo="my repo")


@pytest.fixture(scope="module")
def page(text: str) -> ET.Element:
    return parsed(text)


@pytest.fixture(scope="module")
def empty() -> str:
    with new_repo() as butler:
        return report_page(butler)


def test_images_are_counted_by_release_detector_and_planning_period(page):
    assert rows(page, "Images by release") == {"qr2": [f"{PERIODS + 1}", f"{TOTAL - 30}"], "qr3": ["1", "30"]}
    detectors = rows(page, "Images by detector")
    assert sum(int(cells[1]) for cells in detectors.values()) == TOTAL
    periods = rows(page, "Images by planning period")
    assert {name: cells[1:3] for name, cells in periods.items()} == {
        "2025W18_1A": ["20", f"{IMAGES + 50}"],
        "2025W18_2A": ["20", f"{IMAGES}"],
        "2025W19_1A": ["20", f"{IMAGES}"],
    }
    for cells in periods.values():
        assert sum(map(int, cells[3:9])) == int(cells[2])
    assert [cells[9] for cells in periods.values()] == ["qr2", "qr2", "qr2, qr3"]
    assert periods["2025W18_1A"][0].startswith("2025-04-28 00:")
    assert [said(tile) for tile in page.findall(".//header/ul/li")][:5] == [
        f"{TOTAL} images",
        f"{PERIODS * IMAGES // 6} exposures",
        "3 planning periods",
        "5 processings",
        "13 calibrations",
    ]


def test_surveys_are_counted(page):
    assert rows(page, "Exposures by survey") == {"not known": ["57"], HOSTILE: ["3"]}


def test_superseded_images_are_those_that_a_search_does_not_find(butler, page):
    found = Counter(ref.run for ref in butler.query_datasets("level2", "SPHEREx/defaults"))
    processings = rows(page, "Processings, as they are searched")
    assert {f"spx/{name}": int(cells[2]) - int(cells[3]) for name, cells in processings.items()} == found
    assert processings[OLD.removeprefix("spx/")] == ["qr2", "1", f"{IMAGES}", "50"]
    assert list(processings)[:2] == ["l2b-v27-2025-162", NEW.removeprefix("spx/")]
    assert f"{TOTAL} images in 5 processings. 50 (12.2 %) are superseded" in said(section(page, "processings"))


def test_runs_that_are_not_searched_are_said_to_be():
    with new_repo() as butler:
        register_mission(butler, periods=1, again=0, newest=0)
        butler.collections.remove_from_chain("SPHEREx/qr2", OLD)
        found = section(parsed(report_page(butler)), "processings")
        assert "None is superseded. 120 are in runs that are not searched by default." in said(found)
        assert rows(found, "Processings, as they are searched")["l2b-v20-2025-148"][3] == "not searched"


def test_sky_and_channels_are_those_of_coverage(butler, page):
    expected = coverage(butler, order=6, channels=True)
    assert f"{PERIODS * IMAGES} images with a place on the sky" in said(section(page, "sky"))
    assert f"the most {expected.depth.max():,} times" in said(section(page, "sky"))
    channels = rows(page, "Spectral channels")
    assert len(channels) == 102
    assert {name: int(cells[4]) for name, cells in channels.items()} == {
        f"D{detector}, {channel}": int(depth.max()) for (detector, channel), depth in expected.channels.items()
    }
    assert len(section(page, "channels").findall(".//g")) == 102


def test_calibrations_and_their_validity_are_listed_and_drawn(page):
    found = section(page, "calibrations")
    assert rows(found, "Calibrations by type")["dark"] == ["12", "12", f"{DARK}, {NEWER_DARK}"]
    titles = [said(title) for title in found.findall(".//svg//g/title")]
    assert titles[:2] == [
        f"dark D1: {DARK}, valid until 2025-05-03T00:00:00 UTC",
        f"dark D1: {NEWER_DARK}, valid from 2025-05-03T00:00:00 UTC",
    ]
    assert [said(heading) for heading in found.findall("h3")] == [
        "Validity in SPHEREx/calib",
        f"Validity in calib/{HOSTILE}",
    ]


def test_it_says_what_the_repository_is(butler, page):
    found = said(section(page, "repository"))
    assert butler.get_datastore_roots()["SPHEREx"].ospath in found
    for expected in ("sqlite:///", "spherex 1", "30.2026.", "SPHEREx/qr3, SPHEREx/qr2, SPHEREx/calib"):
        assert expected in found
    assert re.search(r"This page made ?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", found)


def test_it_has_no_script_and_asks_for_nothing(text, page):
    tags = {element.tag for element in page.iter()}
    assert not tags & {"script", "iframe", "object", "embed", "form", "base", "audio", "video", "img", "use"}
    for element in page.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on"), f"{element.tag} has {name}"
            if name in {"href", "src", "srcset", "action", "data", "poster"} or name.endswith("}href"):
                assert value.startswith(("#", "data:")), value
    assert {meta.get("http-equiv") for meta in page.iter("meta")} == {None, "Content-Security-Policy"}
    style = page.find("head/style").text
    assert not re.search(r"url\(|@import|https?:|image-set|src:", style)
    assert "http" not in text.replace("http-equiv", "")


def test_its_policy_forbids_all_but_its_own_style_and_pictures(text, page):
    policy = page.find("head/meta[@http-equiv='Content-Security-Policy']").get("content")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not any(element.get("style") for element in page.iter())


def test_names_that_look_like_markup_are_text(text, page):
    assert HOSTILE not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert f"u/{HOSTILE}" in rows(page, f"Validity in calib/{HOSTILE}")["nonfunc"]


@pytest.mark.parametrize("which", ["text", "empty"])
def test_it_can_be_read_without_eyes(which, request):
    page = parsed(request.getfixturevalue(which))
    assert page.get("lang") == "en"
    assert [said(heading) for heading in page.iter("h1")] != [""]
    levels = [int(element.tag[1]) for element in page.iter() if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for table in page.iter("table"):
        assert said(table.find("caption"))
        assert all(heading.get("scope") in {"col", "row"} for heading in table.iter("th"))
    for picture in page.iter("svg"):
        assert picture.get("aria-hidden") == "true" or (picture.get("role") == "img" and said(picture.find("title")))
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    links = [link.get("href") for link in page.iter("a")]
    assert {link.removeprefix("#") for link in links} == set(ids)


def test_an_empty_repository_says_what_to_do(empty):
    page = parsed(empty)
    assert [one.get("id") for one in page.iter("section")] == ["repository", "images", "calibrations", "checks"]
    assert "There are no images yet. butler spherex ingest REPO FOLDER" in said(section(page, "images"))
    assert "There are no calibrations yet" in said(section(page, "calibrations"))
    assert "butler spherex report REPO -o FILE --verify makes one first" in said(section(page, "checks"))


def test_commands_are_those_for_the_repository_as_it_was_given(page):
    assert "butler spherex verify 'my repo' --report FILE" in said(section(page, "checks"))


def test_images_without_a_place_on_the_sky_are_counted_all_the_same():
    with new_repo() as butler:
        register_mission(butler, periods=1, again=0, newest=0)
        lose_regions(butler)
        page = parsed(report_page(butler))
    assert "No image has its place on the sky on record" in said(section(page, "sky"))
    assert rows(page, "Images by release") == {"qr2": ["1", f"{IMAGES}"]}


def test_calibrations_that_are_valid_at_no_time_are_said_to_be():
    with new_repo() as butler:
        register(butler, "dark", DARK)
        found = section(parsed(report_page(butler)), "calibrations")
    assert rows(found, "Calibrations by type") == {"dark": ["3", "0", "none"]}
    assert "None of them is valid at any time" in said(found)


def test_a_repository_that_may_not_be_written_to_is_shown(tmp_path):
    repo = copy_repo(tmp_path / "repo")
    with open_repo(repo) as butler:
        register_mission(butler, periods=1, again=0, newest=0)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [repo, *repo.rglob("*")]}
    before = {path: path.stat().st_mtime_ns for path in modes}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    with opening.open_repo(repo) as butler:
        page = parsed(report_page(butler))
    assert {path: path.stat().st_mtime_ns for path in modes} == before
    for path, mode in modes.items():
        path.chmod(mode)
    assert rows(page, "Images by release") == {"qr2": ["1", f"{IMAGES}"]}


def test_a_repository_of_another_universe_is_refused(tmp_path: Path):
    Butler.makeRepo(tmp_path / "repo")
    with Butler.from_config(tmp_path / "repo") as butler, pytest.raises(ConfigurationError, match="universe"):
        report_page(butler)
