"""The spectra of a tile's sources, by the task alone."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from lsst.pipe.base import NoWorkFound
from matplotlib.figure import Figure

from spherex_butler.errors import ParameterError
from spherex_butler.spectra import put_catalog, tiles_of
from spherex_butler.tasks import GatherSpectraConfig, GatherSpectraTask
from spherex_butler.tasks.gather_spectra import GatherSpectraConnections

HERE, ELSEWHERE = SkyCoord([10, 10.1], [41, 41.1], unit="deg"), SkyCoord([200.0], [-30.0], unit="deg")
TILE = int(tiles_of(HERE, 4)[0])


def fluxes(names, positions=HERE, *, time="2026-01-01T00:00:00", flux=1.0, **columns):
    """Return what was measured of some sources in an image."""
    number = len(names)
    table = QTable(
        {"source": names, "ra": positions.ra[:number].value * u.deg, "dec": positions.dec[:number].value * u.deg}
    )
    table["wavelength"], table["bandwidth"] = [1.2] * number * u.um, [0.03] * number * u.um
    table["flux"], table["flux_error"] = [flux] * number * u.mJy, [0.1] * number * u.mJy
    table["masked_fraction"], table["detector"], table["time"] = 0.0, 2, time
    for name, value in columns.items():
        table[name] = value
    table.meta["flags"] = "HOT=10"
    return table


def task(**config):
    found = GatherSpectraConfig()
    found.update(**config)
    return GatherSpectraTask(config=found)


def test_rows_are_by_source_and_time():
    late, early = fluxes(["b", "a"], time="2026-01-02T00:00:00"), fluxes(["a", "b"])
    found = task(plotSources=0).run([late, early]).spectra
    assert found["source"].tolist() == ["a", "a", "b", "b"]
    assert found["time"].tolist() == ["2026-01-01T00:00:00", "2026-01-02T00:00:00"] * 2
    assert found["flux"].unit == u.mJy


def test_only_the_tiles_sources_are_taken():
    found = task(plotSources=0).run([fluxes(["a", "b"]), fluxes(["far"], ELSEWHERE)], TILE).spectra
    assert found["source"].tolist() == ["a", "b"]
    with pytest.raises(NoWorkFound, match="No source is in the tile"):
        task().run([fluxes(["far"], ELSEWHERE)], TILE)


def test_each_source_can_be_read_alone():
    parts = [fluxes(["a", "b/c"]), fluxes(["b_c", "b%2Fc"]), fluxes(["a"], flux=2.0)]
    by_source = task(plotSources=0).run(parts).bySource
    assert sorted(by_source) == ["@attrs", "a", "b%252Fc", "b%2Fc", "b_c"]
    assert by_source["a"]["flux"].value.tolist() == [1.0, 2.0]
    assert "source" not in by_source["a"].colnames
    assert task(hdf5=False, plotSources=0).run([fluxes(["a"])]).bySource is None


def test_sources_with_too_few_fluxes_are_left_out():
    parts = [fluxes(["a", "b"]), fluxes(["a"], flux=np.nan)]
    assert task(plotSources=0, fewest=0).run(parts).spectra["source"].tolist() == ["a", "a", "b"]
    parts.append(fluxes(["b"]))
    assert task(plotSources=0, fewest=2).run(parts).spectra["source"].tolist() == ["b", "b"]
    with pytest.raises(NoWorkFound, match="No source in the tile has 3 fluxes"):
        task(fewest=3).run(parts)


def test_flags_are_those_of_all_releases():
    other = fluxes(["a"])
    other.meta["flags"] = "HOT=10 CROSSTALK=20 TRANSIENT=0"
    assert task(plotSources=0).run([fluxes(["a"]), other]).spectra.meta["flags"] == "TRANSIENT=0 HOT=10 CROSSTALK=20"


def test_picture_shows_those_with_the_most_fluxes_and_of_these_the_brightest():
    parts = [fluxes(["faint", "bright"]), fluxes(["bright"], flux=5.0), fluxes(["faint"]), fluxes(["once"], flux=9.0)]
    figure = task(plotSources=2).run(parts).plot
    assert isinstance(figure, Figure)
    assert [ax.get_title() for ax in figure.axes] == ["bright: 2 points", "faint: 2 points"]
    assert task(plotSources=0).run(parts).plot is None


def test_outputs_follow_the_configuration():
    config = GatherSpectraConfig()
    assert set(GatherSpectraConnections(config=config).outputs) == {"spectra", "bySource", "plot"}
    config.update(hdf5=False, plotSources=0)
    assert set(GatherSpectraConnections(config=config).outputs) == {"spectra"}


# Catalogues in tiles.


def test_catalogue_is_put_in_tiles_and_read_back(butler):
    where = SkyCoord([10, 200, 10.1], [41, -30, 41.1], unit="deg")
    refs = put_catalog(butler, QTable({"name": ["a", "b", "c"], "where": where, "mag": [1, 2, 3]}), run="u/me/catalog")
    assert [ref.dataId["healpix4"] for ref in refs] == sorted(set(tiles_of(where, 4).tolist()))
    found = {name: row for ref in refs for name, row in zip(butler.get(ref)["name"], butler.get(ref), strict=True)}
    assert {name: int(row["mag"]) for name, row in found.items()} == {"a": 1, "b": 2, "c": 3}
    assert found["c"]["ra"] == pytest.approx(10.1)


def test_catalogue_without_names_is_numbered_over_all_tiles(butler):
    refs = put_catalog(butler, QTable({"ra": [10, 200, 10.1], "dec": [41, -30, 41.1]}), run="u/me/catalog", name="mine")
    names = sorted(name for ref in refs for name in butler.get(ref)["name"])
    assert (names, refs[0].datasetType.name) == (["0", "1", "2"], "mine")


def test_names_that_are_there_twice_are_refused(butler):
    catalog = QTable({"name": ["a", "b", "a"], "ra": [1, 2, 3], "dec": [1, 2, 3]})
    with pytest.raises(ParameterError, match="has 2 sources of the name 'a'; expected a name of its own for each"):
        put_catalog(butler, catalog, run="u/me/catalog")
