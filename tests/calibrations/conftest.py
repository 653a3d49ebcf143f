"""Repositories in either database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lsst.daf.butler import Butler

from spherex_butler.repository.creation import make_repo


@pytest.fixture(params=["sqlite", "postgresql"])
def any_butler(request: pytest.FixtureRequest, tmp_path) -> Iterator[Butler]:
    """Return an empty repository, opened for writing."""
    if request.param == "sqlite":
        yield request.getfixturevalue("butler")
        return
    with make_repo(tmp_path / "postgresql", database=request.getfixturevalue("postgres_database")) as butler:
        yield butler
