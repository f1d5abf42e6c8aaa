"""The rule for whole scans, fitted on patients that the network never saw, with sentences that say how.

In: `Predictions` of a fold's validation patients (or out of fold of all), and the `Rule` of their slices. Out: a
`ScanRule`, or None where there are no scans to fit it on. NumPy only.
"""

import numpy as np
from numpy.typing import NDArray

from hemoscope.fitted_rule import sigmoid
from hemoscope.labels import ANY, CLASSES
from hemoscope.metrics import auc
from hemoscope.postprocessing import Rule
from hemoscope.scan_rule import ScanRule
from training.calibrate import PRIOR_SD, SENSITIVITY, SPECIFICITY, decision_thresholds, fit_calibration
from training.predictions import Predictions
from training.scans import evidence_of_scans, labels_of_scan, rows_of_scans

NEIGHBOURS = (1, 2, 3)  # the candidates; of the equally good the fewest
ENOUGH = 20  # scans with and scans without blood; with fewer no temperature is fitted
ONE_SIDED = 1.645  # standard errors to the 95 % end of a normal distribution


def fit_scan_rule(predictions: Predictions, rule: Rule, whose: str) -> ScanRule | None:
    """The rule that suits the scans; None without scans with or without scans without hemorrhage.

    The number of neighbours is that of the largest AUC. The probabilities are those of a place where half of the scans
    bleed: what share of the patients bleeds says nothing of the next hospital. The ends of the abstain band are chosen
    as those for slices are and then moved outwards by the error of the fit, one-sided 95 %: a few patients cannot place
    them better than that.

    Args:
        predictions: for patients that the network never saw and that no figure by this rule is of.
        rule: of the slices.
        whose: who they are, in words.
    """
    rows = rows_of_scans(predictions)
    labels = np.array([labels_of_scan(predictions.labels[each])[CLASSES.index(ANY)] for each in rows], np.float64)
    rows = [each for each, label in zip(rows, labels, strict=True) if not np.isnan(label)]
    truth = labels[~np.isnan(labels)] == 1
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return None
    candidates = {number: evidence_of_scans(predictions, rule, rows, number) for number in NEIGHBOURS}
    areas = {number: auc(truth, found) for number, found in candidates.items()}
    neighbours = max(NEIGHBOURS, key=lambda number: (areas[number], -number))
    found, scaled = candidates[neighbours], min(positives, negatives) >= ENOUGH
    temperature, (bias,) = fit_calibration(found[:, None], truth[:, None].astype(np.float64), scaled)
    errors = _errors(found, temperature, bias, scaled)
    bias -= temperature * float(np.log(positives / negatives))
    low, high = decision_thresholds(truth, sigmoid((found + bias) / temperature))
    low, high = (
        _moved(end, outwards * ONE_SIDED, errors, temperature, bias) for end, outwards in ((low, -1), (high, 1))
    )
    sets = ", ".join(np.unique(predictions.sources[np.concatenate(rows)]).tolist())
    ranked = ", ".join(f"{number} slices {areas[number]:.3f}" for number in NEIGHBOURS)
    fitted = (
        "temperature and bias by maximum likelihood"
        if scaled
        else f"fewer than {ENOUGH} of a kind are too few for a temperature, so a bias alone was fitted"
    )
    chosen = (
        f"On {whose} ({len(rows)} scans, {positives} with and {negatives} without hemorrhage, of {sets}): the largest "
        f"mean over neighbouring slices has the AUC {ranked}; taken is {neighbours}"
        f"{', the plain maximum' if neighbours == 1 else ''}; {fitted}, for places where half of the scans bleed; "
        f"decision_low {low:.3f} and decision_high {high:.3f} are the thresholds of a sensitivity of at least "
        f"{SENSITIVITY} and a specificity of at least {SPECIFICITY} on these scans, each moved outwards by the fit's "
        "one-sided 95 % error."
    )
    return ScanRule(neighbours, temperature, bias, low, high, chosen)


def _errors(found: NDArray[np.float64], temperature: float, bias: float, scaled: bool) -> NDArray[np.float64]:
    """The covariance (2, 2) of slope and offset by the curvature of the likelihood; without a scale of the offset."""
    said = sigmoid((found + bias) / temperature)
    design = np.stack([found, np.ones_like(found)], axis=1)
    curvature = (design.T * (said * (1 - said))) @ design
    if not scaled:
        return np.array([[0.0, 0.0], [0.0, 1 / curvature[1, 1]]])
    inverse: NDArray[np.float64] = np.linalg.inv(curvature + np.diag([1 / PRIOR_SD**2, 0.0]))
    return inverse


def _moved(end: float, by: float, errors: NDArray[np.float64], temperature: float, bias: float) -> float:
    """A threshold moved by so many standard errors of the logit there."""
    logit = float(np.log(end / (1 - end)))
    at = np.array([logit * temperature - bias, 1.0])
    return float(sigmoid(np.array(logit + by * float(np.sqrt(at @ errors @ at)))))
