"""The rule for slices of whole scans, fitted on patients that the network never saw, with a sentence that says how.

In: `Predictions` of a fold's validation patients (or out of fold of all), and the `Rule` of single slices. Out: a
`ContextRule`, or None where there are too few complete scans to fit it on. NumPy only.
"""

import numpy as np

from hemoscope.context_rule import ContextRule, beside_neighbours
from hemoscope.fitted_rule import sigmoid
from hemoscope.labels import ANY, CLASSES
from hemoscope.metrics import known
from hemoscope.postprocessing import Rule
from training.calibrate import SENSITIVITY, SPECIFICITY, decision_thresholds, fit_calibration
from training.predictions import Predictions
from training.scans import rows_of_complete_scans

# A quarter from each side. More ranks slices no worse on the patients that it was tried on (docs/experiments.md), but a
# bleed in one slice alone would count for little.
SHARE = 0.5
ENOUGH = 20  # slices with and slices without blood


def fit_context_rule(predictions: Predictions, rule: Rule, whose: str) -> ContextRule | None:
    """The rule that suits the slices of complete scans; None with fewer than ENOUGH of a kind.

    Args:
        predictions: for patients that the network never saw and that no figure by this rule is of.
        rule: of single slices; what it makes of them is averaged.
        whose: who they are, in words.
    """
    scans = rows_of_complete_scans(predictions)
    if not scans:
        return None
    place = rule.classes.index(ANY)
    alone = rule.probabilities(predictions.logits)[:, place : place + 1]
    rows = np.concatenate(scans)
    averaged = np.concatenate([beside_neighbours(alone[each], SHARE) for each in scans])
    labels = predictions.labels[rows][:, [CLASSES.index(ANY)]]
    truth, found = known(labels[:, 0], averaged[:, 0])
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if min(positives, negatives) < ENOUGH:
        return None
    temperature, (bias,) = fit_calibration(averaged, labels)
    low, high = decision_thresholds(truth, sigmoid((found + bias) / temperature))
    sets = ", ".join(np.unique(predictions.sources[rows]).tolist())
    chosen = (
        f"On {whose} ({len(scans)} complete scans, {positives} slices with and {negatives} without hemorrhage, of "
        f"{sets}): each slice's logit counts {1 - SHARE:g}, that of each slice beside it {SHARE / 2:g}; temperature "
        f"and bias by maximum likelihood; decision_low {low:.3f} and decision_high {high:.3f} are the thresholds of a "
        f"sensitivity of at least {SENSITIVITY} and a specificity of at least {SPECIFICITY} on these slices."
    )
    return ContextRule(SHARE, temperature, bias, low, high, chosen)
