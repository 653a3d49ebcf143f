"""How often each place of the sky was seen, as a picture: all of the sky in Mollweide's projection.

The formulae are those of J. P. Snyder, Map Projections: A Working Manual (USGS Professional Paper 1395, 1987), p. 251.
East is on the left, as seen from inside.
"""

from __future__ import annotations

__all__ = ("sky_section",)

from collections.abc import Iterable, Iterator

import hpgeom
import numpy as np
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord
from numpy.typing import NDArray

from ..search.coverage import Coverage
from ..summaries import number_of
from .markup import Markup, element, joined, number
from .png import data_url
from .tables import paragraph, share, table

_WIDTH, _HEIGHT = 900, 450
_CENTER = 180.0
"""The right ascension in the middle; the Milky Way's centre and anticentre then are left and right of it."""

_COLOURS = (
    *("#440154", "#482878", "#3e4989", "#31688e", "#26828e"),
    *("#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"),
)
"""Of viridis, by Stéfan van der Walt and Nathaniel Smith: https://bids.github.io/colormap."""

_STEPS = 64
_BETWEEN_TICKS = 48  # pixels
_NEWTON = 12  # steps, of which the last are for latitudes near the poles
_DEPTHS = (1, 10, 100, 1000, 10_000)

_Degrees = NDArray[np.float64]


def sky_section(sky: Coverage, repo: str) -> Iterator[Markup]:
    """Yield the picture of the sky, and how much of it was seen how often."""
    depth = sky.depth
    seen = depth[depth > 0]
    if not len(seen):
        yield paragraph(
            "No image has its place on the sky on record, so that none is found by position. ",
            element("code", f"butler spherex verify {repo} --fix"),
            " reads it from the headers of local files.",
        )
        return
    yield paragraph(
        f"{number_of(sky.images, 'image')} with a place on the sky saw {share(len(seen), len(depth))} of it. Where it "
        f"was seen, the median is {number_of(int(np.median(seen)), 'time')}, and the most "
        f"{number_of(int(seen.max()), 'time')}. "
        "An image counts once, however often it was processed."
    )
    rows = [
        (f"{number_of(least, 'time')} or more", share(int((depth >= least).sum()), len(depth)))
        for least in _DEPTHS
        if least <= seen.max()
    ]
    picture = element("figure", _picture(depth), _legend(int(seen.max())), class_="map")
    parts = table("How much of the sky was seen", ("Seen", "Part of the sky"), rows)
    yield element("div", picture, parts, class_="side")


def _picture(depth: NDArray[np.int32]) -> Markup:
    title = (
        "Map of the whole sky in Mollweide's projection, equatorial coordinates (ICRS): how many images saw each "
        f"place, from {number(int(depth.min()))} to {number(int(depth.max()))}."
    )
    return element(
        "svg",
        element("title", title),
        element("ellipse", cx=_WIDTH / 2, cy=_HEIGHT / 2, rx=_WIDTH / 2, ry=_HEIGHT / 2, class_="unseen"),
        element("image", href=_raster(depth), width=_WIDTH, height=_HEIGHT),
        _lines(),
        *(element("path", d=_path(*_ecliptic()), class_=f"ecliptic {kind}") for kind in ("below", "above")),
        joined(_labels()),
        viewBox=f"-1 -1 {_WIDTH + 2} {_HEIGHT + 2}",
        role="img",
        class_="sky",
    )


def _raster(depth: NDArray[np.int32]) -> str:
    """Return the picture of the depth alone; what was never seen is transparent."""
    y, x = np.mgrid[_HEIGHT:0:-1, 0:_WIDTH].astype(float)
    v, u = (y - 0.5) / _HEIGHT * 2 - 1, (x + 0.5) / _WIDTH * 4 - 2
    inside = (u / 2) ** 2 + v**2 < 1
    theta = np.arcsin(v[inside])
    lat = np.degrees(np.arcsin((2 * theta + np.sin(2 * theta)) / np.pi))
    lon = (_CENTER - 90 * u[inside] / np.cos(theta)) % 360
    nside = hpgeom.npixel_to_nside(len(depth))
    found = depth[hpgeom.angle_to_pixel(nside, lon, lat, nest=True)]
    pixels = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    pixels[inside] = np.where(found > 0, 1 + _level(found, int(depth.max())), 0)
    return data_url(pixels, np.concatenate([[[0, 0, 0]], _palette()]))


def _level(depth: NDArray[np.int32], largest: int) -> NDArray[np.int64]:
    """Return the colour of a depth, by its logarithm."""
    scale = np.log(np.maximum(depth, 1)) / np.log(max(largest, 2))
    found: NDArray[np.int64] = np.minimum((scale * _STEPS).astype(np.int64), _STEPS - 1)
    return found


def _palette() -> NDArray[np.uint8]:
    anchors = np.array([[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in _COLOURS], float)
    steps = np.linspace(0, len(anchors) - 1, _STEPS)
    channels = [np.interp(steps, np.arange(len(anchors)), anchors[:, place]) for place in range(3)]
    found: NDArray[np.uint8] = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return found


def _projected(lon: _Degrees, lat: _Degrees) -> tuple[_Degrees, _Degrees]:
    """Return where places of the sky are in the picture."""
    phi = np.radians(lat)
    theta = phi.copy()
    for _ in range(_NEWTON):
        slope = np.maximum(2 + 2 * np.cos(2 * theta), 1e-9)
        theta -= (2 * theta + np.sin(2 * theta) - np.pi * np.sin(phi)) / slope
    east = (np.asarray(lon) - _CENTER + 180) % 360 - 180
    u, v = -east / 90 * np.cos(theta), np.sin(theta)
    return (u / 4 + 0.5) * _WIDTH, (0.5 - v / 2) * _HEIGHT


def _lines() -> Markup:
    """Return the lines of equal right ascension and declination."""
    steps = np.linspace(-90, 90, 61)
    meridians = [_path(np.full(61, lon), steps) for lon in range(0, 360, 60) if lon != _CENTER - 180]
    around = np.linspace(_CENTER - 179.99, _CENTER + 179.99, 91)
    parallels = [_path(around, np.full(91, float(lat))) for lat in (-60, -30, 0, 30, 60)]
    edge = element("ellipse", cx=_WIDTH / 2, cy=_HEIGHT / 2, rx=_WIDTH / 2, ry=_HEIGHT / 2, class_="edge")
    return joined([element("path", d=" ".join([*meridians, *parallels]), class_="grid"), edge])


def _path(lon: _Degrees, lat: _Degrees) -> str:
    """Return a line through places, interrupted where it leaves the picture on one side."""
    x, y = _projected(lon, lat)
    far = np.abs(np.diff(x, prepend=x[0])) > _WIDTH / 4
    return "".join(
        f"{'M' if place == 0 or jump else 'L'}{column:.1f} {row:.1f}"
        for place, (column, row, jump) in enumerate(zip(x.tolist(), y.tolist(), far.tolist(), strict=True))
    )


def _ecliptic() -> tuple[_Degrees, _Degrees]:
    return _equatorial(np.linspace(0, 360, 181), np.zeros(181))


def _equatorial(lon: _Degrees, lat: _Degrees) -> tuple[_Degrees, _Degrees]:
    found = SkyCoord(lon, lat, unit="deg", frame=BarycentricMeanEcliptic()).icrs
    return np.asarray(found.ra.deg), np.asarray(found.dec.deg)


def _labels() -> Iterable[Markup]:
    for lon in (300, 240, 180, 120, 60):
        yield _label(float(lon), 0.0, f"{lon}°", "label")
    for lat in (-60, -30, 30, 60):
        yield _label(_CENTER, float(lat), f"{lat:+d}°".replace("-", "−"), "label declination")
    poles = _equatorial(np.zeros(2), np.array([90.0, -90.0]))
    for lon, lat, name in zip(*(axis.tolist() for axis in poles), ("N", "S"), strict=True):
        x, y = (float(value) for value in _projected(np.array(lon), np.array(lat)))
        yield element("circle", cx=x, cy=y, r=5, class_="pole")
        yield element("text", f"ecliptic pole {name}", x=x + 9, y=y + 4, class_="label pole-name")


def _label(lon: float, lat: float, said: str, kind: str) -> Markup:
    x, y = (float(value) for value in _projected(np.array(lon), np.array(lat)))
    return element("text", said, x=x + 3, y=y - 4, class_=kind)


def _legend(largest: int) -> Markup:
    """Return the scale of colours, and what else the picture shows."""
    colours = ["#" + bytes(colour.tolist()).hex() for colour in _palette()]
    boxes = (element("rect", x=5 * place, y=0, width=5, height=14, fill=one) for place, one in enumerate(colours))
    scale = 5 * _STEPS / np.log(max(largest, 2))
    ticks = [depth for depth in _DEPTHS if (np.log(largest) - np.log(depth)) * scale > _BETWEEN_TICKS] + [largest]
    texts = (
        element(
            "text",
            number(depth),
            x=float(np.log(depth) * scale),
            y=30,
            text_anchor="start" if depth == 1 else "end" if depth == largest else "middle",
            class_="tick",
        )
        for depth in ticks
    )
    colour_scale = element(
        "svg", joined(boxes), joined(texts), viewBox=f"0 0 {5 * _STEPS} 34", class_="scale", aria_hidden="true"
    )
    said = (
        "Images at each place; grey: never seen. Equatorial coordinates (ICRS), east on the left; dashed: the ecliptic."
    )
    return element("figcaption", colour_scale, said)
