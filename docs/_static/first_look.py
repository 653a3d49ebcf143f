"""Draw the picture of the documentation's first page: ``python docs/_static/first_look.py``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import astropy.units as u
import matplotlib as mpl
import numpy as np

import spherex_butler
from spherex_butler.ingest import ingest_files
from spherex_butler.testing import write_exposures

mpl.use("Agg")
from matplotlib import pyplot as plt  # after the choice of a backend that needs no screen

with TemporaryDirectory() as folder:
    write_exposures(f"{folder}/files", exposures=1, size=512)
    spherex_butler.make_repo(f"{folder}/repo").close()
    with spherex_butler.open_repo(f"{folder}/repo", writeable=True) as butler:
        ingest_files(butler, f"{folder}/files", transfer="direct")
        images = [butler.get("level2", exposure=20255110106842, detector=detector) for detector in (2, 5)]

    figure, panels = plt.subplots(1, 2, figsize=(9, 4.3), layout="constrained")
    for axes, image in zip(panels, images, strict=True):
        shown = np.where(image.mask, np.nan, image.data)
        low, high = np.nanpercentile(shown, [1, 99.5])
        axes.imshow(shown, origin="lower", cmap="gray", vmin=low, vmax=high)
        lines = axes.contour(image.wavelength.to_value(u.um), levels=7, colors="tab:orange", linewidths=1)
        axes.clabel(lines, fmt="%.2f µm", fontsize=9)
        axes.set(title=f"{image.obs_id}, detector {image.detector}", xlabel="x [pixel]", ylabel="y [pixel]")
    figure.savefig(Path(__file__).with_suffix(".jpg"), dpi=100, pil_kwargs={"quality": 80})
