"""Errors that a library raises for one file only: steps of an ingest that go wrong, whatever is raised."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.wcs
import pytest
from astropy.io import fits
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo

ERRORS = (
    AttributeError("'NoneType' object has no attribute 'name'"),
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    Exception("of a kind of its own"),
)
"""What libraries have raised for files that they did not expect, and what no list foresees."""


def raise_for(
    monkeypatch: pytest.MonkeyPatch, place: Any, name: str, concerns: Callable[..., bool], error: Exception
) -> None:
    """Let a function of a library raise where it is called for one file."""
    real = getattr(place, name)

    def function(*arguments: Any, **options: Any) -> Any:
        if concerns(*arguments):
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(place, name, function)


def in_header(monkeypatch: pytest.MonkeyPatch, path: Path, error: Exception) -> None:
    """Let astropy raise for the coordinates of a file's image, which get a place of their own."""
    with fits.open(path, mode="update") as hdus:
        hdus["IMAGE"].header["CRPIX1"] += 1.25
        marked = hdus["IMAGE"].header["CRPIX1"]
    raise_for(monkeypatch, astropy.wcs.WCS, "all_pix2world", lambda wcs, *_: wcs.wcs.crpix[0] == marked, error)


def in_comparison(monkeypatch: pytest.MonkeyPatch, path: Path, error: Exception) -> None:
    """Let the comparison with the file that is there raise."""
    raise_for(monkeypatch, Path, "samefile", lambda one, _: one.name == path.name, error)


def in_placing(monkeypatch: pytest.MonkeyPatch, path: Path, error: Exception) -> None:
    """Let the link to a file raise."""
    raise_for(monkeypatch, os, "link", lambda source, _: Path(source).name == path.name, error)


def in_registration(monkeypatch: pytest.MonkeyPatch, path: Path, error: Exception) -> None:
    """Let Butler raise where the record of a file is written."""
    raise_for(monkeypatch, StoredFileInfo, "to_record", lambda info, *_: path.name in info.path, error)
