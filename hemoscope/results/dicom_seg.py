"""DICOM Segmentation (PS3.3 A.51): the masks for programs that lay them over the images.

In: the sources' headers and `Blood` on their pixels. Out: the bytes of one DICOM file, binary, one segment for all
blood or one for each subtype that was found.

Every frame takes its place from the source with the same slice (Image Position and Orientation), never from an order or
a spacing. So it lies right over tilted, flipped, unsorted and unevenly spaced series.
"""

import hashlib
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from hemoscope.errors import BadScan
from hemoscope.labels import COLOURS, SUBTYPES
from hemoscope.readers.quiet import quiet
from hemoscope.results import codes
from hemoscope.results.blood import Blood
from hemoscope.results.dicom_objects import check_grid, coded, private_schemes, refer, written
from hemoscope.results.provenance import RESEARCH_USE, Provenance
from hemoscope.results.sources import Sources

if TYPE_CHECKING:
    import highdicom

SERIES_NUMBER = 9001
_PLANE = ("FrameOfReferenceUID", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")


def segmentation(sources: Sources, blood: Blood, provenance: Provenance) -> bytes:
    """Make a Segmentation of the masks. Slices without blood have no frame.

    Args:
        sources: headers of the slices' files.
        blood: masks on their pixels, in the same order.
        provenance: the model and the time.

    Raises:
        BadScan: where there is no blood, or the headers do not tell where the slices lie.
    """
    import highdicom

    check_grid(sources, blood)
    names = blood.names
    if not names:
        raise BadScan("No blood was found: a DICOM segmentation would have no segment.")
    _refuse_unknown_planes(sources)
    digest = hashlib.sha256(np.ascontiguousarray(blood.labels).data).hexdigest()
    parts = ("segmentation", *sources.place, digest)
    with quiet():
        made = highdicom.seg.Segmentation(
            source_images=_images(sources),
            pixel_array=_numbered(blood, names),
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _segment(number, name, provenance, provenance.uid(*parts, name)) for number, name in enumerate(names, 1)
            ],
            series_instance_uid=provenance.uid(*parts, "series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=provenance.uid(*parts),
            instance_number=1,
            content_label="HEMORRHAGE",
            content_description=f"Blood in head CT. {RESEARCH_USE}",
            coding_schemes=private_schemes(names),
            **provenance.series("SEG"),
        )
        _refer_to_frames(made, sources)
        _name_dimensions(made, provenance.uid(*parts, "dimensions"))
        return written(made, provenance)


def _refuse_unknown_planes(sources: Sources) -> None:
    for keyword in _PLANE:
        if any(keyword not in one for one in sources.datasets):
            raise BadScan(f"{keyword} is missing in a slice: it is not known where a DICOM segmentation would lie.")
    for keyword in ("PixelSpacing", "ImageOrientationPatient"):
        values = np.array([one[keyword].value for one in sources.datasets], float)
        if np.ptp(values, axis=0).max() > 1e-4:
            raise BadScan(f"{keyword} differs between the slices: a DICOM segmentation needs parallel, equal slices.")
    places = {tuple(np.round(one.ImagePositionPatient, 3)) for one in sources.datasets}
    if len(places) < len(sources.datasets):
        raise BadScan("Two slices lie in the same place: a DICOM segmentation cannot tell them apart.")


def _images(sources: Sources) -> list[Dataset]:
    """The slices as highdicom wants them: with a thickness, and frames of a file as images of their own.

    It takes one multi-frame file, all of whose frames are read. A volume may be some frames of one, in another order,
    or of several; as single images, under stand-in UIDs, they go the way of all others. `_refer_to_frames` puts the
    references right.
    """
    datasets = [deepcopy(one) for one in sources.datasets]
    if any("SliceThickness" not in one for one in datasets):
        thickness_mm = _usual_distance_mm(sources)
        for one in datasets:
            one.SliceThickness = thickness_mm
    for index, (one, frame) in enumerate(zip(datasets, sources.frames, strict=True)):
        if frame is not None:
            one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, _stand_in(index)
    return datasets


def _usual_distance_mm(sources: Sources) -> float:
    """Of neighbours along the normal, where a slice does not say how thick it is."""
    if len(sources.datasets) == 1:
        raise BadScan("SliceThickness is missing: the volume of a DICOM segmentation of one slice would be unknown.")
    normal = np.cross(*np.array(sources.first.ImageOrientationPatient, float).reshape(2, 3))
    heights_mm = np.sort([np.array(one.ImagePositionPatient, float) @ normal for one in sources.datasets])
    return float(np.median(np.diff(heights_mm)))


def _stand_in(index: int) -> str:
    return f"2.25.{index}"


def _refer_to_frames(made: Dataset, sources: Sources) -> None:
    """Put the files and frame numbers in place of the stand-ins of `_images`."""
    frames = {_stand_in(index): index for index, frame in enumerate(sources.frames) if frame is not None}
    if not frames:
        return
    for group in made.PerFrameFunctionalGroupsSequence:
        for item in group.DerivationImageSequence[0].SourceImageSequence:
            if item.ReferencedSOPInstanceUID in frames:
                refer(item, sources.reference(frames[item.ReferencedSOPInstanceUID]))
    (series,) = made.ReferencedSeriesSequence
    series.ReferencedInstanceSequence = [
        refer(Dataset(), (sop_class, instance, None))
        for sop_class, instance, _ in sources.references(range(len(sources.datasets)))
    ]


def _numbered(blood: Blood, names: tuple[str, ...]) -> NDArray[np.uint8]:
    """The labels with the segments' numbers, which have no gaps (PS3.3 C.8.20.2.4)."""
    if not blood.by_subtype:
        return blood.labels
    numbers = np.zeros(1 + len(SUBTYPES), np.uint8)
    for number, name in enumerate(names, 1):
        numbers[1 + SUBTYPES.index(name)] = number
    numbered: NDArray[np.uint8] = numbers[blood.labels]
    return numbered


def _segment(number: int, name: str, provenance: Provenance, uid: str) -> "highdicom.seg.SegmentDescription":
    import highdicom

    segment = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=codes.BLEEDS[name].meaning,
        segmented_property_category=coded(codes.ABNORMAL_STRUCTURE),
        segmented_property_type=coded(codes.HEMORRHAGE),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=f"Hemoscope {provenance.model}",
            family=coded(codes.ARTIFICIAL_INTELLIGENCE),
            version=provenance.version,
        ),
        tracking_uid=uid,
        tracking_id=name,
        anatomic_regions=[coded(codes.SITES[name])],
        display_color=highdicom.color.CIELabColor.from_rgb(*COLOURS[name]),
    )
    segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [coded(codes.BLEEDS[name])]
    return segment


def _name_dimensions(made: Dataset, uid: str) -> None:
    """The library draws this UID at random; the same input shall give the same file."""
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
