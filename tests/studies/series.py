"""Small synthetic series that the study tests share: forty pixels wide, with a mark that tells left from right."""

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemoscope.studies import Studies, Volume, read_studies, read_volume, received
from tests.readers.samples import dicom_bytes, head

BLOOD_HU = 60
AXIAL = [1, 0, 0, 0, 1, 0]


def slice_hu(number: int, rows: int = 48, columns: int = 40) -> NDArray[np.int16]:
    """A head with a square of blood at rows 12 to 15 and columns 24 to 27: the patient's left, in front."""
    hu = head(rows, columns)
    hu[12:16, 24:28] = BLOOD_HU
    hu[0, 0] = -900 + number  # no slice is equal to another
    return hu


def series(
    z_mm: list[float], hu: list[NDArray[np.int16]] | None = None, uid: str = "1.2.3.1", **changes: object
) -> list[bytes]:
    """One file for each height, with the body part HEAD and a soft kernel; `changes` set keywords in all of them."""
    set_ = {"BodyPartExamined": "HEAD", "ConvolutionKernel": "H31s", "PixelSpacing": [0.5, 0.5]} | changes
    return [
        dicom_bytes(
            slice_hu(number) if hu is None else hu[number],
            SeriesInstanceUID=uid,
            SOPInstanceUID=f"{uid}.{number + 1}",
            ImagePositionPatient=[-10, -12, z],
            **set_,
        )
        for number, z in enumerate(z_mm)
    ]


def write(folder: Path, files: list[bytes], seed: int | None = None) -> Path:
    """Write files into a folder: in order, or under shuffled names."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.arange(len(files)) if seed is None else np.random.default_rng(seed).permutation(len(files))
    begin = len(list(folder.iterdir()))
    for name, number in enumerate(order, begin):
        (folder / f"IM{name:04}").write_bytes(files[number])
    return folder


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def sorted_out(*paths: Path) -> Studies:
    with received(paths) as files:
        return read_studies(files)


def volume_of(*paths: Path, wanted: str = "") -> Volume:
    with received(paths) as files:
        return read_volume(read_studies(files).pick(wanted))


def heights(volume: Volume) -> list[float]:
    assert volume.scan.positions_mm is not None
    return [z for _, _, z in volume.scan.positions_mm]
