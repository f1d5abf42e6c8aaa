"""Files -> what their headers say of each slice, without the pixels.

In: a `File`. Out: a `Headed`, the slices in it with patient, series and place; or a refusal in words.
"""

from dataclasses import dataclass
from typing import Literal

from hemoscope.errors import BadScan
from hemoscope.readers.dicom import DAMAGED, size_of, states_contrast, study_facts
from hemoscope.readers.elements import Header, parse, parse_head
from hemoscope.readers.geometry import geometry_of
from hemoscope.readers.kinds import is_gzip, is_nifti, kind_of
from hemoscope.readers.nifti import read_nifti_header
from hemoscope.readers.quiet import quiet
from hemoscope.readers.refusals import refuse_other_objects
from hemoscope.scan import ScanFacts
from hemoscope.studies.content import refuse_foreign_object
from hemoscope.studies.files import File

HEAD_BYTES = 64 * 2**10  # more than the header of nearly every slice; larger ones are read whole
MAX_STACK_PIXELS = 2**28  # of one file: 1024 slices of 512 x 512; they are decoded one at a time
_DEFLATED_BYTES = 2 * MAX_STACK_PIXELS + 16 * 2**20
_FARTHEST_MM = 1e5  # from the scanner's origin; a position beyond it is none


@dataclass(frozen=True)
class Slice:
    """One slice that can be read from a file.

    Attributes:
        file: where it lies.
        kind: how it is decoded.
        frame: its number in the file, from 0.
        instance_uid: SOP Instance UID of the file, or "".
        acquisition: Acquisition Number (0020,0012), or None.
        rows, columns: its grid as stored.
        spacing_mm: between rows and between columns, or None where unknown.
        position_mm: the centre of its first pixel (PS3.3 C.7.6.2.1.1), or None where unknown.
        orientation: direction cosines along a row and down a column, or None where unknown.
        thickness_mm: as stated, or None.
        frame_of_reference_uid: whose coordinates these are, or "".
    """

    file: File
    kind: Literal["dicom", "nifti"]
    frame: int
    instance_uid: str
    acquisition: int | None
    rows: int
    columns: int
    spacing_mm: tuple[float, float] | None
    position_mm: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None
    thickness_mm: float | None
    frame_of_reference_uid: str


@dataclass(frozen=True)
class Headed:
    """What a file's header says.

    Attributes:
        facts: patient, study and series.
        series_number: as stated, or None.
        image_type: the words of Image Type (0008,0008).
        kernel: the first value of Convolution Kernel (0018,1210), in capitals; "" where not stated.
        contrast: whether contrast medium is stated.
        body_part: as stated, in capitals.
        slices: one a frame; empty where `refusal` says why.
        refusal: why the file is not read, or "".
    """

    facts: ScanFacts
    series_number: int | None
    image_type: tuple[str, ...]
    kernel: str
    contrast: bool
    body_part: str
    slices: tuple[Slice, ...]
    refusal: str


def read_header(file: File) -> Headed:
    """Read the header of a DICOM or NIfTI file.

    Raises:
        BadScan: where the file is neither, or its header cannot be read. A DICOM object that is no CT slice is not an
            error: it has its refusal in `Headed`.
    """
    head = file.head(HEAD_BYTES)
    if is_nifti(head):
        return _nifti(file, is_gzip(head))
    if kind_of(head) == "picture":
        raise BadScan("This is a picture, not DICOM: it has no place in the head. `hemoscope predict` reads pictures.")
    with quiet():
        try:
            header = parse_head(head) or parse(file.read(), _DEFLATED_BYTES)
            return _dicom(file, header)
        except BadScan:
            raise
        except Exception:  # pydicom raises anything for damaged bytes, and its words quote values of the header
            raise BadScan(DAMAGED) from None


def _dicom(file: File, header: Header) -> Headed:
    refusal = ""
    slices: tuple[Slice, ...] = ()
    try:
        refuse_foreign_object(header)
        refuse_other_objects(header)
        slices = _slices(file, header)
    except BadScan as error:
        refusal = str(error)
    return Headed(
        facts=study_facts(header),
        series_number=header.integer("SeriesNumber"),
        image_type=header.words("ImageType"),
        kernel=next(iter(header.words("ConvolutionKernel")), ""),
        contrast=states_contrast(header),
        body_part=header.text("BodyPartExamined").upper(),
        slices=slices,
        refusal=refusal,
    )


def _slices(file: File, header: Header) -> tuple[Slice, ...]:
    frames, rows, columns = size_of(header, MAX_STACK_PIXELS)
    geometry = geometry_of(header, frames)
    positions = geometry.positions_mm
    if positions is not None and max(abs(part) for position in positions for part in position) > _FARTHEST_MM:
        positions = None
    return tuple(
        Slice(
            file=file,
            kind="dicom",
            frame=index,
            instance_uid=header.text("SOPInstanceUID"),
            acquisition=header.integer("AcquisitionNumber"),
            rows=rows,
            columns=columns,
            spacing_mm=geometry.spacing_mm,
            position_mm=None if positions is None else positions[index],
            orientation=geometry.orientation,
            thickness_mm=geometry.slice_thickness_mm,
            frame_of_reference_uid=header.text("FrameOfReferenceUID"),
        )
        for index in range(frames)
    )


def _nifti(file: File, packed: bool) -> Headed:
    with file.stream() as stream:
        volume = read_nifti_header(stream, packed, MAX_STACK_PIXELS)
    slices = tuple(
        Slice(
            file=file,
            kind="nifti",
            frame=index,
            instance_uid="",
            acquisition=None,
            rows=volume.rows,
            columns=volume.columns,
            spacing_mm=volume.spacing_mm,
            position_mm=position,
            orientation=volume.orientation,
            thickness_mm=None,
            frame_of_reference_uid="",
        )
        for index, position in enumerate(volume.positions_mm)
    )
    # The file's name tells volumes apart, as a series UID does: NIfTI knows neither patient nor study.
    return Headed(ScanFacts(series_description=file.name), None, (), "", False, "", slices, "")
