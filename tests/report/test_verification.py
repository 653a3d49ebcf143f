"""What a check found, as the page shows it; read from the file that verify wrote it is the same."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from astropy.time import Time
from damage import images, lose_regions, path_of
from made_once import copy_exposures, copy_repo, open_repo
from report_pages import said

from spherex_butler.errors import FormatError
from spherex_butler.ingest import ingest_files
from spherex_butler.report.markup import element
from spherex_butler.report.verification import Verification, read_verification, verification_section
from spherex_butler.repository.json_values import json_text
from spherex_butler.verify import Kind, RepositoryFinding, RepositoryReport, check_repository


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> RepositoryReport:
    """What is found in a repository that lost a file and the regions of a detector."""
    folder = tmp_path_factory.mktemp("verification")
    with open_repo(copy_repo(folder / "repo")) as butler:
        ingest_files(butler, copy_exposures(folder / "files"), transfer="copy")
        lose_regions(butler, "detector = 1")
        path_of(butler, images(butler)[1]).unlink()
        return check_repository(butler)


def shown(found: Verification | None) -> ET.Element:
    return ET.fromstring(element("div", *verification_section(found, "repo")))


def test_problems_are_counted_by_kind_with_what_to_do(report):
    found = shown(Verification(report, Time("2026-01-02T03:04:05")))
    assert said(found.find("p")).startswith(
        "2 problems found. 6 images, 12 datasets, 12 files (checked 2026-01-02 03:04 UTC"
    )
    cells = [[said(cell) for cell in row] for row in found.iter("tr")]
    assert ["region row missing", "problem", "1"] in [row[:3] for row in cells]
    assert any(row[0] == "file missing" and "butler spherex verify repo --fix --from PATH" in row[3] for row in cells)
    assert not any(row[3].endswith(":") for row in cells[1:])
    assert [said(one) for one in found.iter("summary")][:2] == [
        "region row missing (1 listed)",
        "file missing (1 listed)",
    ]


def test_a_file_of_verify_gives_the_same(report, tmp_path):
    path = tmp_path / "found.json"
    path.write_text(json_text(report.to_dict() | {"repairs": []}))
    found = read_verification(path)
    assert found.report.to_dict() == {
        **report.to_dict(),
        "findings": [one.to_dict() | {"dataset": None} for one in report.findings],
    }
    assert "read from found.json, which was written" in said(shown(found).find("p"))


def test_what_was_repaired_is_said_to_be(report, tmp_path):
    repairs = [{"subject": one.subject, "done": True, "message": "done"} for one in report.problems]
    path = tmp_path / "found.json"
    path.write_text(json_text(report.to_dict() | {"repairs": repairs}))
    text = said(shown(read_verification(path)))
    assert text.startswith("All problems were repaired.")
    assert text.count("Repaired.") == 2


def test_nothing_wrong_is_said_to_be():
    found = shown(Verification(RepositoryReport((), {"images": 1234}, {}, {}), Time("2026-01-01")))
    assert said(found).startswith("No problems found. 1,234 images")


def test_of_many_findings_a_hundred_are_listed_and_all_are_counted():
    findings = tuple(RepositoryFinding(Kind.FILE_MISSING, f"<b>{number}", "is not there") for number in range(250))
    found = shown(Verification(RepositoryReport(findings, {}, {Kind.FILE_MISSING: 4000}, {}), Time("2026-01-01")))
    assert len(found.findall(".//li")) == 100
    assert "4,250 problems found." in said(found)
    assert "150 more in the report of verify; 4,000 not listed" in said(found)
    assert said(found.find(".//li")) == "<b>0: is not there"


def test_kinds_of_which_none_is_listed_are_counted():
    found = shown(Verification(RepositoryReport((), {}, {Kind.HEADER: 7}, {Kind.REGION_NULL: 2}), Time("2026-01-01")))
    assert [[said(cell) for cell in row][:3] for row in found.iter("tr")][1:] == [
        ["header of another dataset", "problem", "7"],
        ["off the sky", "note", "2"],
    ]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"findings": 3}',
        '{"findings": [{"kind": "odd"}], "unlisted": {}, "unlisted_notes": {}, "checked": {}}',
    ],
)
def test_a_file_of_something_else_is_refused(content, tmp_path):
    path = tmp_path / "found.json"
    path.write_text(content)
    with pytest.raises(
        FormatError, match=r"found.json' is not what a check of a repository found .*verify REPO --report"
    ):
        read_verification(path)


def test_binary_files_are_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="is not what a check"):
        read_verification(tmp_path / "x")


def test_the_file_is_what_the_command_writes(report):
    assert set(json.loads(json_text(report.to_dict()))) == {"ok", "checked", "findings", "unlisted", "unlisted_notes"}
