"""How often each of the 102 spectral channels was seen."""

from __future__ import annotations

__all__ = ("channels_section",)

from collections.abc import Iterator

from astropy.table import Row

from ..repository.instrument import channel_table
from ..search.coverage import Coverage
from .charts import channel_chart
from .markup import Markup, element, number
from .tables import many, paragraph, share, table


def channels_section(sky: Coverage) -> Iterator[Markup]:
    """Yield how often each channel was seen, on average over the whole sky and where most."""
    pixels = len(sky.depth)
    bands = {(int(row["detector"]), int(row["id"])): row for row in channel_table()}
    means = {key: float(depth.sum() / pixels) for key, depth in sky.channels.items()}
    yield paragraph(
        "An image sees each of the 17 channels of its detector on about a seventeenth of its area, so that a place is "
        "seen in a channel far less often than at all. Images that are parts of others are left aside here."
    )
    parts = {key: share(int((depth > 0).sum()), pixels) for key, depth in sky.channels.items()}
    said = {
        (detector, channel): f"D{detector}, channel {channel}, {bands[detector, channel]['wavelength']:.3f} µm: "
        f"{number(mean)} times on average, on {parts[detector, channel]} of the sky"
        for (detector, channel), mean in means.items()
    }
    names = {
        detector: f"D{detector}\n{_ends(bands[detector, 1], bands[detector, 17])}"
        for detector in {detector for detector, _ in means}
    }
    title = "How many times each of the 102 spectral channels was seen, averaged over the sky; by detector and channel."
    yield element("figure", channel_chart(title, means, names, said), element("figcaption", title))
    rows = [
        (
            f"D{detector}, {channel}",
            f"{bands[detector, channel]['wavelength']:.4f}",
            f"{bands[detector, channel]['bandwidth']:.4f}",
            parts[detector, channel],
            number(means[detector, channel]),
            int(depth.max()),
        )
        for (detector, channel), depth in sorted(sky.channels.items())
    ]
    headings = ("Detector, channel", "Wavelength (µm)", "Bandwidth (µm)", "Part of the sky", "Mean", "Most")
    yield many("Channels", table("Spectral channels", headings, rows), len(rows))


def _ends(first: Row, last: Row) -> str:
    short, long = sorted((first["wavelength"], last["wavelength"]))
    return f"{short:.2f}–{long:.2f} µm"
