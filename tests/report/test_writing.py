"""The page appears whole or not at all, and replaces nothing unasked."""

from __future__ import annotations

import pytest
from made_once import new_repo
from report_pages import parsed, said, section

from spherex_butler.errors import FormatError
from spherex_butler.report import report_page, write_report
from spherex_butler.verify import check_repository


@pytest.fixture(scope="module")
def butler():
    with new_repo() as butler:
        yield butler


def test_it_is_written_once_and_replaced_when_asked(butler, tmp_path):
    path = tmp_path / "report.html"
    write_report(butler, path)
    first = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"report.html' exists; pass overwrite=True to replace it"):
        write_report(butler, path)
    assert path.read_bytes() == first
    path.write_text("another")
    write_report(butler, path, overwrite=True)
    assert said(parsed(path.read_text(encoding="utf-8")).find(".//h1")) == "repository"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_nothing_is_left_of_one_that_fails(butler, tmp_path):
    with pytest.raises(FormatError):
        write_report(butler, tmp_path / "report.html", verify=__file__)
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_nothing_is_not_overwritten(butler, tmp_path):
    path = tmp_path / "report.html"
    path.symlink_to(tmp_path / "elsewhere.html")
    with pytest.raises(FileExistsError, match="exists"):
        write_report(butler, path)
    assert not (tmp_path / "elsewhere.html").exists()


def test_folders_are_refused_before_anything_is_counted(butler, tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; expected the name of a file"):
        write_report(butler, tmp_path)
    with pytest.raises(NotADirectoryError, match="nowhere' is not a folder; expected one for the page"):
        write_report(butler, tmp_path / "nowhere" / "report.html")


def test_a_check_that_was_made_is_shown(butler):
    text = report_page(butler, verify=check_repository(butler))
    assert "No problems found. 0 images, 0 datasets, 0 files." in said(section(parsed(text), "checks"))


def test_a_check_is_made_when_asked(butler, tmp_path):
    write_report(butler, tmp_path / "report.html", verify=True)
    text = said(section(parsed((tmp_path / "report.html").read_text(encoding="utf-8")), "checks"))
    assert "No problems found. 0 images, 0 datasets, 0 files (checked 20" in text
