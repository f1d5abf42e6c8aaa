"""The rule for slices beside their neighbours, on slices whose logits a hand can set."""

from math import exp

import numpy as np
import pytest

from hemoscope.context_rule import ContextRule, beside_neighbours, in_context
from hemoscope.findings import SliceFindings
from hemoscope.labels import CLASSES

RULE = ContextRule(0.5, 2.0, -1.0, 0.25, 0.5, "By hand.")


def probability(logit: float) -> float:
    return 1 / (1 + exp(-logit))


def slices(*logits: float) -> np.ndarray:
    """Slices of a model that knows one class."""
    return np.array([[probability(logit)] for logit in logits])


def findings(any_logit: float) -> SliceFindings:
    mask = np.ones((2, 3), np.bool_)
    probabilities = dict.fromkeys(CLASSES) | {"any": probability(any_logit)}
    return SliceFindings(probabilities, "none", mask, None, {}, 6, None)


def test_a_slice_counts_half_and_each_neighbour_a_quarter() -> None:
    # 4/2 + 0/4 + 8/4 = 4 in the middle; at the ends the weights 1/2 and 1/4 become 2/3 and 1/3.
    assert beside_neighbours(slices(0, 4, 8), 0.5)[:, 0] == pytest.approx([4 / 3, 4, 20 / 3])


def test_without_a_share_and_for_a_lone_slice_all_stays() -> None:
    assert beside_neighbours(slices(0, 4, 8), 0.0)[:, 0] == pytest.approx([0, 4, 8])
    assert beside_neighbours(slices(3), 0.5)[:, 0] == pytest.approx([3])


def test_a_false_slice_falls_and_a_missed_one_inside_a_bleed_rises() -> None:
    alone = beside_neighbours(slices(-4, 2, -4), 0.5)[:, 0]
    missed = beside_neighbours(slices(3, -2, 3), 0.5)[:, 0]
    assert alone[1] == pytest.approx(-1) and missed[1] == pytest.approx(0.5)


def test_each_class_has_its_own_neighbours() -> None:
    both = np.concatenate([slices(0, 4, 8), slices(8, 4, 0)], axis=1)
    assert beside_neighbours(both, 0.5)[1] == pytest.approx([4, 4])
    assert beside_neighbours(both, 0.5)[0] == pytest.approx([4 / 3, 20 / 3])


def test_bias_and_temperature_follow_and_the_band_decides() -> None:
    judged = in_context(RULE, [findings(-4), findings(-1), findings(1), findings(4)])
    means = [(-4 * 2 - 1) / 3, (-4 - 1 * 2 + 1) / 4, (-1 + 1 * 2 + 4) / 4, (1 + 4 * 2) / 3]
    expected = [probability((mean - 1) / 2) for mean in means]  # 0.12, 0.24, 0.53, 0.73
    assert [one.probabilities["any"] for one in judged] == pytest.approx(expected)
    assert [one.finding for one in judged] == ["none", "none", "hemorrhage", "hemorrhage"]


def test_what_is_not_assessed_stays_unknown_and_masks_stay() -> None:
    (one, *_) = in_context(RULE, [findings(5), findings(5)])
    assert list(one.probabilities) == list(CLASSES) and one.probabilities["epidural"] is None
    assert one.area_px == 6


@pytest.mark.parametrize(
    "change", [{"share": 1.5}, {"temperature": 0.0}, {"decision_low": 0.6}, {"bias": float("nan")}, {"chosen": 1}]
)
def test_a_rule_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    stored = {"share": 0.5, "temperature": 1.0, "bias": 0.0, "decision_low": 0.2, "decision_high": 0.5, "chosen": ""}
    with pytest.raises(ValueError, match=r"must|bias"):
        ContextRule(**stored | change)  # type: ignore[arg-type]
