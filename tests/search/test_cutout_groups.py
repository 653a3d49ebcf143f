"""Cutouts whose rows are near each other are read together, but not more rows at once than memory is to hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spherex_butler.formats.fits.boxes import Box
from spherex_butler.search.cutout_groups import boxes_to_read


def at(y: int, x: int = 0) -> Box:
    return Box(x, x + 30, y, y + 30)


def test_one_cutout_is_read_by_itself():
    assert boxes_to_read([at(50)]) == [at(50)]


def test_near_rows_are_read_together_wherever_their_columns_are():
    assert boxes_to_read([at(0), at(100, x=900)]) == [Box(0, 930, 0, 130)] * 2


def test_far_rows_are_read_apart():
    assert boxes_to_read([at(0), at(500), at(131)]) == [at(0), at(500), at(131)]


def test_no_more_rows_are_held_than_are_few():
    found = boxes_to_read([at(y) for y in range(0, 2000, 50)])
    assert max(box.shape[0] for box in found) <= 400
    assert len(set(found)) <= 8


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000)), min_size=1, max_size=30))
def test_every_cutout_is_in_what_is_read_for_it(places):
    boxes = [at(y, x) for x, y in places]
    for box, read in zip(boxes, boxes_to_read(boxes), strict=True):
        assert box.clipped(read) == box
