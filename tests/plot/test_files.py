"""Pictures are written as files of the format that their name says, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from spherex_butler.cli import options
from spherex_butler.errors import ParameterError
from spherex_butler.plot.files import FORMATS, write_picture


def test_picture_has_the_width_of_a_page_and_pyplot_is_not_used(image, tmp_path):
    write_picture(image, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (1200, 1080)
    assert plt.get_fignums() == []


def test_text_of_vector_formats_is_no_part_of_the_image(image, tmp_path):
    write_picture(image, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "<!-- declination [deg] -->" in text
    assert text.count("<image") >= 2


def test_command_line_knows_the_formats():
    assert options._PICTURES == FORMATS


def test_nothing_is_written_if_nothing_can_be_drawn(image, tmp_path):
    with pytest.raises(ParameterError, match=r"has the extension '.jpg'; expected one of .png, .svg, .pdf"):
        write_picture(image, tmp_path / "a.jpg")
    with pytest.raises(ParameterError, match="The image is a ndarray"):
        write_picture(np.zeros((3, 3)), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_pictures_replace_nothing_unless_asked(image, tmp_path):
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(FileExistsError, match=r"a\.png' exists; pass overwrite=True to replace it"):
        write_picture(image, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "mine"
    write_picture(image, tmp_path / "a.png", overwrite=True)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
