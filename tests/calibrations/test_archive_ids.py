"""The archive's ids of calibrations: what is known of them, and how a user states more."""

from __future__ import annotations

import json
import uuid
from importlib.resources import files

import pytest
from astropy.io import fits

from spherex_butler.calibrations.archive_ids import known_archive_ids, read_archive_ids
from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.images.headers import read_calibrations
from spherex_butler.names import parse_product_name

GAINS = "gain_factors_spx_base-2025-158.yaml"
ID = uuid.UUID(int=11)


def test_every_known_id_is_that_of_a_calibration():
    assert GAINS in known_archive_ids({})
    for name in known_archive_ids({}):
        assert str(parse_product_name(name)) == name


def test_known_id_is_the_one_in_the_real_header():
    text = (files("spherex_butler.testing") / "data" / "image_header.txt").read_text(encoding="utf-8")
    used = read_calibrations(fits.Header.fromstring(text, sep="\n"))
    assert used["gain_factors"] == known_archive_ids({})[GAINS]


def test_given_id_comes_before_a_known_one():
    known = known_archive_ids({})[GAINS]
    assert known_archive_ids({GAINS: ID})[GAINS] == ID
    assert known_archive_ids({"other.yaml": known}) == {"other.yaml": known}


@pytest.mark.parametrize("dump", [json.dumps, lambda ids: "".join(f"{name}: {text}\n" for name, text in ids.items())])
def test_file_of_ids_is_read(tmp_path, dump):
    path = tmp_path / "ids"
    path.write_text(dump({GAINS: str(ID)}))
    assert read_archive_ids(path) == {GAINS: ID}


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        ("- a\n", FormatError, "ids' holds list; expected a mapping of file names to ids"),
        ("a: [", FormatError, "ids' cannot be read as YAML"),
        ("a.fits: 7\n", ParameterError, "The archive's id of 'a.fits' is given as 7; expected a UUID"),
    ],
)
def test_file_of_something_else_is_refused(tmp_path, content, error, reason):
    path = tmp_path / "ids"
    path.write_text(content)
    with pytest.raises(error, match=reason):
        read_archive_ids(path)
