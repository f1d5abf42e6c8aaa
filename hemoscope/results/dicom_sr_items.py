"""What the groups of a Structured Report are made of: measurements with their uncertainty, and who measured.

In: numbers, codes and places on images. Out: highdicom's content items (PS3.16 TID 300, 310 and 4019).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hemoscope.measuring.values import PlacePx, Volume
from hemoscope.results import codes
from hemoscope.results.dicom_objects import coded
from hemoscope.results.provenance import Provenance
from hemoscope.results.sources import Reference

if TYPE_CHECKING:
    from highdicom import sr

DECIMALS = 2  # of ml, mm, mm² and per cent


def measurement(
    name: codes.Coded,
    value: float,
    unit: codes.Coded,
    *,
    uncertainty: float | None = None,
    method: codes.Coded | None = None,
    lines: Sequence["sr.CoordinatesForMeasurement"] = (),
) -> "sr.Measurement":
    """One number.

    Args:
        name: what it is.
        value: rounded here.
        unit: of the value and its uncertainty.
        uncertainty: half the width of an interval of about 95 %; None where it is not known.
        method: how it was measured, where there are several ways.
        lines: that it was measured along.
    """
    from highdicom import sr

    properties = None
    if uncertainty is not None:
        width = round(float(uncertainty), DECIMALS)
        properties = sr.MeasurementProperties(upper_measurement_uncertainty=width, lower_measurement_uncertainty=width)
    made = sr.Measurement(
        name=coded(name),
        value=round(float(value), DECIMALS),
        unit=coded(unit),
        method=None if method is None else coded(method),
        properties=properties,
        referenced_coordinates=list(lines) or None,
    )
    for item in made[0].get("ContentSequence", ()):
        if item.ValueType == "NUM":
            # The library says "no units" here; an uncertainty has that of its value (PS3.16 TID 310).
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [coded(unit)]
    return made


def volume(amount: Volume) -> "sr.Measurement":
    """A volume that the mask's areas gave."""
    return measurement(
        codes.VOLUME, amount.ml, codes.MILLILITRE, uncertainty=amount.uncertainty_ml, method=codes.SUM_OF_VOXELS
    )


def line(name: codes.Coded, places: Sequence[PlacePx], image: Reference) -> "sr.CoordinatesForMeasurement":
    """A line on an image.

    Args:
        name: what it is of.
        places: (row, column) in pixels, 0 at the centre of the first.
        image: whose pixels these are.
    """
    from highdicom import sr

    # In a report they are (column, row), and 0 is the outer corner of the first pixel (PS3.3 C.18.6.1.2).
    corners = np.array([(column + 0.5, row + 0.5) for row, column in places])
    return sr.CoordinatesForMeasurement(
        graphic_type=sr.GraphicTypeValues.POLYLINE,
        graphic_data=corners,
        source_image=sr.SourceImageForRegion(*image),
        purpose=coded(name),
    )


def algorithm(provenance: Provenance) -> "sr.AlgorithmIdentification":
    """The model that measured."""
    from highdicom import sr

    return sr.AlgorithmIdentification(name=f"Hemoscope {provenance.model}", version=provenance.version)
