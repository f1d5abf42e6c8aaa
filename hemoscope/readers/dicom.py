"""DICOM CT -> `Scan` in Hounsfield units.

In: the bytes of one DICOM file (CT Image Storage or Enhanced CT). Out: a calibrated `Scan` with what the header says of
spacing, place and study; or `BadScan` with a sentence that names the tag.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadScan
from hemoscope.readers.elements import Header, as_numbers, parse, value_of
from hemoscope.readers.frames import Frame, Layout, compressed_frames, native_frames
from hemoscope.readers.geometry import Geometry, geometry_of
from hemoscope.readers.hounsfield import HIGHEST_HU, LOWEST_HU, Doubts, Rescale, hounsfield, is_tissue
from hemoscope.readers.limits import MAX_PIXELS, refuse_absurd_size
from hemoscope.readers.quiet import quiet
from hemoscope.readers.refusals import refuse_other_objects
from hemoscope.scan import Scan, ScanFacts

_HEADS = ("HEAD", "BRAIN", "SKULL", "CRAN", "NEURO", "FACE", "ORBIT", "SINUS", "NECK", "EAR", "TEMPORAL")
_COMPRESSED_SYNTAXES = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")
DAMAGED = "The DICOM file is damaged: its data elements cannot be followed."
_LOSSY_NOTE = "The pixels went through lossy compression, which can blur or hide small and faint bleeds."
_FACTS = {
    "patient_id": "PatientID",
    "patient_id_issuer": "IssuerOfPatientID",
    "patient_name": "PatientName",
    "patient_sex": "PatientSex",
    "patient_age": "PatientAge",
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "manufacturer": "Manufacturer",
    "convolution_kernel": "ConvolutionKernel",
}


@dataclass(frozen=True)
class _Described:
    """All that the header says, in plain values: pixels are decoded after pydicom is done."""

    layout: Layout
    rescales: tuple[Rescale, ...]
    padding: tuple[int, int] | None
    geometry: Geometry
    instance_uid: str
    frame_of_reference_uid: str
    facts: ScanFacts
    notes: tuple[str, ...]
    inverted: bool
    pixel_data: bytes
    compressed: bool


def read_dicom(data: bytes, max_pixels: int = MAX_PIXELS) -> Scan:
    """Read one DICOM file; the frames of a multi-frame file become slices in their stored order.

    Args:
        data: the file.
        max_pixels: refuse more pixels than this, before decoding.

    Raises:
        BadScan: for anything but a CT slice with whole pixels and a rescale to Hounsfield units.
    """
    described = _described(data, max_pixels)
    layout = described.layout
    hu = np.empty((layout.frames, layout.rows, layout.columns), np.float32)
    return _decoded(described, enumerate(_frames(described)), hu, described.geometry.positions_mm)


def read_frames(data: bytes, max_pixels: int = MAX_PIXELS) -> Iterator[Scan]:
    """Read one DICOM file frame by frame, in the stored order: scans of one slice, decoded when they are asked for.

    Args:
        data: the file.
        max_pixels: refuse more pixels than this in all frames together, before decoding.

    Raises:
        BadScan: as `read_dicom`; of the frames' pixels when a frame is asked for.
    """
    described = _described(data, max_pixels)
    layout, places = described.layout, described.geometry.positions_mm
    for index, frame in enumerate(_frames(described)):
        hu = np.empty((1, layout.rows, layout.columns), np.float32)
        yield _decoded(described, [(index, frame)], hu, None if places is None else places[index : index + 1])


def study_facts(header: Header) -> ScanFacts:
    """What the header says of patient, study and series."""
    return ScanFacts(**{field.name: header.text(_FACTS[field.name]) for field in fields(ScanFacts)})


def size_of(header: Header, max_pixels: int) -> tuple[int, int, int]:
    """Frames, rows and columns of Pixel Data.

    Raises:
        BadScan: where one is missing or unreadable, or together they are more than `max_pixels`.
    """
    rows, columns = header.integer("Rows"), header.integer("Columns")
    if rows is None or columns is None:
        raise BadScan("Rows (0028,0010) or Columns (0028,0011) is missing or unreadable.")
    frames = header.integer("NumberOfFrames") if header.text("NumberOfFrames") else 1
    if frames is None:
        raise BadScan("Number of Frames (0028,0008) is unreadable.")
    refuse_absurd_size(frames, rows, columns, max_pixels)
    return frames, rows, columns


def states_contrast(header: Header) -> bool:
    """Whether Contrast/Bolus Agent (0018,0010) names one, or its sequence (0018,0012) in enhanced images does."""
    named = header.text("ContrastBolusAgent").upper() not in ("", "NONE", "NO")
    return named or bool(value_of(header.dataset, "ContrastBolusAgentSequence"))


def names_head(body_part: str) -> bool:
    """Whether a body part, in capitals, is part of the head."""
    return any(head in body_part for head in _HEADS)


def _described(data: bytes, max_pixels: int) -> _Described:
    with quiet():
        try:
            header = parse(data, max_pixels * 2 + 16 * 2**20)
            refuse_other_objects(header)
            return _describe(header, max_pixels)
        except BadScan:
            raise
        except Exception:
            # pydicom raises anything for damaged bytes, and its words quote values of the header.
            raise BadScan(DAMAGED) from None


def _frames(described: _Described) -> Iterator[Frame]:
    return (compressed_frames if described.compressed else native_frames)(described.pixel_data, described.layout)


def _decoded(
    described: _Described,
    frames: Iterable[tuple[int, Frame]],
    hu: NDArray[np.float32],
    positions_mm: tuple[tuple[float, float, float], ...] | None,
) -> Scan:
    """Write the numbered frames into `hu`, one after the other, and say what is doubtful about them."""
    doubts, notes = Doubts(), list(described.notes)
    lossy = sign_from_stream = False
    for place, (index, frame) in enumerate(frames):
        hounsfield(frame, described.rescales[index], described.padding, hu[place], doubts)
        lossy, sign_from_stream = lossy or frame.lossy, sign_from_stream or frame.sign_from_stream
    _refuse_implausible(described, doubts)
    if lossy and _LOSSY_NOTE not in notes:
        notes.append(_LOSSY_NOTE)
    if sign_from_stream:
        notes.append(
            "Pixel Representation (0028,0103) says unsigned, the JPEG 2000 stream signed: the stream was taken."
        )
    return Scan(
        hu=hu,
        calibrated=True,
        spacing_mm=described.geometry.spacing_mm,
        positions_mm=positions_mm,
        orientation=described.geometry.orientation,
        slice_thickness_mm=described.geometry.slice_thickness_mm,
        instance_uids=(described.instance_uid,) * len(hu) if described.instance_uid else None,
        frame_of_reference_uid=described.frame_of_reference_uid,
        facts=described.facts,
        notes=(*notes, *described.geometry.notes, *_range_notes(doubts)),
    )


def _describe(header: Header, max_pixels: int) -> _Described:
    layout = _layout(header, max_pixels)
    rescales = tuple(_rescale(header, index) for index in range(layout.frames))
    padding, padding_notes = _padding(header, layout.signed, rescales)
    pixel_data, compressed = header.pixel_data()
    stated = header.syntax.startswith(_COMPRESSED_SYNTAXES)
    notes = [*_study_notes(header), *padding_notes]
    if header.syntax and stated != compressed:
        notes.append(
            "Transfer Syntax UID (0002,0010) contradicts Pixel Data (7FE0,0010): the pixels were read as "
            f"{'compressed' if compressed else 'uncompressed'}, as they lie in the file."
        )
    return _Described(
        layout=layout,
        rescales=rescales,
        padding=padding,
        geometry=geometry_of(header, layout.frames),
        instance_uid=header.text("SOPInstanceUID"),
        frame_of_reference_uid=header.text("FrameOfReferenceUID"),
        facts=study_facts(header),
        notes=tuple(notes),
        inverted=header.text("PhotometricInterpretation").upper() == "MONOCHROME1",
        pixel_data=pixel_data,
        compressed=compressed,
    )


def _layout(header: Header, max_pixels: int) -> Layout:
    frames, rows, columns = size_of(header, max_pixels)
    stored = header.integer("BitsStored") or 16
    high = header.integer("HighBit")
    return Layout(
        frames=frames,
        rows=rows,
        columns=columns,
        bits_stored=stored,
        high_bit=stored - 1 if high is None else high,
        signed=header.integer("PixelRepresentation") == 1,
        little_endian=header.little_endian,
    )


def _rescale(header: Header, index: int) -> Rescale:
    group = "PixelValueTransformationSequence"
    slope = header.frame_numbers(index, group, "RescaleSlope", 1)
    intercept = header.frame_numbers(index, group, "RescaleIntercept", 1)
    if slope is None or intercept is None:
        raise BadScan(
            "Rescale Slope (0028,1053) or Rescale Intercept (0028,1052) is missing or unreadable: without them the "
            "pixels cannot be turned into Hounsfield units."
        )
    if not (0 < abs(slope[0]) <= 1000 and abs(intercept[0]) <= 100_000):
        raise BadScan(
            f"Rescale Slope (0028,1053) {slope[0]:g} and Rescale Intercept (0028,1052) {intercept[0]:g} give no "
            "Hounsfield units."
        )
    return Rescale(slope[0], intercept[0])


def _padding(
    header: Header, signed: bool, rescales: tuple[Rescale, ...]
) -> tuple[tuple[int, int] | None, tuple[str, ...]]:
    """Pixel Padding Value and Range Limit, PS3.3 C.7.5.1.1.2, as stored values in rising order."""
    ends = [_stored_value(header, keyword, signed) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return None, ()
    value, limit = ends[0], ends[0] if ends[1] is None else ends[1]
    low, high = min(value, limit), max(value, limit)
    if any(is_tissue(low, high, rescale) for rescale in rescales):
        said = f"{value}" if low == high else f"{low} to {high}"
        return None, (
            f"Pixel Padding Value (0028,0120) {said} is a value that tissue has: it was not taken as padding.",
        )
    return (low, high), ()


def _stored_value(header: Header, keyword: str, signed: bool) -> int | None:
    """A 16-bit value in the sign of the pixels: its own value representation is often the wrong one of US and SS."""
    numbers = as_numbers(value_of(header.dataset, keyword), 1)
    if numbers is None:
        return None
    word = int(numbers[0]) & 0xFFFF
    return word - 0x10000 if signed and word & 0x8000 else word


def _study_notes(header: Header) -> list[str]:
    notes = []
    if header.text("LossyImageCompression") == "01":
        notes.append(_LOSSY_NOTE)
    if states_contrast(header):
        notes.append("Contrast medium was given (0018,0010): it can look like blood.")
    body_part = header.text("BodyPartExamined").upper()
    if body_part and not names_head(body_part):
        notes.append("Body Part Examined (0018,0015) names no part of the head; the models know heads only.")
    return notes


def _refuse_implausible(described: _Described, doubts: Doubts) -> None:
    if doubts.above > 0.05 * doubts.pixels:
        raise BadScan(
            f"{doubts.above / doubts.pixels:.0%} of the pixels are above {HIGHEST_HU:g} HU: they are corrupt, or "
            "Rescale Slope (0028,1053) and Rescale Intercept (0028,1052) are wrong."
        )
    # Unsigned pixels without a negative intercept cannot hold air or fat.
    if not described.layout.signed and doubts.lowest_hu >= 0:
        raise BadScan(
            f"Rescale Intercept (0028,1052) is {described.rescales[0].intercept:g} and no pixel is below 0 HU, as air "
            "and fat are: the pixels are not in Hounsfield units."
        )
    if described.inverted and doubts.border_hu > 300:
        raise BadScan(
            "Photometric Interpretation (0028,0004) is MONOCHROME1 and the border is as bright as bone: the stored "
            "values are inverted, and Rescale Slope (0028,1053) does not turn them back."
        )


def _range_notes(doubts: Doubts) -> list[str]:
    notes = []
    if doubts.below:
        notes.append(
            f"{_share(doubts.below, doubts.pixels)} of the pixels are below {LOWEST_HU:g} HU, as outside the "
            "scanner's circle: they were taken as air."
        )
    if doubts.above:
        notes.append(
            f"{_share(doubts.above, doubts.pixels)} of the pixels are above {HIGHEST_HU:g} HU: metal, or a fault; "
            "streaks around metal can look like blood."
        )
    return notes


def _share(part: int, whole: int) -> str:
    share = part / whole
    return "Less than 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
