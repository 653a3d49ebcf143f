"""Small documents that would take all time or memory are refused in words."""

from __future__ import annotations

import gzip
import io

import pytest

from spherex_butler.errors import FormatError
from spherex_butler.formats.votable.reading import TableFile


def fields(count, arraysize):
    return "".join(f'<FIELD name="a{number}" datatype="double" arraysize="{arraysize}"/>' for number in range(count))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (fields(3000, 900_000), r"The FIELDs up to 'a18' take [\d,]+ bytes a row; expected at most 268,435,456"),
        (
            f"{fields(1, 900_000)}<DATA><TABLEDATA>{'<TR><TD/></TR>' * 3000}</TABLEDATA></DATA>",
            r"19 rows take 273,600,000 bytes, but only [\d,]+ bytes were read; expected at most 1024 times as many",
        ),
    ],
    ids=["wide", "long"],
)
def test_small_document_does_not_fill_the_memory(content, message):
    document = f'<VOTABLE version="1.4"><RESOURCE><TABLE>{content}</TABLE></RESOURCE></VOTABLE>'
    with pytest.raises(FormatError, match=message):
        TableFile(io.BytesIO(document.encode())).read()


def test_gzipped_document_of_far_more_than_its_size_lets_expect_is_refused(monkeypatch):
    monkeypatch.setattr("spherex_butler.formats.unzipped._SMALLEST", 1 << 20)
    raw = gzip.compress(b'<VOTABLE version="1.4"><!-- ' + b" " * (1 << 24) + b"-->")
    with pytest.raises(FormatError, match=r"The file has [\d,]+ bytes, but unzipped more than"):
        TableFile(io.BytesIO(raw)).read()
