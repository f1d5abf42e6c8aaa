"""DICOM Structured Report (Comprehensive SR, PS3.3 A.35.3) by TID 1500, Measurement Report (PS3.16 annex A).

In: the sources' headers, the reading, and where there are some the masks, their Segmentation and measurements. Out: the
bytes of one DICOM file.

One group a class says how probable it is, that of `any` also whether there is blood and the total volume (TID 1501); so
have each lesion and the midline one (`dicom_sr_lesions`), and each segment and each frame of the Segmentation
(`dicom_sr_masks`).
"""

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pydicom

from hemoscope.findings import Findings
from hemoscope.labels import ANY, CLASSES
from hemoscope.measuring.values import Volume
from hemoscope.readers.quiet import quiet
from hemoscope.results import codes
from hemoscope.results.dicom_objects import check_grid, coded, private_schemes, written
from hemoscope.results.dicom_sr_items import algorithm, measurement, volume
from hemoscope.results.dicom_sr_lesions import lesion_group, midline_group
from hemoscope.results.dicom_sr_masks import Segmented, segments, slices
from hemoscope.results.on_images import OnImages
from hemoscope.results.provenance import MANUFACTURER, RESEARCH_USE, Provenance
from hemoscope.results.sources import Sources

if TYPE_CHECKING:
    from highdicom import sr

SERIES_NUMBER = 9002


def report(
    sources: Sources,
    findings: Findings,
    provenance: Provenance,
    segmented: Segmented | None = None,
    measured: OnImages | None = None,
) -> bytes:
    """Make a Structured Report of a reading.

    Args:
        sources: headers of the slices.
        findings: the reading.
        provenance: the model and the time.
        segmented: masks on the sources' pixels with their Segmentation; None where no blood was found, or by a model
            that gives no mask.
        measured: what was measured, on the sources in their order; what is not known is left out.
    """
    from highdicom import sr

    measured = measured or OnImages()
    parts = ("report", *sources.place, dict(findings.probabilities), findings.finding, measured)
    with quiet():
        seg = None if segmented is None else pydicom.dcmread(BytesIO(segmented.file), stop_before_pixels=True)
        groups: list[Any] = _classes(findings, provenance, measured.volumes, parts)
        for number, lesion in enumerate(measured.lesions, 1):
            groups.append(lesion_group(number, lesion, provenance.uid(*parts, "lesion", number), sources, provenance))
        if measured.midline is not None:
            groups.append(midline_group(measured.midline, provenance.uid(*parts, "midline"), sources, provenance))
        if segmented is not None and seg is not None:
            check_grid(sources, segmented.blood)
            parts = (*parts, seg.SOPInstanceUID)
            groups += segments(sources, seg, provenance, measured.volumes)
            groups += slices(sources, segmented.blood, seg, provenance)
        content = sr.MeasurementReport(
            observation_context=sr.ObservationContext(observer_device_context=_observer(provenance)),
            procedure_reported=coded(codes.CT_OF_HEAD),
            imaging_measurements=groups,
            title=coded(codes.MEASUREMENT_REPORT),
        )
        content[0].ContentSequence.insert(-1, _library(sources))
        content[0].ContentSequence.append(_comment((RESEARCH_USE, *findings.notes, *measured.notes)))
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
        sr.ImageContentItem(coded(codes.SOURCE), *image, relationship_type=contains)
        for image in sources.references(range(len(sources.datasets)))
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
        certainty = measurement(codes.CERTAINTY, 100 * probability, codes.PERCENT)
        total = [volume(volumes[ANY])] if name == ANY and ANY in volumes else []
        groups.append(
            sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(uid=provenance.uid(*parts, name), identifier=f"{name}, scan"),
                finding_type=coded(codes.BLEEDS[name]),
                finding_sites=[sr.FindingSite(coded(codes.SITES[name]))],
                algorithm_id=algorithm(provenance),
                measurements=[certainty, *total],
                qualitative_evaluations=[presence] if name == ANY else None,
            )
        )
    return groups


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
