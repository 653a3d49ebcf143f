"""What type checkers say to users of the package: misspelt names and words are errors, and the rest is known."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from mypy import api

import spherex_butler

PROGRAM = """\
import numpy as np
import spherex_butler
from spherex_butler import SpectralImage
from spherex_butler.calibrations import certify, ingest_calibrations
from spherex_butler.export import export_images
from spherex_butler.ingest import ingest_files, preview_ingest

image = SpectralImage.read("level2.fits", center=(1000, 1000), size=20)
image.cutuot(center=(3, 4), size=5)  # error: attr-defined
image.cutout(center=(3, 4), size=5, mode="srtict")  # error: arg-type
SpectralImage.read("level2.fits", centre=(1000, 1000))  # error: call-arg
image.wavelenght_at(3, 4)  # error: attr-defined
image.wavelength_at(3, 4, outside="nann")  # error: call-overload|arg-type
image.write("new.fits", recipe="lossles")  # error: arg-type
butler = spherex_butler.open_repo("repo", writeable=True)
spherex_butler.open_rep("repo")  # error: attr-defined
ingest_files(butler, "files", transfer="cpoy")  # error: arg-type
preview_ingest(butler, "files", transfer="harlink")  # error: arg-type
ingest_calibrations(butler, "files", certify="newest")  # error: arg-type
certify(butler, "dark", rule="lastest")  # error: arg-type
export_images(butler, butler, transfer="move")  # error: arg-type

reveal_type(image.shape)  # tuple[int, int]
reveal_type(image.dtype)  # numpy.dtype[Any]
reveal_type(image.size)  # int
reveal_type(image.data)  # numpy.ndarray
reveal_type(image.mask)  # numpy.ndarray
reveal_type(image.psf)  # spherex_butler.images.psf.SpectralImagePSF
reveal_type(image.flag_definitions)  # dict[str, int]
reveal_type(image.add(image).subtract(2).multiply(3).divide(image))  # SpectralImage
reveal_type(image[2:3, 4:5])  # SpectralImage
reveal_type(image.cutout(bbox=(1, 2, 3, 4)).copy().with_mask(bad=["HOT"]).subtract_zodi())  # SpectralImage
reveal_type(np.asarray(image))  # numpy.ndarray
reveal_type(butler)  # lsst.daf.butler._butler.Butler
reveal_type(ingest_files(butler, "files", transfer="copy").summary)  # str
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Return what mypy says of each line of the program."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.py").write_text(PROGRAM)
    settings = folder / "mypy.ini"
    settings.write_text("[mypy]\n[mypy-astropy.*]\nignore_missing_imports = true\n")
    arguments = ["--strict", "--follow-imports=silent", "--python-executable", sys.executable]
    places = ["--config-file", settings, "--cache-dir", folder / "cache", folder / "program.py"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPYPATH", str(Path(spherex_butler.__file__).parents[1]))
        output, problem, _ = api.run([*arguments, *map(str, places)])
    assert not problem
    lines: dict[int, str] = {}
    for found in re.finditer(r"program\.py:(\d+): (.*)", output):
        lines[int(found[1])] = f"{lines.get(int(found[1]), '')}{found[2]}\n"
    return lines


CLAIMS = {number: line.split("  # ") for number, line in enumerate(PROGRAM.splitlines(), start=1) if "  # " in line}


@pytest.mark.parametrize("number", CLAIMS, ids=[line for line, _ in CLAIMS.values()])
def test_line_is_understood(said, number):
    _, expected = CLAIMS[number]
    if expected.startswith("error: "):
        assert re.search(rf"error: .*\[({expected.removeprefix('error: ')})\]", said[number]), said[number]
    else:
        assert "error" not in said[number]
        assert f'Revealed type is "{expected}' in said[number].replace("builtins.", "").replace(
            "spherex_butler.images.spectral_image.SpectralImage", "SpectralImage"
        )


def test_nothing_else_is_wrong(said):
    assert set(said) == set(CLAIMS)
