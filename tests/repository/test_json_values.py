"""What values of ours look like in JSON."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn
from astropy.time import Time
from astropy.utils.masked import Masked
from lsst.daf.butler import Timespan
from lsst.resources import ResourcePath

from spherex_butler.repository.json_values import json_text, json_value


class Colour(StrEnum):
    RED = "red"


@dataclass
class Pair:
    when: Time
    many: tuple[int, ...]


class Report:
    def to_dict(self):
        return {"found": [Pair(Time("2026-01-02", scale="utc"), (1, 2))]}


NOON = {"value": "2026-07-20T12:00:00", "scale": "utc"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (np.bool_(True), True),
        (np.int64(2**40), 2**40),
        (np.float32(0.5), 0.5),
        (float("nan"), None),
        (np.array([1.5, np.inf]), [1.5, None]),
        (MaskedColumn([1, 2], mask=[False, True]), [1, None]),
        (np.ma.masked, None),
        (Time(np.ma.MaskedArray([2026.5, 2026.5], mask=[True, False]), format="jyear")[0], None),
        (Masked([1, 2] * u.um, mask=[False, True]), {"value": [1.0, None], "unit": "um"}),
        (Masked(2 * u.um, mask=True), {"value": None, "unit": "um"}),
        (Colour.RED, "red"),
        ({Colour.RED: (1, "a")}, {"red": [1, "a"]}),
        (Time("2026-07-20T12:00:00", scale="utc").tai, NOON),
        (Timespan(None, Time("2026-07-20T12:00:00", scale="utc").tai), {"begin": None, "end": NOON}),
        (1.25 * u.um, {"value": 1.25, "unit": "um"}),
        ([1, 2] * u.MJy / u.sr, {"value": [1.0, 2.0], "unit": "MJy / sr"}),
        (u.byte, "byte"),
        (Path("a/b"), "a/b"),
        (ResourcePath("s3://bucket/key"), "s3://bucket/key"),
        (ResourcePath("https://host/x?X-Amz-Signature=abc"), "https://host/x?X-Amz-Signature=***"),
        ("postgresql://me:geheim@host/name", "postgresql://me:***@host/name"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (np.dtype("f4"), "float32"),
        (Report(), {"found": [{"when": {"value": "2026-01-02T00:00:00", "scale": "utc"}, "many": [1, 2]}]}),
    ],
)
def test_value_is_written_in_its_one_way(value, expected):
    assert json_value(value) == expected
    assert json.loads(json_text(value)) == expected


def test_value_of_which_no_json_is_known_is_refused():
    with pytest.raises(TypeError, match="is a slice, of which no JSON is known; expected plain values"):
        json_value({"rows": slice(3)})
