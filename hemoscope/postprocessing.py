"""From a network's outputs to what is said of a slice. Serving and evaluation call this and nothing else.

In: the outputs of one slice, its `Placement`, and the `Rule` that was fitted on patients that the network never saw.
Out: `SliceFindings` on the scan's own grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hemoscope.explain import HeatMaps
from hemoscope.findings import Finding, SliceFindings
from hemoscope.fitted_rule import decided, sigmoid
from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.measurement import area_mm2, area_px
from hemoscope.preprocessing import Placement

TOP_SHARE = 0.002  # of the pixels: a segmentation network's evidence for blood is the mean logit of so many strongest
EPSILON = 1e-6


@dataclass(frozen=True)
class Rule:
    """How outputs become probabilities and decisions. Fitted on patients that the network never saw, and that no
    figure by this rule is of.

    Attributes:
        classes: the classes that the network assesses, in the order of `labels.CLASSES`.
        temperature: the logits are divided by it (Guo et al., ICML 2017).
        bias: added to the logits of each of `classes` before that; it undoes the oversampling of positives.
        decision_low: below it, the probability of `any` means no hemorrhage.
        decision_high: from it on, hemorrhage; between the two the reader abstains: uncertain.
        mask_threshold: pixel probability from which a pixel is blood.
    """

    classes: tuple[str, ...]
    temperature: float
    bias: tuple[float, ...]
    decision_low: float
    decision_high: float
    mask_threshold: float

    def __post_init__(self) -> None:
        if ANY not in self.classes or self.classes != tuple(name for name in CLASSES if name in self.classes):
            raise ValueError(f"classes must hold `any` and come in the order of {CLASSES}: got {self.classes}")
        if len(self.bias) != len(self.classes):
            raise ValueError(f"one bias a class: got {self.classes} and {self.bias}")
        if not (np.isfinite(self.temperature) and self.temperature > 0 and np.all(np.isfinite(self.bias))):
            raise ValueError(f"temperature must be above 0 and the biases finite: got {self.temperature}, {self.bias}")
        if not 0 <= self.decision_low <= self.decision_high <= 1 or not 0 < self.mask_threshold < 1:
            raise ValueError("thresholds must lie in 0..1, the low one not above the high one")

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probabilities from logits (..., classes), float64 of the same shape."""
        return sigmoid((logits.astype(np.float64) + np.array(self.bias)) / self.temperature)

    def decide(self, probability: float) -> Finding:
        """The finding for a probability of `any`."""
        return decided(probability, self.decision_low, self.decision_high)


def class_logits(outputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """The logits (classes,) of one slice: the class head's, or for a network without one, a single logit for `any`
    from its strongest pixels.

    Args:
        outputs: `logits` (6,) or, without it, `mask` (size, size, 1) probabilities.
    """
    if "logits" in outputs:
        return outputs["logits"]
    pixels = np.clip(outputs["mask"].ravel().astype(np.float64), EPSILON, 1 - EPSILON)
    strongest = np.partition(pixels, -max(round(TOP_SHARE * pixels.size), 1))[-max(round(TOP_SHARE * pixels.size), 1) :]
    return np.array([np.mean(np.log(strongest / (1 - strongest)))], np.float32)


def slice_findings(
    outputs: Mapping[str, NDArray[np.float32]],
    placement: Placement,
    rule: Rule,
    spacing_mm: tuple[float, float] | None,
) -> SliceFindings:
    """What is said of one slice by itself, with its mask whatever the finding, see `SliceFindings.shown`.

    Args:
        outputs: of the network for this slice, float32: `mask` (size, size, 1) pixel probabilities, or with a class
            head `logits` (6,) and `cams` (rows, columns, 6), or all three; beside a mask perhaps `subtypes` (size,
            size, 5), the probabilities of each subtype if the pixel is blood.
        placement: where the input lay in the scan.
        rule: calibration and thresholds.
        spacing_mm: between rows and between columns, or None.
    """
    mask_probability = placement.inverse(outputs["mask"][..., 0]) if "mask" in outputs else None
    heat = HeatMaps(outputs["cams"], placement, CLASSES) if "cams" in outputs else {}
    found = ruled_findings(class_logits(outputs), mask_probability, heat, rule, spacing_mm)
    if "subtypes" in outputs and found.mask is not None:
        return replace(found, subtype_map=subtype_map(pixel_subtypes(outputs), found.mask, placement))
    return found


def pixel_subtypes(outputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Which subtype blood in each pixel has: what the pixel says, times what the classes say of the whole slice.

    Args:
        outputs: `subtypes` (size, size, 5), and perhaps `logits` (6,).

    Returns:
        float32 (size, size, 5), probabilities that sum to 1 a pixel, in the order of `labels.SUBTYPES`.
    """
    subtypes = outputs["subtypes"]
    if "logits" not in outputs:
        return subtypes
    of_slice = outputs["logits"][[CLASSES.index(name) for name in SUBTYPES]]
    both = subtypes / (1 + np.exp(-np.clip(of_slice, -30, 30)))
    joint: NDArray[np.float32] = (both / both.sum(axis=-1, keepdims=True)).astype(np.float32)
    return joint


def subtype_map(subtypes: NDArray[np.float32], mask: NDArray[np.bool_], placement: Placement) -> NDArray[np.uint8]:
    """The most probable subtype of each pixel of a mask, see `SliceFindings.subtype_map`.

    Args:
        subtypes: (size, size, 5), on the network's grid, see `pixel_subtypes`.
        mask: bool (rows, columns), on the scan's own.
        placement: where the one lay in the other.
    """
    shown = np.zeros(mask.shape, np.uint8)
    if mask.any():
        each = [placement.inverse(np.ascontiguousarray(layer))[mask] for layer in np.moveaxis(subtypes, -1, 0)]
        shown[mask] = 1 + np.argmax(each, axis=0)
    return shown


def ruled_findings(
    logits: NDArray[np.float32],
    mask_probability: NDArray[np.float32] | None,
    heat: Mapping[str, NDArray[np.float32]],
    rule: Rule,
    spacing_mm: tuple[float, float] | None,
) -> SliceFindings:
    """What the rule says of a slice, whether one network read it or several; its mask whatever the finding.

    Args:
        logits: (classes,), of the rule's classes, before calibration.
        mask_probability: (rows, columns) on the scan's own grid, or None from a model that gives no mask.
        heat: by class, see `SliceFindings`.
        rule: calibration and thresholds.
        spacing_mm: between rows and between columns, or None.
    """
    assessed = dict(zip(rule.classes, rule.probabilities(logits).tolist(), strict=True))
    finding = rule.decide(assessed[ANY])
    mask = None if mask_probability is None else mask_probability >= rule.mask_threshold
    if mask is not None and not mask.any():
        mask = np.zeros(mask.shape, bool)  # takes no memory until something is written: most slices are empty
    return SliceFindings(
        probabilities={name: assessed.get(name) for name in CLASSES},
        finding=finding,
        mask=mask,
        mask_probability=mask_probability,
        heat=heat,
        area_px=None if mask is None else area_px(mask),
        area_mm2=None if mask is None else area_mm2(mask, spacing_mm),
    )


def contradictions(slices: Sequence[SliceFindings], probabilities: Mapping[str, float | None]) -> list[str]:
    """Where the mask's subtypes and the classes' probabilities say different things of a scan, in sentences.

    Args:
        slices: of the scan.
        probabilities: its classes, see `largest_probabilities`.
    """
    areas = dict.fromkeys(SUBTYPES, 0)
    for one in slices:
        for name, area in (one.subtype_areas_px or {}).items():
            areas[name] += area
    assessed = {name: probabilities[name] or 0.0 for name in SUBTYPES if probabilities[name] is not None}
    if not assessed or not any(areas.values()):
        return []
    marked, named = max(areas, key=lambda name: areas[name]), max(assessed, key=lambda name: assessed[name])
    if marked == named:
        return []
    return [
        f"Most of the mask is coloured {marked}, but the most probable subtype is {named}: take the subtype as open."
    ]


def largest_probabilities(slices: Sequence[SliceFindings]) -> dict[str, float | None]:
    """The largest probability over the slices by class; None for a class that is not assessed."""
    largest: dict[str, float | None] = {}
    for name in CLASSES:
        known = [p for p in (one.probabilities[name] for one in slices) if p is not None]
        largest[name] = max(known) if known else None
    return largest
