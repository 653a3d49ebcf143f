"""The report's page in a real browser: no message of its console, no request, nothing wider than the window.

Usage: python benchmarks/report_page.py [PAGE…] [--pictures FOLDER]. Without a page, those of simulated repositories are
made. Needs Chromium (apt install chromium); no package of PyPI or npm brings a browser that runs by itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from devtools import Page, browser_program, open_browser

import spherex_butler
from spherex_butler.calibrations import ingest_calibrations
from spherex_butler.ingest import ingest_files
from spherex_butler.report import write_report
from spherex_butler.testing import write_calibrations, write_exposures

WIDTHS = {"laptop": 1280, "phone": 390}
SCHEMES = ("light", "dark")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--pictures", type=Path, help="keep pictures of the pages in this folder")
    given = parser.parse_args()
    program = browser_program()
    if program is None:
        sys.exit("There is no browser here; on Debian: apt install chromium.")
    with TemporaryDirectory(prefix="report-") as folder, open_browser(program) as browser:
        pages = given.pages or simulated_pages(Path(folder))
        faults = [fault for page in pages for fault in faults_of(browser, page, given.pictures)]
    print("\n".join(faults) or f"{len(pages)} pages: no message, no request, nothing wider than the window.")
    sys.exit(bool(faults))


def simulated_pages(folder: Path) -> list[Path]:
    """Return the pages of an empty repository, and of one with images, calibrations and a check."""
    empty, whole = folder / "empty.html", folder / "whole.html"
    with spherex_butler.make_repo(folder / "repo") as butler:
        write_report(butler, empty)
        write_exposures(folder / "files", exposures=5, size=16)
        ingest_files(butler, folder / "files")
        write_calibrations(folder / "calibrations")
        ingest_calibrations(butler, folder / "calibrations")
        write_report(butler, whole, verify=True)
    return [empty, whole]


def faults_of(browser: Page, page: Path, pictures: Path | None) -> list[str]:
    """Return what is wrong with a page in windows of each width and scheme, and on paper."""
    found = []
    for name, width in WIDTHS.items():
        for scheme in SCHEMES:
            browser.show(page, width=width, scheme=scheme)
            wide = browser.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                found.append(f"{page} is {wide} pixels wide in a {scheme} {name} window of {width}.")
            if pictures is not None:
                pictures.mkdir(parents=True, exist_ok=True)
                browser.screenshot(pictures / f"{page.stem}-{name}-{scheme}.png")
    found += [f"{page}: {message}" for message in browser.messages]
    own = page.resolve().as_uri()
    found += [f"{page} asks for {url}." for url in browser.requests if url != own and not url.startswith("data:")]
    if own not in browser.requests:
        found.append(f"{page} was not seen to be loaded.")
    browser.messages.clear()
    browser.requests.clear()
    return found


if __name__ == "__main__":
    main()
