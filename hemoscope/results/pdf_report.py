"""The report of a study on one page: for people, as a department of radiology would print it.

In: a volume, its findings and measurements. Out: bytes of a PDF, one A4 page. What does not fit is cut and counted.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from hemoscope import render
from hemoscope.findings import Findings
from hemoscope.labels import ANY, CLASSES
from hemoscope.measuring.values import Lesion, Measurements
from hemoscope.measuring.values import Volume as Milliliters
from hemoscope.results.pdf_page import GREY, INNER, MARGIN, REPLACED, Page
from hemoscope.results.provenance import RESEARCH_USE
from hemoscope.results.study import look_first, slice_number
from hemoscope.scan import BRAIN, Scan
from hemoscope.studies import Volume

PICTURES, LESIONS, NOTE_LINES = 6, 6, 6  # at most
OPACITY = 0.3
BOX, GAP = 150.0, (INNER - 3 * 150.0) / 2  # points: a picture's side and what lies between two
CLEARLY = 0.7  # of a direction cosine: nearer to this axis than to any other
ROW = 12.0  # points from line to line of a table
FINDINGS = {"hemorrhage": "Hemorrhage", "none": "No hemorrhage found", "uncertain": "Uncertain"}
BAND = (
    "The probability is that of the whole scan. Uncertain means that it lies in the model's abstain band, between "
    "the thresholds for no hemorrhage and for hemorrhage: the model does not decide, and a person must."
)
LEGEND = (
    "Key slices with the probability of any blood. Outlined: blood. Dashed: the skull's middle; solid: the brain's, "
    "where the shift was measured."
)
LIMITS = (
    "Made by a program, checked by nobody. A finding of none does not exclude hemorrhage. The ± of volumes is about "
    "95 % for pixel size and slice spacing; errors of the network are not in it."
)


def pdf_report(
    volume: Volume, findings: Findings, measured: Measurements, made: datetime, notes: Sequence[str] = ()
) -> bytes:
    """Draw the report.

    Args:
        volume: what was read; its files need not be open.
        findings, measured: of its scan.
        made: when; said in the report.
        notes: of the studies that came together, said before those of the reading.

    Returns:
        a PDF of one page, the same bytes for the same input.
    """
    page = Page("CT head: Hemoscope report")
    page.text(MARGIN, 52, "CT head: report", 300, 16, bold=True)
    page.text(MARGIN, 52, RESEARCH_USE, INNER, 9, bold=True, right=True)
    page.rule(60, grey=0)
    _facts(page, 75, volume)
    _finding(page, 148, findings, measured)
    page.text(MARGIN, 207, LEGEND, INNER, 7.5)
    _pictures(page, 213, volume, findings, measured)
    _probabilities(page, 556, findings, measured)
    _lesions(page, 556, volume, measured)
    _notes(page, 666, [*notes, *findings.notes, *measured.notes])
    page.rule(764)
    page.lines(MARGIN, 776, LIMITS, INNER, 2, 7.5)
    model = f"Model {findings.model} {findings.version}"
    page.text(MARGIN, 803, model, 300, 8, grey=GREY)
    page.text(MARGIN, 803, f"Made {made:%Y-%m-%d %H:%M} {made.tzname() or ''}", INNER, 8, grey=GREY, right=True)
    if page.replaced:
        page.text(MARGIN, 814, f"{REPLACED} also stands for letters that the report's font does not have.", INNER, 7)
    return page.bytes()


def slice_name(volume: Volume, index: int) -> str:
    """The stored slices behind a slice of the scan, counted from 1 at the feet, and their height."""
    name = slice_number(volume, index)
    positions = volume.scan.positions_mm
    return name if positions is None else f"{name}, z {positions[index][2]:.1f} mm"


def key_slices(findings: Findings, measured: Measurements) -> list[int]:
    """The slices that are shown, from the feet to the head: of the midline, of the largest lesions, the likeliest."""
    midline = [] if measured.midline is None else [measured.midline.slice]
    wanted = [*midline, *(one.largest_slice for one in measured.lesions[:LESIONS]), *look_first(findings)]
    middle = [len(findings.slices) // 2]
    return sorted(list(dict.fromkeys(wanted or middle))[:PICTURES])


def _facts(page: Page, top: float, volume: Volume) -> None:
    facts = volume.scan.facts
    issuer = f" ({facts.patient_id_issuer})" if facts.patient_id_issuer else ""
    patient = [
        ("Patient", facts.patient_name.split("=")[0].replace("^", " ").strip()),
        ("Patient ID", facts.patient_id + issuer),
        ("Sex, age", ", ".join(one for one in (facts.patient_sex, facts.patient_age) if one)),
        ("Scanner", facts.manufacturer),
    ]
    study = [
        ("Study date", f"{_date(facts.study_date)} {_time(facts.study_time)}".strip()),
        ("Study", facts.study_description),
        ("Series", ", ".join(one for one in (facts.series_description, facts.convolution_kernel) if one)),
        ("Slices", _extent(volume)),
    ]
    half = INNER / 2
    for left, rows in ((MARGIN, patient), (MARGIN + half, study)):
        for number, (name, value) in enumerate(rows):
            page.text(left, top + number * 13, name, 60, grey=GREY)
            page.text(left + 62, top + number * 13, value or "not stated", half - 72)
    page.rule(top + 52)


def _extent(volume: Volume) -> str:
    said = [f"{len(volume.slices)}"]
    if volume.scan.slice_thickness_mm is not None:
        said.append(f"read as {volume.scan.slice_thickness_mm:.1f} mm thick")
    if volume.course is not None:
        said.append(f"gantry tilt {volume.course.tilt_degrees:.1f}°")
    return ", ".join(said)


def _finding(page: Page, top: float, findings: Findings, measured: Measurements) -> None:
    said = f"{FINDINGS[findings.finding]}. Probability of any blood: {_probability(findings.probabilities[ANY])}"
    page.text(MARGIN, top, said, INNER, 13, bold=True)
    page.lines(MARGIN, top + 14, BAND, INNER, 2, 7.5)
    half = INNER / 2 - 8
    if measured.total is None:
        page.lines(MARGIN, top + 38, f"Volume not known: {measured.volume_unknown}", half, 2)
    else:
        page.text(MARGIN, top + 38, f"Blood: {_ml(measured.total)}.", half, 9, bold=True)
    left, midline = MARGIN + INNER / 2, measured.midline
    if midline is None:
        page.lines(left, top + 38, f"Midline shift not known: {measured.midline_unknown}", half, 2)
    else:
        shift = f"Midline shift: {midline.shift_mm:.1f} ± {midline.uncertainty_mm:.1f} mm."
        page.text(left, top + 38, shift, half, 9, bold=True)


def _pictures(page: Page, top: float, volume: Volume, findings: Findings, measured: Measurements) -> None:
    for number, index in enumerate(key_slices(findings, measured)):
        left = MARGIN + number % 3 * (BOX + GAP)
        _picture(page, left, top + number // 3 * (BOX + 17), volume, findings, measured, index)


def _picture(
    page: Page, left: float, top: float, volume: Volume, findings: Findings, measured: Measurements, index: int
) -> None:
    scan, found = volume.scan, findings.slices[index]
    shown = render.grey(scan.hu[index], scan.window or BRAIN)
    picture = np.repeat(shown[..., None], 3, axis=2)
    if found.mask is not None:
        filled = render.overlay(shown, found.mask, render.blood_colours(found.subtype_map), OPACITY)
        picture = render.contour(filled, found.mask, (255, 255, 255))  # shows in black and white too
    rows, columns = shown.shape
    row_mm, column_mm = scan.spacing_mm or (1.0, 1.0)
    scale = BOX / max(rows * row_mm, columns * column_mm)
    width, height = columns * column_mm * scale, rows * row_mm * scale
    inset, drop = (BOX - width) / 2, (BOX - height) / 2
    page.picture(left + inset, top + drop, width, height, picture)
    for text, right in zip(_sides(scan), (False, True), strict=True):
        page.text(left + inset + 4, top + drop + 11, text, width - 8, 8, bold=True, grey=1, right=right)
    caption = f"Slice {slice_name(volume, index)}: {_probability(found.probabilities[ANY])}"
    midline = measured.midline
    if midline is not None and midline.slice == index:
        caption += ", midline"
        for places, dashed in ((midline.ideal_px, True), (midline.midline_px, False)):
            on_page = [
                (left + inset + (column + 0.5) * column_mm * scale, top + drop + (row + 0.5) * row_mm * scale)
                for row, column in places
            ]
            page.path(on_page, dashed=dashed)
    page.text(left, top + BOX + 10, caption, BOX, 8)


def _sides(scan: Scan) -> tuple[str, str]:
    """The patient's sides at the picture's left and right; empty where they are not known or not these."""
    towards_left = 0.0 if scan.orientation is None else scan.orientation[0]  # of the columns, in x (PS3.3 C.7.6.2.1.1)
    if abs(towards_left) < CLEARLY:
        return "", ""
    return ("R", "L") if towards_left > 0 else ("L", "R")


def _probabilities(page: Page, top: float, findings: Findings, measured: Measurements) -> None:
    by_subtype = measured.by_subtype or {}
    page.text(MARGIN, top, "Blood", 80, bold=True)
    page.text(MARGIN + 80, top, "Probability", 50, bold=True, right=True)
    page.text(MARGIN + 132, top, "Volume", 68, bold=True, right=True)
    page.rule(top + 4, width=200)
    for number, name in enumerate(CLASSES, 1):
        probability = findings.probabilities.get(name)
        volume = measured.total if name == ANY else by_subtype.get(name)
        page.text(MARGIN, top + 2 + number * ROW, name, 90)
        page.text(MARGIN + 80, top + 2 + number * ROW, _probability(probability), 50, right=True)
        page.text(MARGIN + 132, top + 2 + number * ROW, _ml(volume), 68, right=True)


def _lesions(page: Page, top: float, volume: Volume, measured: Measurements) -> None:
    left, columns = MARGIN + 216, (68.0, 44.0, 62.0, INNER - 216 - 174 - 6)
    heads = ("Lesion volume", "ABC/2", "Diameters", "Largest in slice")
    rows = [heads, *(_lesion(volume, one) for one in measured.lesions[:LESIONS])]
    page.rule(top + 4, left, INNER - 216)
    for number, row in enumerate(rows):
        at = left
        for column, (text, width) in enumerate(zip(row, columns, strict=True)):
            last = column == len(columns) - 1
            place = top + number * ROW + 2 * bool(number)
            page.text(at + 6 * last, place, text, width, bold=not number, right=not last)
            at += width
    more = len(measured.lesions) - LESIONS
    said = [f"and {more} more"] if more > 0 else []
    said += [f"and {measured.smaller_pieces} smaller pieces"] if measured.smaller_pieces else []
    said += [] if measured.lesions else ["No lesion was measured."]
    page.text(left, top + 2 + len(rows) * ROW, ", ".join(said), INNER - 216)


def _lesion(volume: Volume, one: Lesion) -> tuple[str, str, str, str]:
    across = f"{one.diameters.largest_mm:.0f} x {one.diameters.across_mm:.0f} mm"
    place = slice_number(volume, one.largest_slice)
    kind = f"{one.subtype}, " if one.subtype else ""
    return _ml(one.volume), f"{one.abc2_ml:.1f} ml", across, kind + place


def _notes(page: Page, top: float, notes: list[str]) -> None:
    page.text(MARGIN, top, "Notes", INNER, bold=True)
    page.rule(top + 4)
    used = 0
    for number, note in enumerate(notes):
        if used >= NOTE_LINES:
            page.text(MARGIN, top + 15 + used * 10, f"and {len(notes) - number} more", INNER, 8)
            return
        used += page.lines(MARGIN, top + 15 + used * 10, note, INNER, min(2, NOTE_LINES - used))
    if not notes:
        page.text(MARGIN, top + 15, "None.", INNER, 8)


def _probability(probability: float | None) -> str:
    return "not known" if probability is None else f"{probability:.2f}"


def _ml(volume: Milliliters | None) -> str:
    if volume is None:
        return "not known"
    digits = 1 if volume.ml >= 1 or volume.ml == 0 else 2
    return f"{volume.ml:.{digits}f} ± {volume.uncertainty_ml:.{digits}f} ml"


def _date(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else date


def _time(time: str) -> str:
    return f"{time[:2]}:{time[2:4]}" if time[:4].isdigit() else time
