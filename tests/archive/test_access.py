from __future__ import annotations

import pytest
from archive_samples import BUCKET, FIRST_KEY, ROOT

from spherex_butler.archive.access import relocation
from spherex_butler.errors import FormatError, ParameterError

FOLDER = FIRST_KEY.rpartition("/")[0]


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ("irsa", ROOT),
        ("aws", BUCKET),
        ("s3://mine/spherex", "s3://mine/spherex/"),
        ("https://host/copy/", "https://host/copy/"),
        ("file:///data/spherex", "file:///data/spherex/"),
    ],
)
def test_access_says_where_images_are_read(access, expected):
    assert relocation(access)(ROOT + FOLDER) == f"{expected}{FOLDER}/"


def test_a_folder_is_made_absolute(tmp_path, monkeypatch):
    (tmp_path / "my copy").mkdir()
    monkeypatch.chdir(tmp_path)
    assert relocation("my copy")(FOLDER) == f"{(tmp_path / 'my copy').as_uri()}/{FOLDER}/"
    assert relocation(str(tmp_path))(FOLDER) == f"{tmp_path.as_uri()}/{FOLDER}/"


@pytest.mark.parametrize("access", ["isra", "", "ftp://host/", "gs://bucket/x", "s3://bucket/a b", "https://host/?a=b"])
def test_access_that_is_no_place_is_refused(access, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = r"is neither 'irsa' nor 'aws' nor the place of a copy of the archive's tree"
    with pytest.raises(ParameterError, match=message):
        relocation(access)


@pytest.mark.parametrize(
    "root", ["", "/ibe/data/spherex/", "ibe/data/spherex/", ROOT, BUCKET, "s3://nasa-irsa-spherex/"]
)
def test_folders_of_the_archive_in_every_form_are_translated(root):
    assert relocation("aws")(root + FOLDER) == f"{BUCKET}{FOLDER}/"


def test_irsa_keeps_the_address_of_another_server():
    folder = f"https://mirror.example/spherex/{FOLDER}"
    assert relocation("irsa")(folder) == f"{folder}/"


@pytest.mark.parametrize(
    ("folder", "access", "message"),
    [
        ("https://mirror.example/qr2", "aws", "is not in the archive's tree, under 'https://irsa"),
        (f"{ROOT}../secret", "aws", "is not a plain URL of a folder; expected http, https or s3"),
        ("file:///qr2", "irsa", "is not a plain URL of a folder"),
        (f"{ROOT}a?b/qr2", "irsa", "is not a plain URL of a folder"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused(folder, access, message):
    with pytest.raises(FormatError, match=message):
        relocation(access)(folder)
