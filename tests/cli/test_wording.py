"""Keyword arguments in messages become options, where the command has such options."""

from __future__ import annotations

import pytest

from spherex_butler.cli import main
from spherex_butler.cli.wording import as_options


@pytest.mark.parametrize(
    ("command", "text", "expected"),
    [
        ("certify", "replace=True trims, keep=True leaves", "--replace trims, --keep leaves"),
        ("certify", "give token=…, with release='qr3'", "give --token …, with --release qr3"),
        ("ingest", "pass update_records=True", "pass --update-records"),
        ("show", "give exposure=… for it", "give exposure=… for it"),
        ("explain", "for exposure=17", "for --exposure 17"),
        ("verify", "Butler.from_config(REPO, writeable=True)", "Butler.from_config(REPO, writeable=True)"),
        ("teleport", "replace=True", "replace=True"),
    ],
)
def test_keyword_becomes_an_option_of_the_command(command, text, expected):
    assert as_options(text, main.get_command(None, command)) == expected
