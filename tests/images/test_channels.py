"""Channels of a detector meet at wavelengths that ascend, between those that the archive gives."""

from __future__ import annotations

import numpy as np
import pytest

from spherex_butler.errors import ParameterError
from spherex_butler.images.channels import channel_edges


@pytest.mark.parametrize("detector", range(1, 7))
def test_edges_ascend_and_enclose_seventeen_channels(detector):
    edges = channel_edges(detector)
    assert edges.shape == (18,)
    assert (np.diff(edges) > 0).all()


def test_channels_meet_between_the_wavelengths_that_overlap_by_rounding():
    assert channel_edges(1)[:3] == pytest.approx([0.743, 0.7615, 0.7805])


def test_detector_that_does_not_exist_is_refused():
    with pytest.raises(ParameterError, match="no detector 7; expected a number from 1 to 6"):
        channel_edges(7)
