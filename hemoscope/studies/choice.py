"""Which series of a study is read: axial, without contrast, a soft kernel, the head; by rules that can be explained.

In: the `Series` of one study. Out: a `Candidate` for each of their stacks, with a verdict in a sentence. The rules are
in docs/reference/studies.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hemoscope.readers.dicom import names_head
from hemoscope.scan import ScanFacts
from hemoscope.studies.content import names_contrast, sharpness
from hemoscope.studies.files import LeftOut
from hemoscope.studies.slabs import THIN_MM
from hemoscope.studies.stacks import Stack

FEWEST_SLICES = 3  # fewer are no study of a head
WHOLE_HEAD_MM = 80.0  # from the base to the vertex it is 120 to 150 mm; a part of the head gives way to the whole


@dataclass(frozen=True)
class Series:
    """One series of a study, sorted out.

    Attributes:
        uid: Series Instance UID; "" where not stated and for NIfTI.
        series_number: Series Number (0020,0011), or None.
        facts: of its first file.
        kernel: convolution kernel, in capitals; "" where not stated.
        contrast: whether contrast medium is stated.
        body_part: as stated, in capitals.
        derived: whether its images were computed from others (Image Type (0008,0008), value 1).
        stacks: the volumes in it; several where orientation, grid or frame of reference change.
        left_out: its files that are not read, and why.
    """

    uid: str
    series_number: int | None
    facts: ScanFacts
    kernel: str
    contrast: bool
    body_part: str
    derived: bool
    stacks: tuple[Stack, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Candidate:
    """A stack of a series, or a series without any, and what becomes of it.

    Attributes:
        key: a short number to pick it by: `2`, or `2.1` and `2.2` where series 2 holds two stacks.
        series: whose it is.
        stack: None where none of the series' files is a slice.
        readable: whether it can be picked.
        chosen: whether it is the one that is read unless another is picked.
        reason: why it was chosen or left out, in a sentence.
    """

    key: str
    series: Series
    stack: Stack | None
    readable: bool
    chosen: bool
    reason: str


def candidates_of(series: Sequence[Series], first_number: int = 1) -> tuple[Candidate, ...]:
    """Judge all series of one study and choose at most one stack.

    Args:
        series: of one study of one patient.
        first_number: of the first series; studies that came together are numbered on.
    """
    listed = [
        (_key(number, index, len(one.stacks)), one, stack)
        for number, one in enumerate(series, first_number)
        for index, stack in enumerate(one.stacks or (None,))
    ]
    fit = [(one, stack) for _, one, stack in listed if stack is not None and not _against(one, stack)]
    best = min(fit, key=lambda pair: _rank(*pair), default=None)
    return tuple(_candidate(key, one, stack, best) for key, one, stack in listed)


def _key(number: int, index: int, stacks: int) -> str:
    return f"{number}.{index + 1}" if stacks > 1 else str(number)


def _candidate(key: str, series: Series, stack: Stack | None, best: tuple[Series, Stack] | None) -> Candidate:
    if stack is None:
        reasons = list(dict.fromkeys(one.reason for one in series.left_out))
        more = f" (and {len(reasons) - 1} other reasons)" if len(reasons) > 1 else ""
        return Candidate(key, series, None, False, False, reasons[0] + more)
    chosen = best is not None and stack is best[1]
    against = _against(series, stack)
    if chosen:
        reason = _for(series, stack)
    elif against:
        reason = against
    else:
        assert best is not None  # nothing speaks against this one, so there is a best one
        reason = _behind(_rank(series, stack), _rank(*best))
    return Candidate(key, series, stack, not stack.refusal, chosen, reason)


def _against(series: Series, stack: Stack) -> str:
    """Why a stack is not chosen by itself, or "". All but a refusal leave it to the user to pick it."""
    if stack.refusal:
        return stack.refusal
    if stack.plane is not None and stack.plane != "axial":
        return f"The slices are {stack.plane}, not axial: the models were trained on axial ones."
    if series.contrast:
        return "Contrast medium was given: in the vessels it can look like blood."
    if names_contrast(series.facts.series_description):
        return "The description names contrast medium, vessels or perfusion: there it can look like blood."
    if series.body_part and not names_head(series.body_part):
        return f"Body Part Examined (0018,0015) is {series.body_part[:32]}: not the head."
    if len(stack.slices) < FEWEST_SLICES:
        count = len(stack.slices)
        return f"Only {count} slice{'s' * (count > 1)}: at least {FEWEST_SLICES} make a study of a head."
    return ""


def _rank(series: Series, stack: Stack) -> tuple[bool, bool, bool, bool, bool, int, int]:
    """What decides between stacks against which nothing speaks: the smallest is read."""
    course = stack.course
    gap = None if course is None else course.usual_gap_mm
    number = series.series_number
    return (
        _is_a_part(stack),
        sharpness(series.kernel) == "sharp",
        series.derived,
        sharpness(series.kernel) == "unknown",
        gap is None or gap < THIN_MM,
        -len(stack.slices),
        2**31 if number is None else number,
    )


def _behind(rank: tuple[object, ...], best: tuple[object, ...]) -> str:
    """The first thing in which the chosen series is ahead."""
    reasons = (
        "It covers less of the head than the series that is read.",
        "It was made with a sharp kernel (bone, lung), whose noise hides faint blood; a soft one is there.",
        "It was computed from other images; original ones are there.",
        "Its convolution kernel is not known; a series with a known soft one is there.",
        "Its slices are thin; a series with thicker ones, as the models know them, is there.",
        "It has fewer slices than the series that is read.",
        "It is as good as the series that is read, which has the lower series number.",
    )
    for reason, mine, better in zip(reasons, rank, best, strict=True):
        if mine != better:
            return reason
    return reasons[-1]


def _for(series: Series, stack: Stack) -> str:
    sharp = sharpness(series.kernel)
    kernel = {
        "soft": "a soft kernel",
        "sharp": "a sharp kernel (no soft one of the whole head is there)",
        "unknown": "an unknown kernel",
    }
    said = [f"{len(stack.slices)} {stack.plane or 'single'} slices", "no contrast medium stated", kernel[sharp]]
    said.append("the head" if series.body_part else "body part not stated")
    if stack.course is not None and _is_a_part(stack):
        said.append(f"but only {stack.course.extent_mm:.0f} mm from the first to the last slice")
    return ", ".join(said).capitalize() + "."


def _is_a_part(stack: Stack) -> bool:
    """Whether a stack is too short for a whole head: what lies outside it is not read."""
    return stack.course is None or stack.course.extent_mm < WHOLE_HEAD_MM
