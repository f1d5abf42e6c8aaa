"""A reading on disk: what the viewer needs, a file a slice, and the results that people download.

In: a volume with its findings. Out: a folder; and out of it the outline and single slices again.

    outline.json            everything of `Outline` but what depends on the patient's other studies, and the midline
    band.json               the probabilities between which the reader did not decide
    hu-0001.gz              int16 Hounsfield units, lowest byte first, row by row
    mask-0001.gz            uint8 codes, see `Study.mask`; only of a model that gives masks
    heat-0001.gz            uint8, 64 x 64, see `Study.heat`; only where there is a heat map
    out/                    what `hemoscope.results.folder.write_results` writes
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemoscope.findings import SliceFindings
from hemoscope.scan import Scan
from web.studies.protocol import (
    HEAT_SIDE_PX,
    Outline,
    SliceOutline,
    coarse_heat,
    coded_mask,
    slice_outlines,
    whole_hu,
)  # fmt: skip

OUTLINE, BAND, OUT = "outline.json", "band.json", "out"
FASTEST = 1  # gzip's level: noise does not shrink further, only slower


def write_outline(
    folder: Path, scan: Scan, findings: Sequence[SliceFindings], model: str, notes: tuple[str, ...]
) -> None:
    """Write the outline, without title and prior: those are looked up when it is shown.

    Raises:
        OSError: where it cannot be written.
    """
    outline = Outline(
        title="",
        rows=scan.hu.shape[1],
        columns=scan.hu.shape[2],
        spacing_mm=scan.spacing_mm,
        orientation=scan.orientation,
        slices=slice_outlines(scan, findings),
        model=model,
        notes=notes,
    )
    (folder / OUTLINE).write_text(json.dumps(asdict(outline)), encoding="utf-8")


def write_band(folder: Path, low: float, high: float) -> None:
    """Write the band of the study's probability of any hemorrhage in which the reader did not decide.

    Raises:
        OSError: where it cannot be written.
    """
    (folder / BAND).write_text(json.dumps([low, high]), encoding="utf-8")


def write_scan(folder: Path, scan: Scan) -> None:
    """Write the slices as the viewer shows them.

    Raises:
        OSError: where they cannot be written.
    """
    for index, hu in enumerate(scan.hu):
        _write(folder, "hu", index, whole_hu(hu).astype("<i2"))


def write_layers(folder: Path, index: int, found: SliceFindings) -> None:
    """Write what the viewer lays over one slice.

    Raises:
        OSError: where it cannot be written.
    """
    for kind, pixels in (("mask", coded_mask(found)), ("heat", coarse_heat(found))):
        if pixels is not None:
            _write(folder, kind, index, pixels)


def read_outline(folder: Path) -> Outline:
    """The outline as it was written.

    Raises:
        OSError: where it is not there.
    """
    said = json.loads((folder / OUTLINE).read_text(encoding="utf-8"))
    slices = [SliceOutline(**one | {"position_mm": _tuple(one["position_mm"])}) for one in said["slices"]]
    known = {
        "spacing_mm": _tuple(said["spacing_mm"]),
        "orientation": _tuple(said["orientation"]),
        "slices": tuple(slices),
        "notes": tuple(said["notes"]),
    }
    return Outline(**said | known)


def read_band(folder: Path) -> tuple[float, float]:
    """The band as it was written.

    Raises:
        OSError: where it is not there.
    """
    low, high = json.loads((folder / BAND).read_text(encoding="utf-8"))
    return low, high


def read_hu(folder: Path, index: int, outline: Outline) -> NDArray[np.int16]:
    """Hounsfield units of one slice, (rows, columns).

    Raises:
        OSError: where it is not there.
    """
    return np.frombuffer(_unpacked(folder, "hu", index), "<i2").reshape(outline.rows, outline.columns)


def read_mask(folder: Path, index: int, outline: Outline) -> NDArray[np.uint8] | None:
    """The codes of one slice, (rows, columns); None for a model that gives no mask."""
    if outline.slices[index].area_px is None:
        return None
    return np.frombuffer(_unpacked(folder, "mask", index), np.uint8).reshape(outline.rows, outline.columns)


def read_heat(folder: Path, index: int, outline: Outline) -> NDArray[np.uint8] | None:
    """The heat map of one slice on its coarse grid, or None."""
    if not outline.slices[index].heat:
        return None
    return np.frombuffer(_unpacked(folder, "heat", index), np.uint8).reshape(HEAT_SIDE_PX, HEAT_SIDE_PX)


def _name(kind: str, index: int) -> str:
    return f"{kind}-{index + 1:04d}.gz"


def _write(folder: Path, kind: str, index: int, pixels: NDArray[np.generic]) -> None:
    (folder / _name(kind, index)).write_bytes(gzip.compress(pixels.tobytes(), FASTEST, mtime=0))


def _unpacked(folder: Path, kind: str, index: int) -> bytes:
    return gzip.decompress((folder / _name(kind, index)).read_bytes())


def _tuple(values: list[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values)
