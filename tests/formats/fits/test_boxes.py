"""Rectangles of pixels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spherex_butler.formats.fits.boxes import Box

boxes = st.builds(
    lambda x, y, w, h: Box(x, x + w, y, y + h),
    st.integers(-9, 9),
    st.integers(-9, 9),
    st.integers(1, 9),
    st.integers(1, 9),
)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_clipping_stays_within_both(first, second):
    assert first.overlaps(second) == second.overlaps(first)
    if first.overlaps(second):
        clipped = first.clipped(second)
        assert clipped == second.clipped(first)
        assert clipped.clipped(first) == clipped.clipped(second) == clipped


@given(boxes, st.integers(-5, 5), st.integers(-5, 5))
def test_shifting_back_gives_the_box_again(box, dx, dy):
    assert box.shifted(dx, dy).shifted(-dx, -dy) == box
    assert box.shifted(dx, dy).shape == box.shape
    assert Box.of_shape(box.shape, (box.x_min, box.y_min)) == box
