"""What is said of an error: its reason on one line, and no password."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy

from spherex_butler.errors import FormatError, hide_secrets, near, reason_of
from spherex_butler.files.failures import FailedFile
from spherex_butler.repository.reports import IngestReport

SECRETS = {
    "postgresql://me:geheim@host/name": "postgresql://me:***@host/name",
    "postgresql+psycopg://me:ge@heim@host:5432/name": "postgresql+psycopg://me:***@host:5432/name",
    "postgresql://:geheim@host/name": "postgresql://:***@host/name",
    "s3://key:gehe/im@bucket/x": "s3://key:***@bucket/x",
    "'https://me:geheim@a', 'https://me:geheim@b'": "'https://me:***@a', 'https://me:***@b'",
    "https://h/f?X-Amz-Date=1&X-Amz-Signature=geheim&x=2": "https://h/f?X-Amz-Date=1&X-Amz-Signature=***&x=2",
    "https://h/f?X-Amz-Credential=geheim&X-Amz-Security-Token=geheim": "https://h/f?X-Amz-Credential=***"
    "&X-Amz-Security-Token=***",
    "https://h/f?sv=1&sig=geheim": "https://h/f?sv=1&sig=***",
    "https://h/f?token=geheim.": "https://h/f?token=***",
    "postgresql://me@host/name?password=geheim&host=/tmp": "postgresql://me@host/name?password=***&host=/tmp",
    "host=h user=me password=geheim dbname=x": "host=h user=me password=*** dbname=x",
}

HARMLESS = (
    "https://host:8080/level2@3.fits",
    "postgresql://me@host:5432/name",
    "https://host/f.fits?center=10.68,41.27&size=0.1",
    "token=l2b-v21-2025-354, as the path says",
    "level2 exposure=20255110106842 detector=3: not there",
    "file:///data/a@b/c.fits",
    "/data/x:y@z.fits",
)


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_in_urls_are_hidden(text):
    assert hide_secrets(text) == SECRETS[text]
    assert hide_secrets(f"cannot read {text!r}: no") == f"cannot read {SECRETS[text]!r}: no" or "'" in text
    assert hide_secrets(SECRETS[text]) == SECRETS[text]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text):
    assert hide_secrets(text) == text


def test_reason_is_on_one_line_without_passwords_and_statements():
    assert reason_of(FormatError("one\n  two s3://k:geheim@b")) == "one two s3://k:***@b"
    assert reason_of(KeyError("three")) == "KeyError: 'three'"
    error = sqlalchemy.exc.OperationalError("SELECT geheim", {}, sqlite3.OperationalError("locked"))
    assert reason_of(error) == "OperationalError: locked"


def test_reports_hold_no_passwords():
    report = IngestReport(failed=[FailedFile("https://me:geheim@host/f.fits", "https://me:geheim@host says no")])
    report.warn(["https://me:geheim@host is slow"])
    assert "geheim" not in str(report)
    assert "geheim" not in str(report.to_dict())
    (failed,) = report.to_dict()["failed"]
    assert failed == {"uri": "https://me:***@host/f.fits", "reason": "https://me:***@host says no"}


@pytest.mark.parametrize(("name", "end"), [("DETCTOR", "; did you mean 'detector'?"), ("xyz", ".")])
def test_near_name_is_asked_for(name, end):
    assert near(name, ["detector", "exposure"]) == end


def test_server_that_cannot_be_reached_is_named_without_objects_in_memory():
    said = (
        "HTTPSConnectionPool(host='irsa.ipac.caltech.edu', port=443): Max retries exceeded with url: /a.fits (Caused "
        "by NameResolutionError(\"<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to resolve 'irsa'\"))"
    )
    assert reason_of(ConnectionError(said)) == "ConnectionError: the server irsa.ipac.caltech.edu cannot be reached"
