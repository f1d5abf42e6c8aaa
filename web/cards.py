"""What the result page shows of one file.

In: a `Reading` or a `Failure`. Out: `Card` values with all pictures as `data:` addresses and all sentences, so that
the template only lays them out. A card holds no array: those of one file are let go before the next is read.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from hemoscope import labels
from hemoscope.findings import Finding, Findings, SliceFindings
from hemoscope.results.record import failure, record
from hemoscope.scan import Scan
from web import pictures
from web.engine import Failure, Reading

if TYPE_CHECKING:
    from hemoscope.manifest import Manifest

HEADLINES = {"hemorrhage": "Hemorrhage", "none": "No hemorrhage found", "uncertain": "Uncertain"}


@dataclass(frozen=True)
class Bar:
    """One labelled probability, 0..1, or None where the model does not assess the class."""

    name: str
    colour: str
    probability: float | None


@dataclass(frozen=True)
class SliceNumbers:
    """One slice in numbers; `number` is its 1-based position in the scan."""

    number: int
    probabilities: Mapping[str, float | None]
    finding: Finding
    area_px: int | None


@dataclass(frozen=True)
class SliceView:
    """One slice as pictures; `fill`, `outline` and `heat` are transparent layers, empty where there is nothing.

    `overlay_png` and `mask_png` are downloads, empty where the model gives no mask. The mask is on the slice's own rows
    and columns; the other pictures are smaller where the slice is large.
    """

    numbers: SliceNumbers
    rows: int
    columns: int
    base: str
    thumbnail: str
    fill: str
    outline: str
    heat: Mapping[str, str]
    overlay_png: str
    mask_png: str

    @property
    def number(self) -> int:
        return self.numbers.number


@dataclass(frozen=True)
class Card:
    """One file on the result page. `error` is empty for a file that was read; `slices` are those shown as pictures.

    `area_px` is None where the model gives no mask, `area_mm2` also where the size of a pixel is not known. `shares`
    are those of the subtypes in the mask that have one; empty where the model does not tell them apart by pixel.
    """

    name: str
    record: Mapping[str, object]
    error: str = ""
    stem: str = ""
    finding: Finding = "uncertain"
    headline: str = ""
    explanation: str = ""
    bars: Sequence[Bar] = ()
    band: tuple[float, float] = (0.0, 1.0)
    area_px: int | None = 0
    area_mm2: float | None = None
    shares: Sequence[Bar] = ()
    slices: Sequence[SliceView] = ()
    numbers: Sequence[SliceNumbers] = ()
    facts: Sequence[str] = ()
    unknown: Sequence[str] = ()
    json_uri: str = ""


def failed_card(result: Failure) -> Card:
    """The card of a file that was not read."""
    return Card(result.name, failure(result.name, result.message), error=result.message)


def card_of(result: Reading, most_pictures: int) -> Card:
    """The card of one reading, with pictures that fill at most `most_pictures` slices of 512 x 512."""
    findings, scan, manifest = result.findings, result.scan, result.manifest
    plan = pictures.plan(findings, scan.hu.shape, most_pictures)
    made = record(result.name, findings)
    return Card(
        name=result.name,
        record=made,
        stem=re.sub(r"[^\w.-]+", "_", PurePath(result.name).stem).strip("._") or "slice",
        finding=findings.finding,
        headline=HEADLINES[findings.finding],
        explanation=explanation(findings, manifest),
        bars=[Bar(name, colour_of(name), findings.probabilities.get(name)) for name in labels.CLASSES],
        band=manifest.band(findings.decided_by),
        area_px=findings.area_px,
        area_mm2=findings.area_mm2,
        shares=_shares(findings),
        slices=[_slice_view(scan, findings.slices[index], index, plan.drawn_px) for index in plan.shown],
        numbers=[_numbers(found, index) for index, found in enumerate(findings.slices)],
        facts=_facts(scan, findings),
        unknown=_unknown(scan, findings, len(plan.shown)),
        json_uri=json_uri(made),
    )


def json_uri(value: object) -> str:
    """A JSON file as a `data:` address."""
    return pictures.data_uri(json.dumps(value, indent=2).encode(), "application/json")


def explanation(findings: Findings, manifest: "Manifest") -> str:
    """What the decision means, in a sentence or two."""
    probability = findings.probabilities[labels.ANY] or 0.0
    return explained(findings.finding, probability, manifest.band(findings.decided_by))


def explained(finding: Finding, probability: float, band: tuple[float, float]) -> str:
    """What a finding means.

    Args:
        finding: the decision.
        probability: of any hemorrhage.
        band: in which the model does not decide.
    """
    low, high = map(percent, band)
    if finding == "hemorrhage":
        return (
            f"The probability of any hemorrhage, {percent(probability)}, reaches the {high} from which this model "
            "decides for hemorrhage."
        )
    if finding == "none":
        return f"The probability of any hemorrhage is below {low}. That does not rule a hemorrhage out."
    return (
        f"The probability of any hemorrhage lies between {low} and {high}. There the model gives no answer: read it as "
        "neither a yes nor a no."
    )


def percent(probability: float) -> str:
    """0..1 as people read it, on one line; ends that are not quite 0 or 1 do not round onto them."""
    if 0 < probability < 0.01:
        number = "< 1"
    elif 0.99 < probability < 1:
        number = "> 99"
    else:
        number = f"{probability * 100:.0f}"
    return f"{number} %".replace(" ", "\N{NO-BREAK SPACE}")


def _slice_view(scan: Scan, found: SliceFindings, index: int, drawn_px: int) -> SliceView:
    hu, mask = pictures.fitted(scan.hu[index], drawn_px), pictures.fitted_mask(found.mask, drawn_px)
    subtypes = pictures.fitted_subtypes(found.subtype_map, hu.shape)
    blood = mask if mask is not None and mask.any() else None
    return SliceView(
        numbers=_numbers(found, index),
        rows=hu.shape[0],
        columns=hu.shape[1],
        base=pictures.data_uri(pictures.slice_png(hu)),
        thumbnail=pictures.data_uri(pictures.thumbnail_png(hu)) if len(scan.hu) > 1 else "",
        fill=pictures.data_uri(pictures.fill_layer(blood, subtypes)) if blood is not None else "",
        outline=pictures.data_uri(pictures.contour_layer(blood)) if blood is not None else "",
        heat={name: pictures.data_uri(pictures.heat_layer(heat)) for name, heat in found.heat.items()},
        overlay_png=pictures.data_uri(pictures.overlay_png(hu, mask, subtypes)) if mask is not None else "",
        mask_png=pictures.data_uri(pictures.mask_png(found.mask)) if found.mask is not None else "",
    )


def _shares(findings: Findings) -> list[Bar]:
    areas = findings.subtype_areas_px or {}
    total = sum(areas.values())
    return [Bar(name, colour_of(name), area / total) for name, area in areas.items() if area]


def _numbers(found: SliceFindings, index: int) -> SliceNumbers:
    return SliceNumbers(index + 1, found.probabilities, found.finding, found.area_px)


def _facts(scan: Scan, findings: Findings) -> list[str]:
    slices, rows, columns = scan.hu.shape
    facts = [f"{slices} slices" if slices > 1 else "1 slice", f"{columns} x {rows} px"]
    if scan.spacing_mm is not None:
        between_rows, between_columns = scan.spacing_mm
        same = between_rows == between_columns
        facts.append(f"{between_rows:.3g} mm/px" if same else f"{between_columns:.3g} x {between_rows:.3g} mm/px")
    facts.append("Hounsfield units" if scan.calibrated else f"picture, window {scan.window}")
    return [*facts, f"read by {findings.model} {findings.version} in {findings.timings.total * 1000:.0f} ms"]


def _unknown(scan: Scan, findings: Findings, shown: int) -> list[str]:
    """The findings' notes, each from where it arose: first the model's, for they put the reading itself in doubt."""
    sentences = sorted(findings.notes, key=lambda note: note in scan.notes)
    if shown < len(findings.slices):
        sentences.append(f"All {len(findings.slices)} slices were read; the {shown} most suspicious are shown.")
    return sentences


def colour_of(name: str) -> str:
    """The colour of a class as style sheets write it."""
    return "#{:02x}{:02x}{:02x}".format(*labels.COLOURS[name])
