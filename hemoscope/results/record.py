"""The stable JSON object of one reading, as the command line and the web hand it out.

In: a path as the user wrote it, and `Findings` or the sentence of an error. Out: a JSON-ready dictionary, one a line in
the command line's output. Keys are added in later versions, never renamed or taken away.
"""

from collections.abc import Mapping

from hemoscope.findings import Findings
from hemoscope.labels import CLASSES


def record(path: str, findings: Findings) -> dict[str, object]:
    """What was read from one input.

    Args:
        path: the input as the user named it.
        findings: the reading.

    Returns:
        `path`, `model`, `version`, `probabilities` (all six classes, 0..1 with six decimals, null for a class that the
        model does not assess), `finding`, `area_px` (null where the model gives no mask), `area_mm2` (null also where
        the pixel spacing is unknown), `subtype_areas_px` (the mask's pixels by subtype, null where the model does not
        tell them apart by pixel), `seconds`, `notes` (what the reader does not know of the input, in sentences),
        `decided_by` (`scan` or `slice`: which of the model's rules gave probabilities and finding).
    """
    return {
        "path": path,
        "model": findings.model,
        "version": findings.version,
        "probabilities": rounded_probabilities(findings.probabilities),
        "finding": findings.finding,
        "area_px": None if findings.area_px is None else int(findings.area_px),
        "area_mm2": _rounded(findings.area_mm2, 2),
        "subtype_areas_px": findings.subtype_areas_px,
        "seconds": _rounded(findings.timings.total, 4),
        "notes": list(findings.notes),
        "decided_by": findings.decided_by,
    }


def failure(path: str, message: str) -> dict[str, object]:
    """What is said of an input that could not be read: its path and the error's sentence."""
    return {"path": path, "error": message}


def rounded_probabilities(probabilities: Mapping[str, float | None]) -> dict[str, float | None]:
    """All six classes in their order, with six decimals; None for one that is not assessed."""
    return {name: _rounded(probabilities.get(name), 6) for name in CLASSES}


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(float(value), decimals)
