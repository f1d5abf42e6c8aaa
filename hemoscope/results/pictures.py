"""Masks, overlays and heat maps of a reading as PNG files in folders.

In: a scan, its findings, and the folders that were asked for. Out: files on the input's own rows and columns, named
after the input: `scan.png`, or `scan_001.png`, `scan_002.png`, ... where it has several slices.
"""

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from hemoscope import render
from hemoscope.errors import BadRequest
from hemoscope.findings import Findings
from hemoscope.scan import BRAIN, Scan

OVERLAY_OPACITY = 0.45
HEAT_OPACITY = 0.7


class PictureNames:
    """Gives out names and never one twice: a second `scan` of the same run becomes `scan~2`."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, stem: str, slices: int) -> tuple[str, tuple[str, ...]]:
        """The name that an input's pictures go by, and one name a slice."""
        for copy in count(1):
            name = stem if copy == 1 else f"{stem}~{copy}"
            names = (name,) if slices == 1 else tuple(f"{name}_{index:03d}" for index in range(1, slices + 1))
            keys = {each.casefold() for each in names}  # some file systems hold A and a to be the same
            if not keys & self._taken:
                break
        self._taken |= keys
        return name, names


@dataclass(frozen=True)
class Pictures:
    """Writes the kinds of pictures whose folder is not None.

    Attributes:
        masks: 0 or 255, 8-bit grey. A model that gives no mask leaves no masks and no overlays.
        overlays: the slice with the mask filled in, RGB, by subtype where the model tells them apart by pixel;
            calibrated scans in the brain window, pictures in their own.
        heatmaps: the slice under the Grad-CAM of each class, RGB, with `_any`, `_epidural`, ... after the name.

    Raises:
        BadRequest: if two of the folders are the same, where their files would overwrite each other.
    """

    masks: Path | None = None
    overlays: Path | None = None
    heatmaps: Path | None = None
    names: PictureNames = field(default_factory=PictureNames)

    def __post_init__(self) -> None:
        if len({folder.resolve() for folder in self.folders}) < len(self.folders):
            raise BadRequest(
                "Masks, overlays and heat maps need a folder each: in one they would overwrite each other."
            )

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(folder for folder in (self.masks, self.overlays, self.heatmaps) if folder is not None)

    def make_folders(self) -> None:
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, path: str, scan: Scan, findings: Findings) -> str:
        """Write one input's pictures.

        Returns:
            The name that they go by: `picture_stem(path)`, unless an earlier input of the run has taken that.
        """
        name, names = self.names.take(picture_stem(path), len(findings.slices))
        for each, hu, found in zip(names, scan.hu, findings.slices, strict=True):
            if self.masks and found.mask is not None:
                (self.masks / f"{each}.png").write_bytes(render.mask_png(found.mask))
            shown = render.grey(hu, scan.window or BRAIN)
            if self.overlays and found.mask is not None:
                colours = render.blood_colours(found.subtype_map)
                filled = render.overlay(shown, found.mask, colours, OVERLAY_OPACITY)
                (self.overlays / f"{each}.png").write_bytes(render.png(filled))
            if self.heatmaps:
                for label, heat in found.heat.items():
                    warm = render.heat_map(shown, heat, HEAT_OPACITY)
                    (self.heatmaps / f"{each}_{label}.png").write_bytes(render.png(warm))
        return name


def picture_stem(path: str) -> str:
    """A file's name without its extension; `1.2.840.10008` ends in a number, not an extension, and stays whole."""
    file = Path(path)
    if file.name.lower().endswith(".nii.gz"):
        return file.name[: -len(".nii.gz")]
    return file.stem if file.suffix[1:2].isalpha() else file.name
