"""The reading of a study as plain values for JSON: what `hemoscope read --json` writes.

In: the studies that came, the stack that was read, its volume, findings and measurements. Out: a dict whose keys are a
contract (docs/reference/command-line.md).
"""

from collections.abc import Sequence

from hemoscope.findings import Findings
from hemoscope.labels import ANY
from hemoscope.measuring.values import Measurements
from hemoscope.results.measured import measurements_record
from hemoscope.results.record import record, rounded_probabilities
from hemoscope.studies import Candidate, Course, LeftOut, Studies, Volume

LOOK_FIRST = 5  # slices; those without a finding are none of them


def study_record(
    paths: Sequence[str],
    studies: Studies,
    picked: Candidate,
    volume: Volume,
    findings: Findings,
    measured: Measurements,
) -> dict[str, object]:
    """What was found in a study, and in what.

    Returns:
        `study` (the paths), `series` (the key of the one that was read), then the keys of `record` without `path`, and
        `measurements`, `look_first` (places in `slices`), `geometry`, `slices`, `candidates`, `left_out`.
    """
    said = record("", findings)
    del said["path"]
    return {
        "study": list(paths),
        "series": picked.key,
        **said,
        "notes": [*studies.notes, *findings.notes],
        "measurements": measurements_record(measured),
        "look_first": look_first(findings),
        "geometry": None if volume.course is None else _geometry(volume.course),
        "slices": _slices(volume, findings),
        "candidates": [candidate_record(one) for one in studies.candidates],
        "left_out": [_left_out(one) for one in (*studies.left_out, *volume.left_out)],
    }


def candidate_record(candidate: Candidate) -> dict[str, object]:
    """A series, or a stack of it, and what becomes of it."""
    series = candidate.series
    return {
        "key": candidate.key,
        "study_uid": series.facts.study_uid,
        "series_uid": series.uid,
        "description": series.facts.series_description,
        "slices": 0 if candidate.stack is None else len(candidate.stack.slices),
        "readable": candidate.readable,
        "chosen": candidate.chosen,
        "reason": candidate.reason,
        "left_out": [_left_out(one) for one in series.left_out],
    }


def look_first(findings: Findings) -> list[int]:
    """The places in the scan, from 0, with the likeliest blood: at most five, and none whose finding is `none`.

    What the whole scan was decided does not matter: one without a finding can have slices that deserve a look.
    """
    suspicious = [index for index, one in enumerate(findings.slices) if one.finding != "none"]
    return sorted(suspicious, key=lambda index: -(findings.slices[index].probabilities[ANY] or 0.0))[:LOOK_FIRST]


def slice_number(volume: Volume, index: int) -> str:
    """What a slice of the scan is called: the stored slices behind it, counted from 1 at the feet."""
    stored = volume.stored(index)
    return f"{stored[0] + 1}" if len(stored) == 1 else f"{stored[0] + 1} to {stored[-1] + 1}"


def _geometry(course: Course) -> dict[str, object]:
    return {
        "slices": len(course.gaps_mm) + 1,
        "gaps_mm": [round(gap, 3) for gap in course.gaps_mm],
        "steps_mm": [round(step, 3) for step in course.steps_mm],
        "tilt_degrees": round(course.tilt_degrees, 2),
        "missing": [{"after": index, "count": count} for index, count in course.missing],
        "overlaps": course.overlaps,
    }


def _slices(volume: Volume, findings: Findings) -> list[dict[str, object]]:
    """One entry a slice of the scan, from the feet to the head; the stored slices behind it are counted from 0."""
    positions = volume.scan.positions_mm
    return [
        {
            "z_mm": None if positions is None else round(positions[index][2], 3),
            "stored": list(volume.stored(index)),
            "probabilities": rounded_probabilities(one.probabilities),
            "finding": one.finding,
            "area_px": one.area_px,
            "area_mm2": one.area_mm2,
        }
        for index, one in enumerate(findings.slices)
    ]


def _left_out(one: LeftOut) -> dict[str, object]:
    return {"name": one.name, "reason": one.reason}
