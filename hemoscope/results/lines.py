"""Readings in lines for people, as the command line prints them. Their form may change; the JSON is the contract.

In: records of files; studies, and the reading of one. Out: lines of text. Slices are counted from 1.
"""

from collections.abc import Mapping
from typing import Any

from hemoscope.findings import Findings
from hemoscope.labels import ANY, SUBTYPES
from hemoscope.measuring.values import Measurements
from hemoscope.results.measured import measurement_lines
from hemoscope.results.study import look_first, slice_number
from hemoscope.studies import Candidate, Studies, Volume


def file_line(said: Mapping[str, Any], path: str) -> str:
    """The record of one file: finding, probability of any blood, area, the file as it is shown, and likely subtypes."""
    if "error" in said:
        return f"{'not read':<10} {'':>4} {'':>12}  {path}: {said['error']}"
    probabilities = said["probabilities"]
    area = f"{said['area_px']} px" if said["area_mm2"] is None else f"{said['area_mm2']:.1f} mm²"
    area = "no mask" if said["area_px"] is None else area
    return f"{said['finding']:<10} {probabilities[ANY]:.2f} {area:>12}  {path}{_likely(said['finding'], probabilities)}"


def candidate_lines(studies: Studies) -> list[str]:
    """The series, with what becomes of each; studies that came together are headed."""
    lines = []
    for study in studies.studies:
        if len(studies.studies) > 1:
            lines.append(f"study of {study.facts.study_date or 'an unknown date'}: {study.facts.study_description}")
        for one in study.candidates:
            verdict = "read" if one.chosen else "can be picked" if one.readable else "left out"
            named = one.series.facts.series_description or one.series.kernel or "unnamed"
            lines.append(f"series {one.key:<4} {verdict:<13} {named}: {one.reason}")
    return lines


def study_lines(picked: Candidate, volume: Volume, found: Findings, measured: Measurements) -> list[str]:
    """The reading of a study: finding, where to look first, how much blood, and what is unusual."""
    probabilities = found.probabilities
    said = f"{found.finding}, {ANY} {probabilities[ANY]:.2f}{_likely(found.finding, probabilities)}"
    first = [(index, found.slices[index]) for index in look_first(found)]
    return [
        f"Series {picked.key}: {said}",
        *(f"  look at {where(volume, index)}: {one.finding}, {one.probabilities[ANY]:.2f}" for index, one in first),
        *measurement_lines(measured, lambda index: where(volume, index)),
        f"{len(volume.slices)} slices, counted from the feet.",
        *found.notes,
    ]


def where(volume: Volume, index: int) -> str:
    """The stored slices behind a slice of the scan, counted from 1, and their height in patient coordinates."""
    number = slice_number(volume, index)
    place = f"slice {number}" if number.isdigit() else f"slices {number}"
    positions = volume.scan.positions_mm
    return place if positions is None else f"{place} (z {positions[index][2]:.1f} mm)"


def _likely(finding: str, probabilities: Mapping[str, float | None]) -> str:
    """The subtypes that are more likely than not, where there is a finding."""
    likely = [f"{name} {probabilities[name]:.2f}" for name in SUBTYPES if (probabilities[name] or 0) >= 0.5]
    return f": {', '.join(likely)}" if likely and finding != "none" else ""
