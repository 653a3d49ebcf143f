"""Pages of a server: what is at which address, and the report, made while queries are answered."""

from __future__ import annotations

import asyncio
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from made_once import copy_exposures, copy_repo, open_repo
from report_pages import parsed, rows, said
from running_service import running_service

from spherex_butler.ingest import ingest_files
from spherex_butler.service.pages import ReportPages, root_page


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    with open_repo(copy_repo(folder / "my repo")) as butler:
        ingest_files(butler, copy_exposures(folder / "files"), transfer="direct")
    with running_service(folder / "my repo") as address:
        yield address.removesuffix("/sia")


def got(address: str) -> tuple[str, str]:
    """Return the type of a page and its text, come again as often as one is told to."""
    for _ in range(30):
        try:
            with urllib.request.urlopen(address, timeout=60) as response:
                return response.headers["Content-Type"], response.read().decode()
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
    pytest.fail(f"{address} is never there")


def test_root_leads_to_everything(base):
    kind, text = got(f"{base}/")
    assert kind == "text/html; charset=utf-8"
    page = parsed(text)
    assert said(page.find(".//h1")) == "my repo"
    assert f"SIA2Service('{base}/sia')" in text.replace("&#x27;", "'")
    links = [link.get("href") for link in page.iter("a")]
    assert links == ["report", "sia?MAXREC=100&RESPONSEFORMAT=csv", "sia", "sia/capabilities", "sia/availability"]
    for link in links:
        assert got(f"{base}/{link}")[1]


def test_names_on_the_page_are_text():
    assert "<script>" not in root_page("/data/<script>alert(1)</script>", "http://<script>/")


def test_report_is_that_of_the_repository(base):
    kind, text = got(f"{base}/report")
    assert kind == "text/html; charset=utf-8"
    page = parsed(text)
    assert {name: cells[1] for name, cells in rows(page, "Images by detector").items()} == dict.fromkeys(
        ("D1", "D2", "D3", "D4", "D5", "D6"), "1"
    )
    assert "/my repo'" in said(page)  # in commands


def test_nothing_but_reading_is_allowed(base):
    for page in ("", "report"):
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(urllib.request.Request(f"{base}/{page}", b"x"), timeout=60)


# Functions that make a page, of modules because they run in other processes.


def counted_page(_butler: object, log: str) -> str:
    with Path(log).open("a", encoding="utf-8") as file:
        file.write("made\n")
    return f"page {len(Path(log).read_text(encoding='utf-8').split())}"


def awaited_page(_butler: object, permission: str) -> str:
    while not Path(permission).exists():
        time.sleep(0.02)
    return "page at last"


def failing_page(_butler: object, _repo: str) -> str:
    raise LookupError("there is no table 'exposure' in postgresql://user:secret@host/db")


def dying_page(_butler: object, _repo: str) -> str:
    os._exit(9)


def test_all_who_ask_at_once_get_one_report_and_it_is_kept(tmp_path):
    log = tmp_path / "log"

    async def ask() -> list[bytes]:
        pages = ReportPages(None, str(log), make=counted_page, patience=60)
        answers = await asyncio.gather(*(pages.answer(None) for _ in range(5)))
        answers.append(await pages.answer(None))
        return [answer.body for answer in answers]

    assert asyncio.run(ask()) == [b"page 1"] * 6
    assert log.read_text() == "made\n"


def test_report_is_made_anew_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr("spherex_butler.service.pages._KEPT", 0)

    async def ask() -> list[bytes]:
        pages = ReportPages(None, str(tmp_path / "log"), make=counted_page, patience=60)
        return [(await pages.answer(None)).body for _ in range(2)]

    assert asyncio.run(ask()) == [b"page 1", b"page 2"]


def test_who_need_not_wait_for_ever_is_told_to_come_again(tmp_path):
    permission = tmp_path / "permission"

    async def ask() -> None:
        pages = ReportPages(None, str(permission), make=awaited_page, patience=1)
        early = await pages.answer(None)
        assert (early.status_code, early.headers["Retry-After"]) == (503, "1")
        page = parsed(early.body.decode())
        assert said(page.find(".//h1")) == "The report is being made."
        assert [one.get("content") for one in page.iter("meta") if one.get("http-equiv") == "refresh"] == ["1"]
        permission.touch()
        while (late := await pages.answer(None)).status_code != 200:
            pass
        assert late.body == b"page at last"

    asyncio.run(ask())


def test_report_of_before_is_shown_while_the_next_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("spherex_butler.service.pages._KEPT", 0)
    permission = tmp_path / "permission"
    permission.touch()

    async def ask() -> None:
        pages = ReportPages(None, str(permission), make=awaited_page, patience=60)
        await pages.answer(None)
        permission.unlink()
        pages._patience = 0.2
        assert (await pages.answer(None)).body == b"page at last"
        permission.touch()

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (failing_page, "there is no table 'exposure' in postgresql://"),
        (dying_page, "ended by the system or by a crash"),
    ],
)
def test_report_that_cannot_be_made_says_why(make, reason):
    async def ask() -> None:
        pages = ReportPages(None, "REPO", make=make, patience=60)
        for _ in range(2):  # nothing is left of the first failure
            answer = await pages.answer(None)
            text = said(parsed(answer.body.decode()))
            assert answer.status_code == 500
            assert reason in text
            assert "secret" not in text

    asyncio.run(ask())
