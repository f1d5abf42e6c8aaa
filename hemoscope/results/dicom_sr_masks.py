"""The groups of a Structured Report that a Segmentation has: volumes of its segments, areas of its frames.

In: the sources, masks and their Segmentation. Out: groups by TID 1411, one a segment, and TID 1410, one a frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset

from hemoscope.measuring.values import Volume
from hemoscope.results import codes
from hemoscope.results.blood import Blood
from hemoscope.results.dicom_objects import coded
from hemoscope.results.dicom_sr_items import algorithm, measurement, volume
from hemoscope.results.provenance import Provenance
from hemoscope.results.sources import Sources, image_key

if TYPE_CHECKING:
    from highdicom import sr


@dataclass(frozen=True)
class Segmented:
    """Masks and the Segmentation that was made of them.

    Attributes:
        blood: the masks.
        file: what `dicom_seg.segmentation` made of them.
    """

    blood: Blood
    file: bytes


@dataclass(frozen=True)
class _Frame:
    """One frame of a Segmentation: its number, segment, class and slice."""

    number: int
    segment: int
    name: str
    slice: int


def segments(
    sources: Sources, seg: Dataset, provenance: Provenance, volumes: Mapping[str, Volume]
) -> list["sr.VolumetricROIMeasurementsAndQualitativeEvaluations"]:
    """The volume of each segment whose volume is known."""
    from highdicom import sr

    frames, groups = _frames(seg, sources), []
    for segment in seg.SegmentSequence:
        name, number = segment.TrackingID, int(segment.SegmentNumber)
        if name not in volumes:
            continue
        shown = sorted({frame.slice for frame in frames if frame.segment == number})
        groups.append(
            sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(uid=segment.TrackingUID, identifier=name),
                referenced_segment=sr.ReferencedSegment(
                    sop_class_uid=seg.SOPClassUID,
                    sop_instance_uid=seg.SOPInstanceUID,
                    segment_number=number,
                    source_images=[sr.SourceImageForSegmentation(*one) for one in sources.references(shown)],
                ),
                finding_type=coded(codes.BLEEDS[name]),
                finding_sites=[sr.FindingSite(coded(codes.SITES[name]))],
                algorithm_id=algorithm(provenance),
                measurements=[volume(volumes[name])],
            )
        )
    return groups


def slices(
    sources: Sources, blood: Blood, seg: Dataset, provenance: Provenance
) -> list["sr.PlanarROIMeasurementsAndQualitativeEvaluations"]:
    """The area in each slice, for each segment."""
    from highdicom import sr

    groups = []
    for frame in _frames(seg, sources):
        spacing_mm = sources.spacing_mm(frame.slice)
        if spacing_mm is None:
            continue
        area_mm2 = int(np.count_nonzero(blood.at(frame.slice).mask(frame.name))) * spacing_mm[0] * spacing_mm[1]
        uid = provenance.uid(seg.SOPInstanceUID, "frame", frame.number)
        groups.append(
            sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=f"{frame.name}, one slice"),
                referenced_segment=_reference(seg, frame, sources),
                finding_type=coded(codes.BLEEDS[frame.name]),
                finding_sites=[sr.FindingSite(coded(codes.SITES[frame.name]))],
                algorithm_id=algorithm(provenance),
                measurements=[measurement(codes.AREA, area_mm2, codes.SQUARE_MILLIMETRE)],
            )
        )
    return groups


def _frames(seg: Dataset, sources: Sources) -> list[_Frame]:
    names = {int(segment.SegmentNumber): str(segment.TrackingID) for segment in seg.SegmentSequence}
    shared = seg.SharedFunctionalGroupsSequence[0]
    frames = []
    for number, group in enumerate(seg.PerFrameFunctionalGroupsSequence, 1):
        # With one segment its number stands in the shared groups.
        identified = group if "SegmentIdentificationSequence" in group else shared
        segment = int(identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        key = image_key(source.ReferencedSOPInstanceUID, source.get("ReferencedFrameNumber"))
        frames.append(_Frame(number, segment, names[segment], sources.place[key]))
    return frames


def _reference(seg: Dataset, frame: _Frame, sources: Sources) -> "sr.ReferencedSegmentationFrame":
    from highdicom import sr

    reference = sr.ReferencedSegmentationFrame(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        frame_number=frame.number,
        segment_number=frame.segment,
        source_image=sr.SourceImageForSegmentation(*sources.reference(frame.slice)),
    )
    # With a frame's number that of the segment shall not be there (PS3.3 10.3, Image SOP Instance Reference Macro).
    del reference[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    return reference
