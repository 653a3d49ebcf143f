"""The spectra of all sources in a part of the sky, from what was measured of them in every image."""

from __future__ import annotations

__all__ = ("GatherSpectraConfig", "GatherSpectraConnections", "GatherSpectraTask")

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table, vstack
from lsst.pex.config import Field, RangeField
from lsst.pipe.base import (
    InputQuantizedConnection,
    NoWorkFound,
    OutputQuantizedConnection,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base import connectionTypes as connect

from ..spectra.table import storable
from ..spectra.tiles import tiles_of
from .quanta import IMAGE, quantum_data_id

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEVEL = 4
_TILE = ("instrument", f"healpix{_LEVEL}")


class GatherSpectraConnections(PipelineTaskConnections, dimensions=_TILE):
    """What was measured in the images that overlap a tile of the sky, and the spectra of the tile's sources."""

    fluxes = connect.Input(
        doc="The fluxes of sources in each image that overlaps the tile.",
        name="forced_photometry",
        storageClass="VOTable",
        dimensions=IMAGE,
        multiple=True,
        deferLoad=True,
    )
    spectra = connect.Output(
        doc="A row for each source and image.", name="spectra", storageClass="VOTable", dimensions=_TILE
    )
    bySource = connect.Output(
        doc="The same by source, of which each can be read alone.",
        name="spectra_by_source",
        storageClass="HDF5",
        dimensions=_TILE,
    )
    plot = connect.Output(
        doc="A picture of the spectra of some sources.", name="spectra_plot", storageClass="Plot", dimensions=_TILE
    )

    def __init__(self, *, config: GatherSpectraConfig | None = None) -> None:
        super().__init__(config=config)
        if config is None:
            return
        if not config.hdf5:
            del self.bySource
        if not config.plotSources:
            del self.plot


class GatherSpectraConfig(PipelineTaskConfig, pipelineConnections=GatherSpectraConnections):
    """Configuration of `GatherSpectraTask`."""

    fewest = RangeField(dtype=int, doc="Sources with fewer fluxes than this are left out.", default=1, min=0)
    hdf5 = Field[bool](doc="Whether the spectra are also written by source, as HDF5.", default=True)
    plotSources = RangeField(
        dtype=int,
        doc="How many sources the picture shows: those with the most fluxes, and of these the brightest. 0 for no "
        "picture; others need the extra plot.",
        default=9,
        min=0,
        max=100,
        inclusiveMax=True,
    )


class GatherSpectraTask(PipelineTask):
    """Gather all that was measured of each source in a HEALPix tile, over exposures and detectors."""

    ConfigClass = GatherSpectraConfig
    config: GatherSpectraConfig
    _DefaultName = "gatherSpectra"

    def runQuantum(
        self, butlerQC: QuantumContext, inputRefs: InputQuantizedConnection, outputRefs: OutputQuantizedConnection
    ) -> None:
        """Read one table after the other, of which only the tile's rows stay in memory."""
        tile = int(quantum_data_id(butlerQC)[_TILE[1]])
        butlerQC.put(self.run((butlerQC.get(ref).get() for ref in inputRefs.fluxes), tile), outputRefs)

    def run(self, fluxes: Iterable[Table], tile: int | None = None) -> Struct:
        """Return the spectra of the sources in a tile.

        Parameters
        ----------
        fluxes
            What was measured in each image, by `ForcedPhotometryTask`.
        tile
            The HEALPix tile of level 4, nested; by default all sources.

        Returns
        -------
        result
            ``spectra``, a `~astropy.table.QTable` with the rows of all tables by source and time; ``bySource``, a
            mapping of each source to the table of its spectrum, with ``%2F`` for a slash in its name; and ``plot``, a
            `~matplotlib.figure.Figure`. The last two are `None` unless the configuration asks for them.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            Raised if no source is in the tile.
        """
        parts = [storable(part[in_tile(part, tile)]) for part in fluxes]
        parts = [part for part in parts if len(part)]
        if not parts:
            raise NoWorkFound("No source is in the tile.")
        spectra = self._with_enough(vstack(parts, metadata_conflicts="silent"))
        spectra.meta["flags"] = _all_flags(parts)
        spectra.sort(["source", "time", "detector"])
        self.log.info("%d sources, %d rows", len(set(spectra["source"])), len(spectra))
        by_source = _by_source(spectra) if self.config.hdf5 else None
        plot = self._plot(spectra) if self.config.plotSources else None
        return Struct(spectra=spectra, bySource=by_source, plot=plot)

    def _with_enough(self, spectra: QTable) -> QTable:
        names, place = np.unique(spectra["source"], return_inverse=True)
        measured = np.bincount(place, np.isfinite(spectra["flux"].value), len(names))
        kept = (measured >= self.config.fewest)[place]
        if not kept.any():
            raise NoWorkFound(f"No source in the tile has {self.config.fewest} fluxes.")
        return spectra[kept]

    def _plot(self, spectra: QTable) -> Figure:
        from ..plot.spectra import spectra_figure  # noqa: PLC0415 - an extra that no other step needs

        return spectra_figure(spectra, most=self.config.plotSources)


def in_tile(table: Table, tile: int | None) -> Any:
    """Return which rows of a table of fluxes are of sources in a tile."""
    if tile is None:
        return slice(None)
    return tiles_of(SkyCoord(table["ra"], table["dec"], unit="deg"), _LEVEL) == tile


def _all_flags(parts: Iterable[Table]) -> str:
    """Return the names of all flags and their bits: not every release defines all of them."""
    words = {word for part in parts for word in str(part.meta.get("flags", "")).split()}
    return " ".join(sorted(words, key=lambda word: int(word.rpartition("=")[2])))


def _by_source(spectra: QTable) -> dict[str, Any]:
    """Return a mapping of each source to the table of its spectrum, and how all were made as attributes."""
    names = np.asarray(spectra["source"])
    found: dict[str, Any] = {"@attrs": dict(spectra.meta)}
    for name in np.unique(names).tolist():
        own = spectra[names == name]
        own.remove_column("source")
        own.meta.clear()
        found[str(name).replace("%", "%25").replace("/", "%2F")] = own  # HDF5 would take a slash for a path
    return found
