"""Tables as VOTable, with what their columns mean in the Virtual Observatory's words.

Coordinates are ICRS, and times UTC at the telescope. A column has a utype of ObsCore 1.1
(https://www.ivoa.net/documents/ObsCore/) only if it is exactly what that means: the wavelength at a pixel is no
``em_min``, and the position in an image is not its ``s_ra``.
"""

from __future__ import annotations

__all__ = ("votable_content",)

import io

from astropy.io.votable import from_table
from astropy.io.votable.tree import CooSys, Field, Info, Resource, TimeSys
from astropy.table import Table

_UCDS = {
    "source": "meta.id;src",
    "obs_id": "meta.id",
    "exposure": "meta.id;obs.exposure",
    "detector": "meta.id;instr.det",
    "x": "pos.cartesian.x;instr.det",
    "y": "pos.cartesian.y;instr.det",
    "wavelength": "em.wl",
    "bandwidth": "instr.bandwidth",
    "channel": "meta.id;instr.bandpass",
    "time": "time.epoch;obs.exposure",
    "exposure_time": "time.duration;obs.exposure",
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "position_angle": "pos.posAng",
    "release": "meta.version;meta.dataset",
    "dataset_id": "meta.id;meta.dataset",
    "uri": "meta.ref.url",
    "survey": "meta.id;obs.proposal",
    "target": "meta.id;src",
    "images": "meta.number;obs.image",
}
"""What columns mean (UCD1+, https://www.ivoa.net/documents/UCD1+/)."""

_UTYPES = {
    "obs_id": "obscore:DataID.observationID",
    "exposure_time": "obscore:Char.TimeAxis.Coverage.Support.Extent",
}

_SKY = "ICRS"
_CLOCK = "UTC"
_TIME = "29"  # characters, with nanoseconds
_SYSTEMS = {"ra": _SKY, "dec": _SKY, "position_angle": _SKY, "time": _CLOCK}


def votable_content(table: Table) -> bytes:
    """Return the content of a file with the columns of a table, which are numbers and text, times such as UTC.

    How the table was made is in an INFO for each of its meta, and all of it in the description, because astropy's own
    reader keeps no INFO.
    """
    told = {name: str(value) for name, value in table.meta.items()}
    plain = table.copy(copy_data=False)
    plain.meta = {"description": "; ".join(f"{name}: {value}" for name, value in told.items())} if told else {}
    document = from_table(plain)
    (resource,) = document.resources
    _add_systems(resource, {_SYSTEMS[name] for name in table.colnames if name in _SYSTEMS})
    resource.tables[0].infos.extend(Info(name=name, value=value) for name, value in told.items())
    for field in resource.tables[0].fields:
        _describe(field)
    stream = io.BytesIO()
    document.to_xml(stream)
    return stream.getvalue()


def _add_systems(resource: Resource, names: set[str]) -> None:
    """Add the systems of coordinates and times that columns refer to."""
    config = {"version_1_4_or_later": True}  # of VOTable, which is what astropy writes
    if _SKY in names:
        resource.coordinate_systems.append(CooSys(ID=_SKY, system="ICRS", config=config))
    if _CLOCK in names:
        clock = TimeSys(ID=_CLOCK, timescale="UTC", refposition="TOPOCENTER", config=config)
        resource.time_systems.append(clock)


def _describe(field: Field) -> None:
    field.ucd = _UCDS.get(field.name)
    field.utype = _UTYPES.get(field.name)
    field.ref = _SYSTEMS.get(field.name)
    if field.datatype in {"char", "unicodeChar"}:
        field.arraysize = "*"  # and not as long as the longest happens to be
    if field.name == "time":
        field.xtype = "timestamp"
        field.arraysize = _TIME  # as astropy makes objects of text of any length, which Time refuses
