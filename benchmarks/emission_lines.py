"""Draw the spectrum of a simulated star with emission lines: ``python benchmarks/emission_lines.py FILE``.

The lines are He I 1.083 µm and Paschen ones. The spectrum is extracted from 51 images of detectors 1 to 3, as
`tests/spectra/test_emission_lines.py` does; how far fluxes are from what the images were made with is printed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from emission_star import lonely_position, seen, write_star

from spherex_butler import make_repo
from spherex_butler.ingest import ingest_files
from spherex_butler.plot.files import write_spectrum_picture
from spherex_butler.spectra import extract_spectrum


def main() -> None:
    """Simulate, extract and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="picture to write: PNG, SVG or PDF")
    path = parser.parse_args().file
    position = lonely_position(SkyCoord(150.0, 2.0, unit="deg"))
    with TemporaryDirectory() as folder, make_repo(f"{folder}/repo") as butler:
        write_star(Path(folder) / "files", position)
        ingest_files(butler, f"{folder}/files")
        spectrum = extract_spectrum(butler, position)
    truth = seen(spectrum["wavelength"].to_value(u.um), spectrum["bandwidth"].to_value(u.um))
    off = spectrum["flux"].to_value(u.mJy) / truth - 1
    print(
        f"{len(spectrum)} measurements, {100 * np.nanmean(off):.2f} % off, at most {100 * np.nanmax(np.abs(off)):.2f} %"
    )
    write_spectrum_picture(spectrum, path, overwrite=True)


if __name__ == "__main__":
    main()
