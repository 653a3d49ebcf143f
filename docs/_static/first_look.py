"""Draw the picture of the documentation's first page: ``python docs/_static/first_look.py``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure

import spherex_butler
from spherex_butler.ingest import ingest_files
from spherex_butler.plot import plot_image
from spherex_butler.testing import write_exposures

with TemporaryDirectory() as folder:
    write_exposures(f"{folder}/files", exposures=1, size=512)
    spherex_butler.make_repo(f"{folder}/repo").close()
    with spherex_butler.open_repo(f"{folder}/repo", writeable=True) as butler:
        ingest_files(butler, f"{folder}/files", transfer="direct")
        images = [butler.get("level2", exposure=20255110106842, detector=detector) for detector in (2, 5)]

    figure = Figure(figsize=(10, 5.4), layout="constrained")
    for place, image in enumerate(images, 1):
        plot_image(image, ax=figure.add_subplot(1, 2, place, projection=image.wcs))
    figure.savefig(Path(__file__).with_suffix(".jpg"), dpi=100, pil_kwargs={"quality": 85})
