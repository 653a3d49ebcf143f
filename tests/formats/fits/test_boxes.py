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
def test_clipping_is_symmetric_and_keeps_the_pixels_of_both(first, second):
    def pixels(box):
        return (
            set() if box is None else {(x, y) for x in range(box.x_min, box.x_max) for y in range(box.y_min, box.y_max)}
        )

    assert first.clipped(second) == second.clipped(first)
    assert pixels(first.clipped(second)) == pixels(first) & pixels(second)


@given(boxes, st.integers(-5, 5), st.integers(-5, 5))
def test_shifting_back_gives_the_box_again(box, dx, dy):
    assert box.shifted(dx, dy).shifted(-dx, -dy) == box
    assert box.shifted(dx, dy).shape == box.shape
    assert Box.of_shape(box.shape, (box.x_min, box.y_min)) == box
