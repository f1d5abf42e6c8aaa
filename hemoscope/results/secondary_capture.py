"""Secondary capture (PS3.3 A.8.1): slices with the mask drawn into the picture, for a PACS that shows no Segmentation.

In: the sources' headers, Hounsfield units and `Blood` on their pixels. Out: the bytes of one DICOM file a slice. The
picture is the stored one, neither turned nor resampled; words stand in a strip below it, where they cover nothing.
"""

import hashlib
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from hemoscope import render
from hemoscope.labels import ANY, COLOURS
from hemoscope.readers.quiet import quiet
from hemoscope.results.blood import Blood
from hemoscope.results.dicom_objects import check_grid, refer, written
from hemoscope.results.provenance import RESEARCH_USE, Provenance
from hemoscope.results.sources import Sources, image_key
from hemoscope.scan import BRAIN, Window

SERIES_NUMBER = 9003
OPACITY = 0.45
LINE_SHARE = 0.04  # of the columns: the height of a line of words
LETTERS = 48  # fit into a line
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE = (255, 255, 255)


def secondary_captures(
    sources: Sources,
    slices_hu: Iterable[NDArray[np.float32]],
    blood: Blood,
    provenance: Provenance,
    window: Window = BRAIN,
) -> Iterator[bytes]:
    """Draw each slice as `secondary_capture` does, one at a time.

    Args:
        sources, blood, provenance, window: see there.
        slices_hu: of all slices, in the order of the sources.
    """
    for index, hu in zip(range(len(sources.datasets)), slices_hu, strict=True):
        yield secondary_capture(sources, index, hu, blood, provenance, window)


def secondary_capture(
    sources: Sources,
    index: int,
    hu: NDArray[np.float32],
    blood: Blood,
    provenance: Provenance,
    window: Window = BRAIN,
) -> bytes:
    """Draw one slice as a DICOM file, RGB.

    Args:
        sources: headers of the slices.
        index: which of them.
        hu: float32 (rows, columns) in Hounsfield units on its pixels.
        blood: masks of all slices, in the same order.
        provenance: the model and the time.
        window: of display.
    """
    check_grid(sources, blood)
    shown = captured(render.grey(hu, window), blood, index, provenance)
    with quiet():
        return written(_capture(sources, index, shown, provenance), provenance)


def captured(grey: render.Picture, blood: Blood, index: int, provenance: Provenance) -> render.Picture:
    """The picture of one slice: uint8 RGB, with a strip of words below the slice's own rows."""
    labels = blood.labels[index]
    colours = render.blood_colours(labels if blood.by_subtype else None)
    filled = render.overlay(grey, labels > 0, colours, OPACITY)
    words = [(RESEARCH_USE, _WHITE), (f"Hemoscope {provenance.model} {provenance.version}", _WHITE)]
    words += [(f"Blood: {name}" if name != ANY else "Blood", COLOURS[name]) for name in blood.names]
    return np.concatenate([filled, _strip(words, filled.shape[1])])


def _strip(words: Iterable[tuple[str, render.Colour]], columns: int) -> render.Picture:
    """Lines of words on black, uint8 RGB, as wide as the picture."""
    lines = list(words)
    height = max(round(columns * LINE_SHARE), 8)
    strip: render.Picture = np.zeros((height * len(lines) + height // 2, columns, 3), np.uint8)
    width_at_1, _ = cv2.getTextSize("n" * LETTERS, _FONT, 1.0, 1)[0]
    for number, (text, colour) in enumerate(lines, 1):
        place = (height // 2, number * height - height // 4)
        cv2.putText(strip, text, place, _FONT, columns / width_at_1, colour, 1, cv2.LINE_AA)
    return strip


def _capture(sources: Sources, index: int, shown: render.Picture, provenance: Provenance) -> Dataset:
    from highdicom import sc

    source = sources.datasets[index]
    parts = ("secondary capture", image_key(source.SOPInstanceUID, sources.frames[index]))
    made = sc.SCImage.from_ref_dataset(
        ref_dataset=source,
        pixel_array=shown,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),  # the library wants one; what the header says follows
        series_instance_uid=provenance.uid("secondary capture", *sources.place),
        series_number=SERIES_NUMBER,
        sop_instance_uid=provenance.uid(*parts, hashlib.sha256(shown.tobytes()).hexdigest()),
        instance_number=index + 1,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **provenance.series("SC"),
    )
    spacing_mm = sources.spacing_mm(index)
    if spacing_mm is not None:
        made.PixelSpacing = [str(side) for side in spacing_mm]
    made.BodyPartExamined = "HEAD"
    made.PatientOrientation = _letters(source)
    made.ConversionType = "WSD"  # made by a workstation (PS3.3 C.8.6.1)
    made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = made.ContentDate, made.ContentTime
    made.BurnedInAnnotation = "YES"
    made.DerivationDescription = f"Mask of blood drawn in. {RESEARCH_USE}"
    made.SourceImageSequence = [refer(Dataset(), sources.reference(index))]
    return made


def _letters(source: Dataset) -> list[str]:
    """Where rows and columns mainly lead to (PS3.3 C.7.6.1.1.1), for example L and P; empty where it is not known."""
    if "ImageOrientationPatient" not in source:
        return []
    cosines = np.array(source.ImageOrientationPatient, float).reshape(2, 3)
    axes = np.abs(cosines).argmax(axis=1)
    return ["RAFLPH"[axis + 3 * bool(cosine[axis] > 0)] for axis, cosine in zip(axes, cosines, strict=True)]
