"""Which candidates the database is asked for, and by which index."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy
from made_once import new_repo
from sky_images import make_frame, register_frames, sky_of

from spherex_butler.constants import REGION
from spherex_butler.search import find_images
from spherex_butler.search.joined_texts import MOST_NUMBERS


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"exposures": range(20255110106842, 20255110106842 + 2 * MOST_NUMBERS)},
        {"exposures": [20255110106842]},
        {"planning_period": "2025W51_1A"},
    ],
)
def test_candidates_are_looked_up_by_the_pixel_of_the_sky(options):
    frame = make_frame(detector=2)
    asked: list[tuple[str, Any]] = []
    with new_repo() as butler:
        register_frames(butler, frame)
        engine = butler._registry._db._engine
        sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
        assert len(find_images(butler, sky_of(frame, 1000.0, 1000.0), **options)) == 1
        (statement,) = [one for one in asked if f"{REGION}_skypix_overlap" in one[0]]
        with engine.connect() as connection:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement[0]}", statement[1])]
    assert "skypix_index=?" in plan[0], plan
