"""DICOM Structured Report (Comprehensive SR, PS3.3 A.35.3) by TID 1500, Measurement Report (PS3.16 annex A).

In: the sources' headers, the reading, and where there are some the masks, their Segmentation and volumes. Out: the
bytes of one DICOM file.

One group a class says how probable it is, that of `any` also whether there is blood and the total volume (TID 1501);
one group a segment has its volume (TID 1411); one group a frame of the Segmentation has the area in that slice (TID
1410).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pydicom

from hemoscope.findings import Findings
from hemoscope.labels import ANY, CLASSES
from hemoscope.readers.quiet import quiet
from hemoscope.results import codes
from hemoscope.results.blood import Blood
from hemoscope.results.dicom_objects import check_grid, coded, private_schemes, written
from hemoscope.results.provenance import MANUFACTURER, RESEARCH_USE, Provenance
from hemoscope.results.sources import Sources

if TYPE_CHECKING:
    from highdicom import sr
    from pydicom.dataset import Dataset

SERIES_NUMBER = 9002
DECIMALS = 2  # of ml, mm² and per cent


class Volume(Protocol):
    """A volume in millilitres, and half the width of an interval of about 95 %."""

    @property
    def ml(self) -> float: ...

    @property
    def uncertainty_ml(self) -> float: ...


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


def report(
    sources: Sources,
    findings: Findings,
    provenance: Provenance,
    segmented: Segmented | None = None,
    volumes: Mapping[str, Volume] | None = None,
) -> bytes:
    """Make a Structured Report of a reading.

    Args:
        sources: headers of the slices' files.
        findings: the reading.
        provenance: the model and the time.
        segmented: masks on the sources' pixels with their Segmentation; None where no blood was found, or by a model
            that gives no mask.
        volumes: by class, `any` for all blood; classes that are not known are left out.
    """
    from highdicom import sr

    volumes = volumes or {}
    amounts = [f"{name} {volume.ml}" for name, volume in volumes.items()]
    parts = ("report", *sources.place, dict(findings.probabilities), findings.finding, *amounts)
    with quiet():
        seg = None if segmented is None else pydicom.dcmread(BytesIO(segmented.file), stop_before_pixels=True)
        groups: list[Any] = _classes(findings, provenance, volumes, parts)
        if segmented is not None and seg is not None:
            check_grid(sources, segmented.blood)
            parts = (*parts, seg.SOPInstanceUID)
            groups += _segments(sources, seg, provenance, volumes)
            groups += _slices(sources, segmented.blood, seg, provenance)
        content = sr.MeasurementReport(
            observation_context=sr.ObservationContext(observer_device_context=_observer(provenance)),
            procedure_reported=coded(codes.CT_OF_HEAD),
            imaging_measurements=groups,
            title=coded(codes.MEASUREMENT_REPORT),
        )
        content[0].ContentSequence.insert(-1, _library(sources))
        content[0].ContentSequence.append(_comment((RESEARCH_USE, *findings.notes)))
        made = sr.ComprehensiveSR(
            evidence=[*sources.datasets, *([] if seg is None else [seg])],
            content=content,
            series_instance_uid=provenance.uid(*parts, "series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=provenance.uid(*parts),
            instance_number=1,
            is_complete=True,
            coding_schemes=private_schemes(CLASSES),
            specific_character_set="ISO_IR 192",
            **provenance.series("SR"),
        )
        return written(made, provenance)


def _library(sources: Sources) -> "sr.ContainerContentItem":
    """The images that were read (TID 1600), without the plane of each: it stands in the images, and took most time."""
    from highdicom import sr

    contains = sr.RelationshipTypeValues.CONTAINS
    group = sr.ContainerContentItem(coded(codes.IMAGE_LIBRARY_GROUP), relationship_type=contains)
    modality = sr.CodeContentItem(
        coded(codes.MODALITY), coded(codes.CT), relationship_type=sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
    )
    images = [
        sr.ImageContentItem(coded(codes.SOURCE), one.SOPClassUID, one.SOPInstanceUID, relationship_type=contains)
        for one in sources.datasets
    ]
    group.ContentSequence = sr.ContentSequence([modality, *images])
    library = sr.ContainerContentItem(coded(codes.IMAGE_LIBRARY), relationship_type=contains)
    library.ContentSequence = sr.ContentSequence([group])
    return library


def _classes(
    findings: Findings, provenance: Provenance, volumes: Mapping[str, Volume], parts: Iterable[object]
) -> list["sr.MeasurementsAndQualitativeEvaluations"]:
    """How probable each class is; of the whole also whether there is blood, and how much."""
    from highdicom import sr

    presence = sr.QualitativeEvaluation(
        name=coded(codes.INTRACRANIAL_HEMORRHAGE), value=coded(codes.PRESENCE[findings.finding])
    )
    groups = []
    for name in CLASSES:
        probability = findings.probabilities.get(name)
        if probability is None:
            continue
        certainty = _measurement(codes.CERTAINTY, 100 * probability, codes.PERCENT)
        total = [_volume(volumes[ANY])] if name == ANY and ANY in volumes else []
        groups.append(
            sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(uid=provenance.uid(*parts, name), identifier=f"{name}, scan"),
                finding_type=coded(codes.BLEEDS[name]),
                finding_sites=[sr.FindingSite(coded(codes.SITES[name]))],
                algorithm_id=_algorithm(provenance),
                measurements=[certainty, *total],
                qualitative_evaluations=[presence] if name == ANY else None,
            )
        )
    return groups


def _segments(
    sources: Sources, seg: "Dataset", provenance: Provenance, volumes: Mapping[str, Volume]
) -> list["sr.VolumetricROIMeasurementsAndQualitativeEvaluations"]:
    """The volume of each segment whose volume is known."""
    from highdicom import sr

    frames, groups = _frames(seg, sources), []
    for segment in seg.SegmentSequence:
        name, number = segment.TrackingID, int(segment.SegmentNumber)
        if name not in volumes:
            continue
        slices = sorted({frame.slice for frame in frames if frame.segment == number})
        groups.append(
            sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(uid=segment.TrackingUID, identifier=name),
                referenced_segment=sr.ReferencedSegment(
                    sop_class_uid=seg.SOPClassUID,
                    sop_instance_uid=seg.SOPInstanceUID,
                    segment_number=number,
                    source_images=[_source(sources, index) for index in slices],
                ),
                finding_type=coded(codes.BLEEDS[name]),
                finding_sites=[sr.FindingSite(coded(codes.SITES[name]))],
                algorithm_id=_algorithm(provenance),
                measurements=[_volume(volumes[name])],
            )
        )
    return groups


def _slices(
    sources: Sources, blood: Blood, seg: "Dataset", provenance: Provenance
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
                algorithm_id=_algorithm(provenance),
                measurements=[_measurement(codes.AREA, area_mm2, codes.SQUARE_MILLIMETRE)],
            )
        )
    return groups


def _frames(seg: "Dataset", sources: Sources) -> list[_Frame]:
    names = {int(segment.SegmentNumber): str(segment.TrackingID) for segment in seg.SegmentSequence}
    shared = seg.SharedFunctionalGroupsSequence[0]
    frames = []
    for number, group in enumerate(seg.PerFrameFunctionalGroupsSequence, 1):
        # With one segment its number stands in the shared groups.
        identified = group if "SegmentIdentificationSequence" in group else shared
        segment = int(identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        frames.append(_Frame(number, segment, names[segment], sources.place[str(source.ReferencedSOPInstanceUID)]))
    return frames


def _reference(seg: "Dataset", frame: _Frame, sources: Sources) -> "sr.ReferencedSegmentationFrame":
    from highdicom import sr

    reference = sr.ReferencedSegmentationFrame(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        frame_number=frame.number,
        segment_number=frame.segment,
        source_image=_source(sources, frame.slice),
    )
    # With a frame's number that of the segment shall not be there (PS3.3 10.3, Image SOP Instance Reference Macro).
    del reference[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    return reference


def _volume(volume: Volume) -> "sr.Measurement":
    return _measurement(codes.VOLUME, volume.ml, codes.MILLILITRE, volume.uncertainty_ml)


def _measurement(
    name: codes.Coded, value: float, unit: codes.Coded, uncertainty: float | None = None
) -> "sr.Measurement":
    from highdicom import sr

    if uncertainty is None:
        return sr.Measurement(name=coded(name), value=round(float(value), DECIMALS), unit=coded(unit))
    width = round(float(uncertainty), DECIMALS)
    made = sr.Measurement(
        name=coded(name),
        value=round(float(value), DECIMALS),
        unit=coded(unit),
        properties=sr.MeasurementProperties(upper_measurement_uncertainty=width, lower_measurement_uncertainty=width),
    )
    for item in made[0].ContentSequence:
        # The library says "no units" here; an uncertainty has that of its value (PS3.16 TID 310).
        item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [coded(unit)]
    return made


def _source(sources: Sources, index: int) -> "sr.SourceImageForSegmentation":
    from highdicom import sr

    source = sources.datasets[index]
    return sr.SourceImageForSegmentation(source.SOPClassUID, source.SOPInstanceUID)


def _algorithm(provenance: Provenance) -> "sr.AlgorithmIdentification":
    from highdicom import sr

    return sr.AlgorithmIdentification(name=f"Hemoscope {provenance.model}", version=provenance.version)


def _observer(provenance: Provenance) -> "sr.ObserverContext":
    from highdicom import sr

    return sr.ObserverContext(
        observer_type=coded(codes.DEVICE),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=provenance.uid("device"), name="Hemoscope", manufacturer_name=MANUFACTURER, model_name=provenance.model
        ),
    )


def _comment(sentences: Iterable[str]) -> "sr.TextContentItem":
    from highdicom import sr

    return sr.TextContentItem(
        name=coded(codes.COMMENT), value=" ".join(sentences), relationship_type=sr.RelationshipTypeValues.CONTAINS
    )
