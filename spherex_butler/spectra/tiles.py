"""Parts of the sky: which HEALPix tile a source is in, and catalogues put into a repository tile by tile."""

from __future__ import annotations

__all__ = ("CATALOG", "put_catalog", "tiles_of")

import astropy.units as u
import hpgeom
import numpy as np
from astropy.coordinates import Angle, SkyCoord
from astropy.table import QTable, Table
from lsst.daf.butler import Butler, DatasetRef, DatasetType
from numpy.typing import NDArray

from ..repository.failures import told_as_repository_failures
from ..search.coordinates import coordinates_in, names_in, require_own_names
from .table import storable

CATALOG = "source_catalog"
"""The dataset type of catalogues, unless another is given."""

_PREFIX = "healpix"


def tiles_of(positions: SkyCoord, level: int) -> NDArray[np.int64]:
    """Return the HEALPix tile (nested) of each position, as in Butler's dimension ``healpix<level>``."""
    icrs = positions.icrs
    found = hpgeom.angle_to_pixel(2**level, np.atleast_1d(icrs.ra.deg), np.atleast_1d(icrs.dec.deg))
    return np.asarray(found, np.int64)


@told_as_repository_failures(writes=True)
def put_catalog(butler: Butler, catalog: Table, *, run: str, name: str = CATALOG) -> list[DatasetRef]:
    """Put a catalogue of sources into a repository for tasks that look at its sources: a dataset for each HEALPix tile.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    catalog
        The sources: columns with coordinates and names, as for `~spherex_butler.search.find_images`. Without names
        each source is called by its row's number. Columns are kept, so that stars move by ``pmra``, ``pmdec`` and
        ``ref_epoch``; of a column that holds SkyCoord positions are kept, and proper motions are not.
    run
        The run it goes into, such as ``u/me/catalog``.
    name
        Its dataset type, which is registered if it is not there, with the dimension that images can be joined with,
        ``healpix4``.

    Returns
    -------
    refs
        The datasets, by tile.

    Raises
    ------
    ParameterError
        Raised if the catalogue has no coordinates, or two of its sources have one name.
    """
    tiled = butler.dimensions.commonSkyPix
    named = _named(_plain(catalog))
    tiles = tiles_of(coordinates_in(named), tiled.level)
    dataset_type = DatasetType(name, butler.dimensions.conform([tiled.name]), "VOTable")
    butler.registry.registerDatasetType(dataset_type)
    butler.collections.register(run)
    with butler.transaction():
        return [
            butler.put(named[tiles == tile], dataset_type, {tiled.name: tile}, run=run)
            for tile in np.unique(tiles).tolist()
        ]


def _plain(catalog: Table) -> Table:
    """Return a catalogue as a VOTable can hold it: coordinates and other angles as plain columns."""
    found = QTable(catalog)
    for name in catalog.colnames:
        column = catalog[name]
        if isinstance(column, SkyCoord):
            found.remove_column(name)
            found["ra"], found["dec"] = (u.Quantity(angle, u.deg) for angle in (column.icrs.ra, column.icrs.dec))
        elif isinstance(column, Angle):
            found[name] = u.Quantity(column)
    return storable(found)


def _named(catalog: Table) -> Table:
    """Return a catalogue with a column of names, each of which is there once."""
    found = names_in(catalog)
    names = [str(row) for row in range(len(catalog))] if found is None else found
    require_own_names(names)
    if found is not None:
        return catalog
    named = catalog.copy()
    named.add_column(np.array(names, np.str_), name="name", index=0)
    return named
