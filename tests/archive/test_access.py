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


@pytest.mark.parametrize("root", [ROOT, BUCKET, "s3://nasa-irsa-spherex/", ROOT.replace("https", "http")])
def test_irsa_keeps_the_address(root):
    assert relocation("irsa")(root + FOLDER) == f"{root}{FOLDER}/"


@pytest.mark.parametrize(
    "given",
    [ROOT.replace("https://irsa", "HTTPS://IRSA"), ROOT.replace(".edu/", ".edu:443/").replace("https", "https")],
)
def test_spelling_of_scheme_and_host_makes_no_difference(given):
    found = relocation("irsa")(given + FOLDER)
    assert found.replace(":443", "") == f"{ROOT}{FOLDER}/"


@pytest.mark.parametrize(
    "host",
    [
        "mirror.example",
        "127.0.0.1",
        "169.254.169.254",
        "localhost:8000",
        "irsa.ipac.caltech.edu:8443",
        "irsa.ipac.caltech.edu.example",
        "xn--irsa-9ua.example",
    ],
)
def test_another_host_is_refused_unless_it_is_allowed(host):
    folder = f"https://{host}/spherex/{FOLDER}"
    with pytest.raises(
        FormatError, match=rf"is on the host '{host}', which is not the archive's .*--allow-host {host}"
    ):
        relocation("irsa", ["other.example"])(folder)
    assert relocation("irsa", ["other.example", host.upper()])(folder) == f"{folder}/"


def test_another_bucket_is_refused_unless_it_is_allowed():
    with pytest.raises(FormatError, match="is on the host 'mine', which is not the archive's"):
        relocation("irsa")(f"s3://mine/{FOLDER}")
    assert relocation("irsa", ["mine"])(f"s3://mine/{FOLDER}") == f"s3://mine/{FOLDER}/"


@pytest.mark.parametrize("access", ["irsa", "aws", "https://host/copy/"])
@pytest.mark.parametrize("user", ["me:geheim", "me", "irsa.ipac.caltech.edu"])
def test_a_user_in_an_address_is_never_taken(access, user):
    with pytest.raises(FormatError, match="holds a user or password") as caught:
        relocation(access)(f"https://{user}@irsa.ipac.caltech.edu/ibe/data/spherex/{FOLDER}")
    assert "geheim" not in str(caught.value)
    with pytest.raises(ParameterError, match="holds a user"):
        relocation(f"https://{user}@host/copy/")


@pytest.mark.parametrize("host", ["", "https://host", "host/path", "me@host", "host:port", "ho st"])
def test_what_is_no_host_cannot_be_allowed(host):
    with pytest.raises(ParameterError, match="is not a host; expected one such as"):
        relocation("irsa", [host])


def test_hosts_are_allowed_for_addresses_of_the_table_only():
    with pytest.raises(ParameterError, match="allow_hosts is for access='irsa'"):
        relocation("aws", ["mirror.example"])


@pytest.mark.parametrize(
    ("folder", "access", "message"),
    [
        (
            "https://mirror.example/qr2",
            "aws",
            "is not in the archive's tree, under 'https://irsa.*expected one that is",
        ),
        (f"{ROOT}../secret", "aws", "is not a plain URL of a folder; expected http, https or s3"),
        ("file:///qr2", "irsa", "is not a plain URL of a folder"),
        (f"{ROOT}a?b/qr2", "irsa", "is not a plain URL of a folder"),
        ("ftp://irsa.ipac.caltech.edu/qr2", "irsa", "is not a plain URL of a folder"),
        ("https://[::1]/qr2", "irsa", "is not a plain URL of a folder"),
        ("https://ärchiv.example/qr2", "irsa", "is not a plain URL of a folder"),
        ("https:///qr2", "irsa", "or no host"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused(folder, access, message):
    with pytest.raises(FormatError, match=message):
        relocation(access)(folder)
