"""Header cards that keep every digit of their values, and Butler's provenance cards.

Provenance is stored in the primary header as ``HIERARCH LSST BUTLER …``
cards, the form that `lsst.daf.butler.DatasetProvenance.from_flat_dict` reads
and that Rubin's own image formatters write.
"""

from __future__ import annotations

__all__ = ("PREFIX", "exact_images", "provenance_cards", "strip_provenance")

from typing import Any

from astropy.io import fits

from ...errors import FormatError

PREFIX = "LSST BUTLER"
"""What the keywords of provenance cards begin with, as in Rubin's own files."""


def exact_images(header: fits.Header) -> list[str]:
    """Return the header's cards as 80-character images that hold every digit of their values.

    astropy cuts the image of a float at 20 characters, in fixed format; the
    free format (FITS standard 4.0, section 4.2.4) has room for all of them.
    """
    images: list[str] = []
    for card in header.cards:
        try:
            image = _exact_image(card)
            image.encode("ascii")
        except (ValueError, fits.VerifyError) as error:
            raise FormatError(f"Header card {card.keyword!r} cannot be written to FITS: {error}") from error
        images += [image[at : at + 80] for at in range(0, len(image), 80)]
    return images


def _exact_image(card: fits.Card) -> str:
    image = str(card.image)
    if isinstance(card.value, str | fits.card.Undefined | None) or _value(image) == card.value:
        return image
    if isinstance(card.value, float | complex):
        comment = f" / {card.comment}" if card.comment else ""
        image = f"{image[: image.index('= ')]}= {_all_digits(card.value)}{comment}"[:80].ljust(80)
    if _value(image) != card.value:
        raise ValueError(f"80 characters do not hold its value {card.value!r}; shorten the keyword")
    return image


def _value(image: str) -> Any:
    return fits.Card.fromstring(image).value


def _all_digits(value: complex) -> str:
    if isinstance(value, float):
        return repr(float(value)).replace("e", "E")
    return f"({_all_digits(float(value.real))}, {_all_digits(float(value.imag))})"


def provenance_cards(header: fits.Header) -> list[fits.Card]:
    """Return the Butler provenance cards of a header."""
    return [card for card in header.cards if card.keyword.startswith(PREFIX + " ")]


def strip_provenance(header: fits.Header) -> None:
    """Remove the Butler provenance cards from a header."""
    for card in provenance_cards(header):
        header.remove(card.keyword)
