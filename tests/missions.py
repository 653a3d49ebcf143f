"""Repositories with images of several planning periods, releases and processings, from the archive's tables alone."""

from __future__ import annotations

import mission
from astropy.table import Table, vstack
from lsst.daf.butler import Butler

from spherex_butler.archive import ingest_archive_table

IMAGES = 120
"""Of each planning period, which has a processing of its own: twenty exposures."""

OLD, NEW = "spx/l2b-v20-2025-148", "spx/l2b-v21-2025-148"
"""The processing of the first planning period's images, and a newer one of some of these."""


def register_mission(butler: Butler, *, periods: int = 3, again: int = 50, newest: int = 30) -> None:
    """Register images of planning periods; the first ones of the first again, the last of the last as QR3."""
    tables = [
        Table(mission.table(period).slice(0, IMAGES).to_pydict())
        for period in mission.periods(periods * mission.IMAGES_A_PERIOD, tokens=300)
    ]
    if newest:
        last = tables[-1][-newest:]
        last["access_url"] = [url.replace("/qr2/", "/qr3/").replace("l2b-v20", "l2b-v27") for url in last["access_url"]]
        last["obs_collection"] = "spherex_qr3"
        tables[-1] = vstack([tables[-1][:-newest], last])
    if again:
        newer = tables[0][:again]
        newer["access_url"] = [url.replace("l2b-v20", "l2b-v21") for url in newer["access_url"]]
        tables.append(newer)
    for table in tables:
        assert not ingest_archive_table(butler, table).failed
