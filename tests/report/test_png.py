"""Pictures are what other programs read."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from spherex_butler.report.png import data_url


def test_another_reader_gets_the_same_pixels():
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 5, (7, 11)).astype(np.uint8)
    colours = rng.integers(0, 256, (5, 3)).astype(np.uint8)
    kind, _, content = data_url(pixels, colours).partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        found = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(found[..., :3], colours[pixels])
    np.testing.assert_array_equal(found[..., 3], np.where(pixels == 0, 0, 255))
