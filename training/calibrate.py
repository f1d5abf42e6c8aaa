"""Calibration and thresholds: a `Rule` fitted on patients that the network never saw, with a sentence that says how.

In: `Predictions` of a fold's validation patients, or, for a network of all patients, those of all folds' test patients,
each slice once, as it comes (training oversamples the positives; that is undone here). Out: a `Rule` and `rule.json`.
NumPy only.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadData, BadWeights
from hemoscope.labels import ANY, CLASSES
from hemoscope.metrics import ScoreHistogram, known, roc_curve
from hemoscope.postprocessing import Rule
from training.predictions import BINS, Predictions, judge

SENSITIVITY, SPECIFICITY = 0.95, 0.95  # what the two ends of the abstain band promise on the slices they are fitted on
SLOPE_RANGE = (0.05, 20.0)  # of 1 / temperature; a slope at an end says that the logits rank badly, or perfectly
PRIOR_SD = 1.0  # of a class's offset about that of `any`, in logits: as much as a handful of positives say
STEPS = 100
RULE_FILE = "rule.json"


def fit_calibration(
    logits: NDArray[np.floating[Any]], labels: NDArray[np.float64], scaled: bool = True
) -> tuple[float, tuple[float, ...]]:
    """Temperature and biases that make sigmoid((logit + bias) / temperature) most likely.

    One temperature for all classes, one bias a class. The likelihood is convex in the slope (1 / temperature) and in
    the offsets (bias / temperature), and so is what holds them: an offset is drawn towards that of the first class,
    `any`, and the slope towards 1, each with a standard deviation of PRIOR_SD. A class with hundreds of positives
    hardly feels it; one without any takes over the bias of `any`.

    Args:
        logits: (slices, classes), `any` first.
        labels: (slices, classes), 1, 0 or NaN (unknown: weighs nothing).
        scaled: False keeps the temperature at 1: a handful of entries tells a bias at most.

    Returns:
        temperature, biases.
    """
    rows, columns = np.nonzero(~np.isnan(labels))
    classes = labels.shape[1]
    design = np.zeros((rows.size, 1 + classes))
    design[:, 0] = logits[rows, columns]
    design[np.arange(rows.size), 1 + columns] = 1
    truth = labels[rows, columns]
    pull = np.zeros((1 + classes, 1 + classes))
    pull[0, 0] = 1
    for place in range(2, 1 + classes):
        pull[np.ix_((1, place), (1, place))] += [[1, -1], [-1, 1]]
    pull /= PRIOR_SD**2
    start = np.eye(1, 1 + classes)[0]  # slope 1, offsets 0
    free = np.ones(1 + classes, np.bool_)
    free[0] = scaled
    found = _newton(design, truth, pull, start, free)
    slope = float(np.clip(found[0], *SLOPE_RANGE))
    if slope != found[0]:  # convex: the best within the range lies on its edge
        free[0] = False
        found = _newton(design, truth, pull, start * slope, free)
    return 1 / slope, tuple((found[1:] / slope).tolist())


def decision_thresholds(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> tuple[float, float]:
    """The ends of the abstain band: below the first there is none, from the second on there is hemorrhage.

    Args:
        truth: (slices,), with both kinds.
        probability: (slices,), calibrated, of `any`.

    Returns:
        low: the largest threshold with a sensitivity of at least SENSITIVITY. high: the smallest one with a
        specificity of at least SPECIFICITY, or low if that is larger. Both lie halfway between two scores, so that
        a rounding difference between two runtimes moves no slice across.
    """
    curve = roc_curve(truth, probability)
    scores = np.concatenate([[1.0], curve.thresholds[1:], [0.0]])
    between = (scores[:-1] + scores[1:]) / 2  # between[i] calls exactly what curve point i calls
    low = between[int(np.argmax(curve.y >= SENSITIVITY - 1e-12))]
    high = between[int(np.flatnonzero(1 - curve.x >= SPECIFICITY - 1e-12)[-1])]
    return float(low), float(max(low, high))


def best_mask_threshold(predictions: Predictions, shown: NDArray[np.bool_]) -> tuple[float, float]:
    """The pixel threshold of the largest pooled Dice, in the mean over the sets with masks, and that mean; 0.5 and NaN
    without any blood. Each set counts alike, however large its bleeds are.

    Args:
        predictions: with known pixels.
        shown: (slices,), False where the finding is `none` and the mask stays empty: there every pixel counts as 0.
    """
    sources, open_slices = predictions.sources[predictions.pixel_slices], shown[predictions.pixel_slices]
    each = []
    for source in np.unique(sources):
        histogram, mine = ScoreHistogram(BINS), sources == source
        for counts, place in ((histogram.negatives, 0), (histogram.positives, 1)):
            counts += predictions.pixels[mine & open_slices, place].sum(0, dtype=np.int64)
            counts[0] += predictions.pixels[mine & ~open_slices, place].sum(dtype=np.int64)
        if histogram.positives.any():
            each.append(histogram.dice())
    if not each:
        return 0.5, float("nan")
    dice = np.mean(each, axis=0)
    best = int(np.argmax(dice))
    return max(best, 1) / BINS, float(dice[best])


def validation_patients(fold: int) -> str:
    """In words, whom a fold's rule is fitted on."""
    return f"the validation patients of fold {fold}"


def out_of_fold_patients(folds: Sequence[int]) -> str:
    """In words, whom the rule of a network of all patients is fitted on."""
    if len(folds) == 1:
        return f"the validation and test patients of fold {folds[0]}, read by its network, which never saw them"
    return (
        f"out-of-fold predictions for the test patients of folds {', '.join(map(str, folds))}, each slice read by the "
        "network of its fold, which never saw the patient"
    )


def fit_rule(predictions: Predictions, whose: str) -> tuple[Rule, str]:
    """The rule that suits the predictions, and a sentence on how it was chosen.

    Args:
        predictions: for patients that the network never saw and that no figure by this rule is of.
        whose: who they are, in words.

    Raises:
        BadData: if there are no slices with or no slices without hemorrhage.
    """
    columns = [CLASSES.index(name) for name in predictions.classes]
    labels = predictions.labels[:, columns]
    anywhere = labels[:, predictions.classes.index(ANY)]
    positives, negatives = int((anywhere == 1).sum()), int((anywhere == 0).sum())
    if not positives or not negatives:
        raise BadData(
            f"Thresholds need slices with and without hemorrhage: there are {positives} and {negatives} on {whose}."
        )
    temperature, bias = fit_calibration(predictions.logits, labels)
    rule = Rule(predictions.classes, temperature, bias, 0.5, 0.5, 0.5)
    truth, probability = known(anywhere, rule.probabilities(predictions.logits)[:, predictions.classes.index(ANY)])
    low, high = decision_thresholds(truth, probability)
    rule = Rule(predictions.classes, temperature, bias, low, high, 0.5)
    threshold, dice = best_mask_threshold(predictions, judge(predictions, rule).findings > 0)
    rule = Rule(predictions.classes, temperature, bias, low, high, threshold)
    return rule, _sentence(rule, predictions, whose, (positives, negatives), dice)


def write_rule(rule: Rule, thresholds_chosen: str, folder: Path) -> None:
    """Write `rule.json` into a run's folder."""
    text = json.dumps(asdict(rule) | {"thresholds_chosen": thresholds_chosen}, indent=2)
    (folder / RULE_FILE).write_text(text, encoding="utf-8")


def read_rule(folder: Path) -> Rule:
    """The rule that an evaluation wrote into a run's folder.

    Raises:
        BadWeights: if there is none, or it is garbled.
    """
    return read_choice(folder)[0]


def read_choice(folder: Path) -> tuple[Rule, str]:
    """The rule that an evaluation wrote into a run's folder, and the sentence on how it was chosen.

    Raises:
        BadWeights: if there is none, or it is garbled.
    """
    path = folder / RULE_FILE
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        chosen = str(stored.pop("thresholds_chosen"))
        return Rule(**stored | {"classes": tuple(stored["classes"]), "bias": tuple(stored["bias"])}), chosen
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadWeights(f"The rule {path} cannot be read: {error}. `python -m training.evaluate` writes it.") from None


def _newton(
    design: NDArray[np.float64],
    truth: NDArray[np.float64],
    pull: NDArray[np.float64],
    start: NDArray[np.float64],
    free: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Minimise the logistic loss plus (x - e)' pull (x - e) / 2 over the free places; e is slope 1, offsets 0."""
    centre = np.eye(1, start.size)[0]

    def loss(at: NDArray[np.float64]) -> float:
        scores = design @ at
        return float(np.sum(np.logaddexp(0, scores) - truth * scores) + (at - centre) @ pull @ (at - centre) / 2)

    at, value = start.copy(), loss(start)
    for _ in range(STEPS):
        said = 1 / (1 + np.exp(-np.clip(design @ at, -60, 60)))
        gradient = design.T @ (said - truth) + pull @ (at - centre)
        # The little extra keeps the matrix regular where all is said with certainty.
        curvature = (design.T * (said * (1 - said))) @ design + pull + 1e-9 * np.eye(at.size)
        step = np.zeros(at.size)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        share = 1.0
        while share > 1e-8 and loss(at - share * step) > value:
            share /= 2
        if share <= 1e-8 or np.abs(share * step).max() < 1e-9:
            break
        at = at - share * step
        value = loss(at)
    return at


def _sentence(rule: Rule, predictions: Predictions, whose: str, counts: tuple[int, int], dice: float) -> str:
    patients = len(np.unique(predictions.groups))
    sets = ", ".join(np.unique(predictions.sources).tolist())
    with_blood = predictions.pixel_slices[predictions.pixels[:, 1].any(1)]
    masks = ", ".join(np.unique(predictions.sources[with_blood]).tolist())
    mask = (
        "there is no mask to choose a mask threshold on, so it is 0.5"
        if np.isnan(dice)
        else f"the mask threshold {rule.mask_threshold:.3f} is the one of the largest pooled Dice ({dice:.3f}, mean "
        f"over the masks of {masks}), slices without a finding counted as empty masks"
    )
    return (
        f"On {whose} ({patients} patients, {counts[0]} slices with and {counts[1]} without hemorrhage, of {sets}, "
        "unweighted): temperature and biases by maximum likelihood; decision_low "
        f"{rule.decision_low:.3f} is the largest threshold with a sensitivity of at least {SENSITIVITY}, decision_high "
        f"{rule.decision_high:.3f} the smallest with a specificity of at least {SPECIFICITY} and not below it; {mask}."
    )
