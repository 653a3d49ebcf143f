"""What is stored, and how it is written and read."""

from __future__ import annotations

__all__ = ("StampStack", "StampStackFormatter")

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from lsst.resources import ResourcePath
from numpy.typing import NDArray

from spherex_butler.formatters import BaseFormatter


@dataclass
class StampStack:
    """Small images of one target, in order of wavelength.

    Attributes
    ----------
    images
        Surface brightness without the sky, in MJy/sr, of shape (number, size, size).
    wavelengths
        At the middle of each image, in µm, of shape (number,).
    solid_angle
        Of a pixel, in sr.
    """

    images: NDArray[np.floating]
    wavelengths: NDArray[np.floating]
    solid_angle: float

    def fluxes(self) -> NDArray[np.floating]:
        """Return the sum over each image, in mJy."""
        return np.nansum(self.images, axis=(1, 2)) * self.solid_angle * 1e9


def _read(file: h5py.File, _: Mapping[str, Any]) -> StampStack:
    return StampStack(file["images"][:], file["wavelengths"][:], float(file.attrs["solid_angle"]))


class StampStackFormatter(BaseFormatter):
    """`StampStack` in HDF5 files."""

    default_extension = ".h5"
    readers = {None: _read, "wavelengths": lambda file, _: file["wavelengths"][:]}

    def open_file(self, path: str) -> h5py.File:
        """Open a file that Butler has found or fetched."""
        return h5py.File(path)

    def write_local_file(self, in_memory_dataset: StampStack, uri: ResourcePath) -> None:
        """Write a file, which Butler moves to its place when it is complete."""
        with h5py.File(uri.ospath, "w") as file:
            file["images"] = in_memory_dataset.images
            file["wavelengths"] = in_memory_dataset.wavelengths
            file.attrs["solid_angle"] = in_memory_dataset.solid_angle
