"""The groups of a Structured Report for each lesion, and for the midline.

In: measurements on the images that they were made on. Out: groups by TID 1501, with the images, and lines on them. No
segment is named: one segment holds all lesions of a kind.
"""

from typing import TYPE_CHECKING

from hemoscope.labels import ANY
from hemoscope.results import codes
from hemoscope.results.dicom_objects import coded
from hemoscope.results.dicom_sr_items import algorithm, line, measurement, volume
from hemoscope.results.on_images import LesionOnImages, MidlineOnImage
from hemoscope.results.provenance import Provenance
from hemoscope.results.sources import Sources

if TYPE_CHECKING:
    from highdicom import sr


def lesion_group(
    number: int, one: LesionOnImages, uid: str, sources: Sources, provenance: Provenance
) -> "sr.MeasurementsAndQualitativeEvaluations":
    """One lesion: its volume, ABC/2, largest diameter, the width across it, and its depth where that is known.

    Args:
        number: from 1, the largest lesion first.
        one: the lesion.
        uid: by which it is tracked.
        sources, provenance: of the report.
    """
    from highdicom import sr

    lesion, name = one.lesion, one.lesion.subtype or ANY
    diameter = line(codes.SOURCE, one.ends_px, sources.reference(one.largest_image))
    measured = [
        volume(lesion.volume),
        measurement(codes.VOLUME, lesion.abc2_ml, codes.MILLILITRE, method=codes.ABC2),
        measurement(codes.LONG_AXIS, lesion.diameters.largest_mm, codes.MILLIMETRE, lines=[diameter]),
        measurement(codes.PERPENDICULAR_AXIS, lesion.diameters.across_mm, codes.MILLIMETRE),
    ]
    if lesion.depth_mm is not None:
        measured.append(measurement(codes.DEPTH, lesion.depth_mm, codes.MILLIMETRE, method=codes.BELOW_FIRST_SLICE))
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=f"{name}, lesion {number}"),
        finding_type=coded(codes.BLEEDS[name]),
        finding_sites=[sr.FindingSite(coded(codes.SITES[name]))],
        algorithm_id=algorithm(provenance),
        measurements=measured,
        source_images=[sr.SourceImageForMeasurementGroup(*image) for image in sources.references(one.images)],
    )


def midline_group(
    one: MidlineOnImage, uid: str, sources: Sources, provenance: Provenance
) -> "sr.MeasurementsAndQualitativeEvaluations":
    """The midline shift, with the lines that it lies between.

    Args:
        one: the shift.
        uid: by which it is tracked.
        sources, provenance: of the report.
    """
    from highdicom import sr

    image = sources.reference(one.image)
    shift = measurement(
        codes.MIDLINE_SHIFT,
        one.shift.shift_mm,
        codes.MILLIMETRE,
        uncertainty=one.shift.uncertainty_mm,
        lines=[
            line(codes.MIDDLE_OF_SKULL, one.ideal_px, image),
            line(codes.MIDDLE_OF_BRAIN, one.midline_px, image),
        ],
    )
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier="midline"),
        finding_sites=[sr.FindingSite(coded(codes.BRAIN))],
        algorithm_id=algorithm(provenance),
        measurements=[shift],
        source_images=[sr.SourceImageForMeasurementGroup(*image)],
    )
