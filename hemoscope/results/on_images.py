"""Measurements of a scan, taken to the images that are stored: what a report refers to.

In: `Measurements` of a volume's scan, which may have been turned, or averaged to slabs. Out: `OnImages`, whose slices
and places are those of the volume's stored slices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from hemoscope.labels import ANY
from hemoscope.measuring.values import Lesion, Measurements, MidlineShift, PlacePx
from hemoscope.measuring.values import Volume as Milliliters
from hemoscope.studies import Volume


@dataclass(frozen=True)
class LesionOnImages:
    """A lesion, and where it is stored.

    Attributes:
        lesion: its measurements; the slices and places in it are the scan's.
        images: the stored slices that it spans, counted from 0.
        largest_image: the one of them that its diameter is drawn on.
        ends_px: the ends of its largest diameter, (row, column) on that one's pixels.
    """

    lesion: Lesion
    images: tuple[int, ...]
    largest_image: int
    ends_px: tuple[PlacePx, ...]


@dataclass(frozen=True)
class MidlineOnImage:
    """The midline shift, and where it is stored.

    Attributes:
        shift: its measurement; the slice and places in it are the scan's.
        image: the stored slice that it is drawn on, counted from 0.
        ideal_px: the ends of the skull's middle line, (row, column) on that one's pixels.
        midline_px: points of the brain's middle line, likewise.
    """

    shift: MidlineShift
    image: int
    ideal_px: tuple[PlacePx, ...]
    midline_px: tuple[PlacePx, ...]


@dataclass(frozen=True)
class OnImages:
    """All measurements of a volume.

    Attributes:
        volumes: by class, `any` for all blood; those that are not known are missing.
        lesions: the largest first.
        midline: None where it was not found.
        notes: what a reader of the numbers should know, and why what is missing is not known, in sentences.
    """

    volumes: Mapping[str, Milliliters] = field(default_factory=dict)
    lesions: tuple[LesionOnImages, ...] = ()
    midline: MidlineOnImage | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, measured: Measurements, volume: Volume) -> Self:
        """Take the measurements of a volume's scan to its stored slices."""
        volumes = {} if measured.total is None else {ANY: measured.total, **(measured.by_subtype or {})}
        return cls(
            volumes,
            tuple(_lesion(one, volume) for one in measured.lesions),
            None if measured.midline is None else _midline(measured.midline, volume),
            (
                *measured.notes,
                *([f"Volume not known: {measured.volume_unknown}"] if measured.volume_unknown else []),
                *([f"Midline shift not known: {measured.midline_unknown}"] if measured.midline_unknown else []),
            ),
        )


def _lesion(one: Lesion, volume: Volume) -> LesionOnImages:
    slices = range(one.first_slice, one.last_slice + 1)
    return LesionOnImages(
        one,
        tuple(stored for index in slices for stored in volume.stored(index)),
        _middle(volume.stored(one.largest_slice)),
        _places(one.diameters.ends_px, volume),
    )


def _midline(one: MidlineShift, volume: Volume) -> MidlineOnImage:
    image = _middle(volume.stored(one.slice))
    return MidlineOnImage(one, image, _places(one.ideal_px, volume), _places(one.midline_px, volume))


def _middle(slices: range) -> int:
    """Of the slices of a slab one has to stand for all."""
    return slices[len(slices) // 2]


def _places(places: Sequence[PlacePx], volume: Volume) -> tuple[PlacePx, ...]:
    rows, columns = volume.scan.hu.shape[1:]
    return tuple(volume.turn.undo_place(place, rows, columns) for place in places)
