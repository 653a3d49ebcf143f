"""Cutouts read by threads: of several images at once, and of one image one after another from one opened file."""

from __future__ import annotations

__all__ = ("Outcome", "read_cutouts")

import contextvars
import logging
import os
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lsst.daf.butler import Butler, DatasetRef

from ..errors import reason_of
from ..files.failures import FailingAlone
from ..files.transports import connections_at_once
from ..formats.fits.boxes import Box
from ..formats.fits.lazy_header import LazyHeader
from ..formatters.fits import kept_open
from ..images.cutouts import box_around, requested_box, separate, share_psf
from ..images.distortion import Distortion
from ..images.geometry import celestial_wcs, frame_origin
from ..images.psf import DeferredPSF
from ..images.spectral_image import SpectralImage
from .cutout_files import FolderError, look_at, write_cutout
from .cutout_groups import boxes_to_read
from .cutout_plan import LOCAL, CutoutPlan, CutoutRequest, ImageJob, Wanted
from .cutout_rows import Position
from .cutout_servers import Server, told

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a cutout: the image, `None` if that was written to its files, or why it could not be had.

    ``ref`` is the dataset, and ``distortion`` what the image's header says of its detector.
    """

    wanted: Wanted
    ref: DatasetRef
    image: SpectralImage | None = None
    reason: str | None = None
    distortion: Distortion | None = None


def read_cutouts(butler: Butler, plan: CutoutPlan, request: CutoutRequest, connections: int) -> Generator[Outcome]:
    """Yield what became of each cutout, in the order in which they are done.

    Threads stop, each after the cutout that it reads, where the caller asks for no more.

    Raises
    ------
    ConfigurationError
        Raised if the folder cannot be written to.
    """
    servers = defaultdict[str, list[ImageJob]](list)
    for job in plan.jobs:
        servers[job.server].append(job)
    results: queue.SimpleQueue[Outcome | Exception | None] = queue.SimpleQueue()
    stop = threading.Event()
    threads = 0
    try:
        with connections_at_once(connections):
            for name, jobs in servers.items():
                server = Server(name, jobs)
                most = _cores() if name == LOCAL else connections
                for _ in range(min(most, len(jobs))):
                    reader = _Reader(butler.clone(), request, server, results.put, stop)
                    # Not of an executor, for which Python waits at its end: an interrupt is not to wait for a server.
                    run = contextvars.copy_context().run
                    threading.Thread(target=run, args=(reader.run,), daemon=True).start()
                    threads += 1
        while threads:
            outcome = results.get()
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is None:
                threads -= 1
            else:
                yield outcome
    finally:
        stop.set()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class _Reader:
    """Reads images of one server in one thread, with a Butler of its own.

    Butlers are not for several threads: clones share the database, which is, and nothing else that changes.
    """

    def __init__(
        self,
        butler: Butler,
        request: CutoutRequest,
        server: Server,
        report: Callable[[Outcome | Exception | None], None],
        stop: threading.Event,
    ) -> None:
        self._butler = butler
        self._request = request
        self._server = server
        self._report = report
        self._stop = stop

        self._refused: str | None = None
        """Why the server does not give the image."""

        self._held: tuple[Box, SpectralImage] | None = None
        """The part of the image that the cutouts at hand are in."""

    def run(self) -> None:
        """Read images until there are no more."""
        try:
            with FailingAlone(self._report):
                while (job := self._server.next_job()) is not None:
                    self._refused = None
                    self._read(job)
        finally:
            self._report(None)

    def _read(self, job: ImageJob) -> None:
        psf: list[DeferredPSF] = []
        self._held = None
        with kept_open():
            for wanted, box in self._together(job):
                if self._stop.is_set():
                    return
                if (refused := self._server.given_up or self._refused) is not None:
                    self._report(Outcome(wanted, job.ref, reason=f"{refused.rstrip('.')}. {self._goes_on}"))
                    continue
                with FailingAlone(partial(self._failed, wanted, job.ref)):
                    image = self._image(job.ref, wanted.position, box)
                    share_psf(image, psf)
                    self._finish(job.ref, wanted, image)
                    self._server.note(None)

    @property
    def _goes_on(self) -> str:
        if self._request.folder is None:
            return "Ask again later; with a folder, the same call would go on where this one stopped."
        return "Ask again later; the same call goes on where this one stopped."

    def _failed(self, wanted: Wanted, ref: DatasetRef, error: Exception) -> None:
        if isinstance(error, FolderError):
            raise error
        reason = reason_of(told(error))
        if self._server.note(error):
            self._refused = f"The server refused another cutout of this image, so that it was not asked again: {reason}"
        self._report(Outcome(wanted, ref, reason=reason))

    def _finish(self, ref: DatasetRef, wanted: Wanted, image: SpectralImage) -> None:
        for path in wanted.files:
            what = self._request.file(ref, wanted.position)
            try:
                write_cutout(image, path, what, replace=path in wanted.damaged)
            except FileExistsError:  # unless another process was faster, an error that says more
                look_at(path, what)
        self._report(Outcome(wanted, ref, None if wanted.files else image, distortion=_distortion(image)))

    def _together(self, job: ImageJob) -> Sequence[tuple[Wanted, Box | None]]:
        """Return the cutouts of an image by rows, each with the box that is read for it, `None` for its own."""
        if job.server == LOCAL or len(job.wanted) == 1:
            return [(wanted, None) for wanted in job.wanted]
        with FailingAlone(partial(self._failed, job.wanted[0], job.ref)):
            return self._by_rows(job)
        return [(wanted, None) for wanted in job.wanted[1:]]

    def _by_rows(self, job: ImageJob) -> Sequence[tuple[Wanted, Box | None]]:
        cards = self._butler.get(job.ref.makeComponentRef("header"))
        header = LazyHeader(cards)
        bounds = Box.of_shape((cards["NAXIS2"], cards["NAXIS1"]), frame_origin(header))
        wcs = celestial_wcs(header)
        outside: list[Wanted] = []
        inside: list[tuple[Wanted, Box]] = []
        for wanted in job.wanted:
            parameters = self._parameters(job.ref, wanted.position)
            with FailingAlone(lambda _, wanted=wanted: outside.append(wanted)):  # type: ignore[misc]
                if (box := requested_box(parameters, bounds=bounds, wcs=wcs)) is not None:
                    inside.append((wanted, box))
        inside.sort(key=lambda pair: pair[1].y_min)
        read = boxes_to_read([box for _, box in inside])
        together = [(wanted, None if box == own else box) for (wanted, own), box in zip(inside, read, strict=True)]
        return [*together, *((wanted, None) for wanted in outside)]

    def _image(self, ref: DatasetRef, position: Position, box: Box | None) -> SpectralImage:
        parameters = self._parameters(ref, position)
        if box is not None:
            return separate(self._around(ref, box).cutout(**parameters))
        return self._got(ref, parameters)

    def _around(self, ref: DatasetRef, box: Box) -> SpectralImage:
        """Return the part of an image that holds several cutouts; the last one is kept."""
        if self._held is None or self._held[0] != box:
            self._held = None  # before the next is read
            self._held = box, self._got(ref, {"bbox": (box.x_min, box.x_max, box.y_min, box.y_max)})
        return self._held[1]

    def _got(self, ref: DatasetRef, parameters: dict[str, Any]) -> SpectralImage:
        planes = {} if self._request.planes is None else {"planes": self._request.planes}
        image: SpectralImage = self._butler.get(ref, parameters=planes | parameters)
        return image

    def _parameters(self, ref: DatasetRef, position: Position) -> dict[str, Any]:
        if position.on_sky:
            return {"center": position.center, "size": self._request.sides}
        return {"bbox": self._box(ref, position)}

    def _box(self, ref: DatasetRef, position: Position) -> tuple[int, int, int, int]:
        """Return the pixels around one, which as a center may be taken for degrees."""
        in_pixels = self._request.sides.unit.is_equivalent("")
        wcs = None if in_pixels else self._butler.get(ref.makeComponentRef("wcs"))
        box = box_around(position.first, position.second, self._request.sides, wcs)
        return box.x_min, box.x_max, box.y_min, box.y_max


def _distortion(image: SpectralImage) -> Distortion | None:
    with FailingAlone(lambda error: _log.debug("The distortion of %r is not known: %s", image, error)):
        return Distortion.of_wcs(image.wcs, image.origin)
    return None
