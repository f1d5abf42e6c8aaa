"""Slices -> their pixels, one at a time: a study is never in memory as a whole.

In: `Slice`s. Out: a `Scan` of one slice each, as stored, or what is wrong with it.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

import numpy as np

from hemoscope.errors import BadScan
from hemoscope.readers.dicom import read_frames
from hemoscope.readers.nifti import read_nifti_header
from hemoscope.scan import Scan
from hemoscope.studies.files import File
from hemoscope.studies.headers import MAX_STACK_PIXELS, Slice

_LOST_FRAME = "The file was decoded up to here: the frame is missing or damaged."


def decoded(slices: Iterable[Slice]) -> Iterator[tuple[Slice, Scan | BadScan]]:
    """Decode slices file by file; those of one file come in its order.

    Args:
        slices: in any order.

    Yields:
        Each slice, with a scan of that slice alone or the error that says why there is none.
    """
    by_file: dict[int, list[Slice]] = {}
    for one in slices:
        by_file.setdefault(id(one.file), []).append(one)
    for wanted in by_file.values():
        frames = {one.frame: one for one in wanted}
        scans = _nifti(wanted[0]) if wanted[0].kind == "nifti" else _dicom(wanted[0].file)
        with closing(scans):
            try:
                for index, scan in enumerate(scans):
                    if index in frames:
                        yield frames.pop(index), scan
                    if not frames:
                        break
                lost = BadScan(_LOST_FRAME)
            except BadScan as error:
                lost = error
        for one in frames.values():
            yield one, lost


def _dicom(file: File) -> Generator[Scan, None, None]:
    yield from read_frames(file.read(), MAX_STACK_PIXELS)


def _nifti(first: Slice) -> Generator[Scan, None, None]:
    with first.file.stream() as stream:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        volume = read_nifti_header(stream, packed, MAX_STACK_PIXELS)
        stream.seek(0)
        for index, hu in enumerate(volume.hounsfield(stream)):
            yield Scan(
                np.ascontiguousarray(hu[None]),
                calibrated=True,
                spacing_mm=volume.spacing_mm,
                positions_mm=(volume.positions_mm[index],),
                orientation=volume.orientation,
            )
