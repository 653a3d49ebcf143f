"""A picture of the spectra of several sources, side by side."""

from __future__ import annotations

__all__ = ("spectra_figure",)

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from .spectrum import plot_spectrum

_PANEL = 5.0, 3.2
"""Width and height of each spectrum, in inches."""


def spectra_figure(table: Table, *, most: int = 9) -> Figure:
    """Return a figure with the spectra of sources, each as `plot_spectrum` draws it.

    Parameters
    ----------
    table
        What `~spherex_butler.spectra.extract_spectra` returned, or a task gathered.
    most
        How many sources at most: those with the most fluxes, and of these the brightest.
    """
    sources = _first(table, most)
    columns = int(np.ceil(np.sqrt(len(sources))))
    rows = -(-len(sources) // columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows), layout="constrained")
    for number, source in enumerate(sources, 1):
        axes = plot_spectrum(table, source=source, ax=figure.add_subplot(rows, columns, number))
        axes.set_title(f"{source}: {axes.get_title()}")
    return figure


def _first(table: Table, most: int) -> list[str]:
    names, place = np.unique(np.asarray(table["source"]), return_inverse=True)
    flux = np.asarray(table["flux"], float)
    known = np.isfinite(flux)
    number = np.bincount(place, known, len(names))
    total = np.bincount(place, np.where(known, flux, 0), len(names))
    return list(names[np.lexsort((-total, -number))][:most].tolist())
