"""VOTable documents for tests: made from their parts, and read without a repository."""

from __future__ import annotations

import base64
import io

import pytest

from spherex_butler.errors import FormatError
from spherex_butler.formats.votable.reading import TableFile
from spherex_butler.formats.votable.writing import write_table


def written(table, serialization="binary2"):
    return write_table(table, serialization).decode()


def read(text, **options):
    return TableFile(io.BytesIO(text if isinstance(text, bytes) else text.encode())).read(**options)


def document(body, *, fields='<FIELD name="x" datatype="int"/>', version="1.3", before="", after="", table=""):
    return (
        f'<?xml version="1.0"?>\n<VOTABLE version="{version}"><RESOURCE type="results">{before}'
        f"<TABLE{table}>{fields}<DATA>{body}</DATA></TABLE>{after}</RESOURCE></VOTABLE>"
    )


def texts(*rows):
    return "<TABLEDATA>" + "".join(f"<TR>{''.join(f'<TD>{v}</TD>' for v in row)}</TR>" for row in rows) + "</TABLEDATA>"


def stream(data, tag="BINARY2", attributes='encoding="base64"'):
    return f"<{tag}><STREAM {attributes}>{base64.b64encode(data).decode()}</STREAM></{tag}>"


def refusal(text, **options):
    with pytest.raises(FormatError) as error:
        read(text, **options)
    return str(error.value)
