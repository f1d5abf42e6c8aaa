"""The losses by hand; what is unknown weighs exactly nothing, in value and in gradient."""

from math import exp, log

import keras
import numpy as np
import pytest

from training.datasets.sample import SUBTYPE_BITS
from training.losses import MaskedClassLoss, MaskedKindLoss, MaskedPixelLoss, MaskedSubtypeLoss

NAN = float("nan")


def class_loss(labels, logits, **arguments):
    return float(MaskedClassLoss(**arguments)(np.array(labels, np.float32), np.array(logits, np.float32)))


def pixel_loss(codes, probabilities, **weights):
    """Of one or more 2 x 2 slices."""
    codes, probabilities = (np.array(values, np.float32).reshape(-1, 2, 2, 1) for values in (codes, probabilities))
    return float(MaskedPixelLoss(**weights)(codes, probabilities))


def gradient(loss, target, output):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the gradient is taken with TensorFlow's tape")
    import tensorflow as tf

    variable = tf.Variable(np.array(output, np.float32))
    with tf.GradientTape() as tape:
        value = loss(np.array(target, np.float32), variable)
    return tape.gradient(value, variable).numpy()


# Classes


def test_class_loss_by_hand():
    # Logit 0 costs log 2 either way; logit log 3 is 3/4, so a positive costs log 4/3 and a negative log 4.
    three = log(3)
    assert class_loss([[1, 0]], [[0, 0]]) == pytest.approx(log(2), abs=1e-5)
    assert class_loss([[1, 0]], [[three, three]]) == pytest.approx((log(4 / 3) + log(4)) / 2, abs=1e-5)
    assert class_loss([[1, 0], [0, 0]], [[three, three], [0, 0]]) == pytest.approx(
        ((log(4 / 3) + log(4)) / 2 + log(2)) / 2, abs=1e-5
    )


def test_any_weighs_more_than_a_subtype():
    three = log(3)
    assert class_loss([[1, 0]], [[three, three]], any_weight=3) == pytest.approx(
        (3 * log(4 / 3) + log(4)) / 4, abs=1e-5
    )


def test_smoothing_by_hand():
    # 0.2 makes the labels 0.9 and 0.1: softplus(log 3) = log 4 minus logit * label.
    three = log(3)
    assert class_loss([[1, 0]], [[three, three]], smoothing=0.2) == pytest.approx(
        (log(4) - 0.9 * three + log(4) - 0.1 * three) / 2, abs=1e-5
    )


def test_unknown_classes_weigh_nothing():
    labels = [[1, NAN, 0], [NAN, NAN, NAN]]
    value = class_loss(labels, [[0.3, 5, -0.7], [2, 2, 2]])
    assert value == class_loss(labels, [[0.3, -90, -0.7], [-50, 0, 70]])
    known = (log(1 + exp(-0.3)) + log(1 + exp(-0.7))) / 2
    assert value == pytest.approx(known / 2, abs=1e-5)  # the slice without a known label counts as zero
    found = gradient(MaskedClassLoss(any_weight=2), labels, [[0.3, 5, -0.7], [2, 2, 2]])
    assert (found[0, 1], *found[1]) == (0, 0, 0, 0)
    assert found[0, 0] < 0 < found[0, 2]


def test_extreme_logits_stay_finite():
    assert class_loss([[1, 0]], [[1e4, -1e4]]) == 0
    assert class_loss([[1, 0]], [[-1e4, 1e4]]) == pytest.approx(1e4)


def test_focal_loss_makes_light_of_what_is_right_already():
    # A positive at 3/4 is wrong by 1/4, a negative by 3/4; gamma 2 multiplies by the squares.
    three = log(3)
    assert class_loss([[1, 0]], [[three, three]], focal=2) == pytest.approx(
        (log(4 / 3) / 16 + log(4) * 9 / 16) / 2, abs=1e-5
    )


def test_positive_weights_by_hand():
    # The positive of the first class weighs 3, the negative of the second 1 whatever a positive of it would weigh.
    three = log(3)
    assert class_loss([[1, 0]], [[three, three]], positive_weights=(3, 5)) == pytest.approx(
        (3 * log(4 / 3) + log(4)) / 2, abs=1e-5
    )
    assert class_loss([[1, NAN]], [[three, three]], positive_weights=(3, 5)) == pytest.approx(3 * log(4 / 3), abs=1e-5)


def kind_loss(labels, logits):
    return float(MaskedKindLoss()(np.array(labels, np.float32), np.array(logits, np.float32)))


def test_kinds_of_a_slice_by_hand():
    # Three kinds (none, and two subtypes); softmax of (0, log 2, 0) is 1/4, 1/2, 1/4.
    logits = [[0, log(2), 0]]
    assert kind_loss([[0, 0, 0]], logits) == pytest.approx(log(4), abs=1e-5)
    assert kind_loss([[1, 1, 0]], logits) == pytest.approx(log(2), abs=1e-5)
    assert kind_loss([[1, 1, 1]], logits) == pytest.approx((log(2) + log(4)) / 2, abs=1e-5)


def test_a_kind_with_an_unknown_label_weighs_nothing():
    assert kind_loss([[1, NAN, 1]], [[9, -9, 3]]) == 0
    assert not gradient(MaskedKindLoss(), [[1, NAN, 1]], [[9, -9, 3]]).any()


# Pixels: codes 0 no blood, 1 blood, 2 unknown, 3 inside a box


def test_cross_entropy_of_pixels_by_hand():
    only = {"cross_entropy": 1, "dice": 0, "box": 0}
    value = pixel_loss([1, 0, 0, 0], [0.5, 0.5, 0.25, 0.75], **only)
    assert value == pytest.approx((log(2) + log(2) + log(4 / 3) + log(4)) / 4, abs=1e-5)
    assert pixel_loss([1, 0, 0, 0], [0.5, 0.5, 0.25, 0.75], **only | {"cross_entropy": 5}) == pytest.approx(5 * value)
    # Of the known pixels only: the same two as above among unknown ones.
    assert pixel_loss([1, 2, 2, 0], [0.5, 0.9, 0.9, 0.25], **only) == pytest.approx((log(2) + log(4 / 3)) / 2, abs=1e-5)


def test_dice_of_the_batch_by_hand():
    only = {"cross_entropy": 0, "dice": 1, "box": 0}
    # Overlap 0.5 + 1, probabilities 0.5 + 1 + 0.5 + 0, two pixels of blood: 1 - (2 * 1.5 + 1) / (2 + 2 + 1).
    assert pixel_loss([1, 1, 0, 0], [0.5, 1, 0.5, 0], **only) == pytest.approx(1 - 4 / 5, abs=1e-5)
    # A second slice without blood counts through its false positive: 1 - 4 / (3 + 2 + 1).
    both = pixel_loss([[1, 1, 0, 0], [0, 0, 0, 0]], [[0.5, 1, 0.5, 0], [1, 0, 0, 0]], **only)
    assert both == pytest.approx(1 - 4 / 6, abs=1e-5)
    assert pixel_loss([0, 0, 0, 0], [0, 0, 0, 0], **only) == pytest.approx(0, abs=1e-4)


def test_dice_of_a_slice_by_hand():
    only = {"cross_entropy": 0, "dice": 0, "box": 0, "slice_dice": 1}
    first, second = [0.5, 1, 0.5, 0], [0, 0.25, 0, 0.25]
    # As above, 1 - 4 / 5; the other slice has one pixel of blood: 1 - (2 * 0.25 + 1) / (0.5 + 1 + 1).
    assert pixel_loss([1, 1, 0, 0], first, **only) == pytest.approx(1 / 5, abs=1e-5)
    both = pixel_loss([[1, 1, 0, 0], [0, 1, 0, 0]], [first, second], **only)
    assert both == pytest.approx((1 / 5 + 2 / 5) / 2, abs=1e-5)
    # Slices without blood, or with unknown pixels alone, take no part in the mean.
    three = pixel_loss([[1, 1, 0, 0], [0, 0, 0, 0], [2, 2, 2, 2]], [first, [0.9] * 4, [0.9] * 4], **only)
    assert three == pytest.approx(1 / 5, abs=1e-5)
    assert pixel_loss([0] * 4, [0.9] * 4, **only) == pytest.approx(0, abs=1e-6)


def test_somewhere_in_a_box_there_is_blood():
    only = {"cross_entropy": 0, "dice": 0, "box": 1}
    # The strongest pixel of the box is asked, not those outside; slices without a box do not count.
    assert pixel_loss([3, 3, 0, 0], [0.1, 0.5, 0.9, 0], **only) == pytest.approx(log(2), abs=1e-5)
    assert pixel_loss([[3, 3, 0, 0], [0, 0, 0, 0]], [[0.1, 0.5, 0.9, 0], [0.9] * 4], **only) == pytest.approx(
        log(2), abs=1e-5
    )
    assert pixel_loss([[3, 3, 0, 0], [3, 0, 0, 0]], [[0.1, 0.5, 0.9, 0], [0.25, 0, 0, 0]], **only) == pytest.approx(
        (log(2) + log(4)) / 2, abs=1e-5
    )
    assert pixel_loss([0, 1, 2, 0], [0.5] * 4, **only) == 0


def test_terms_add_up_by_their_weights():
    codes, probabilities = [[1, 0, 2, 0], [3, 3, 0, 0]], [[0.7, 0.2, 0.5, 0.1], [0.3, 0.6, 0.2, 0.4]]
    terms = [pixel_loss(codes, probabilities, cross_entropy=a, dice=b, box=c, slice_dice=d) for a, b, c, d in np.eye(4)]
    together = pixel_loss(codes, probabilities, cross_entropy=5, dice=2, box=0.5, slice_dice=3)
    assert together == pytest.approx(5 * terms[0] + 2 * terms[1] + 0.5 * terms[2] + 3 * terms[3], rel=1e-5)


def test_unknown_pixels_weigh_nothing():
    codes = np.array([1, 0, 2, 2, 3, 3, 0, 2], np.float32).reshape(2, 2, 2, 1)
    one = np.array([0.7, 0.2, 0.1, 0.9, 0.6, 0.3, 0.2, 0.4], np.float32).reshape(2, 2, 2, 1)
    other = np.where(codes == 2, 1 - one, one)
    loss = MaskedPixelLoss(cross_entropy=5, dice=1, box=0.05, slice_dice=1)
    assert float(loss(codes, one)) == float(loss(codes, other))
    found = gradient(loss, codes, one)
    assert (found[codes == 2] == 0).all()
    assert (found[(codes == 0) | (codes == 1)] != 0).all()
    # Inside the box the strongest pixel alone is pulled up.
    assert found[1].ravel()[0] < 0
    assert found[1].ravel()[1] == 0


def test_focal_pixel_loss_by_hand():
    # Blood at 3/4 is wrong by 1/4, no blood at 3/4 by 3/4; gamma 1 multiplies by that.
    value = pixel_loss([1, 0, 2, 2], [0.75, 0.75, 0.5, 0.5], cross_entropy=1, dice=0, box=0, focal=1)
    assert value == pytest.approx((log(4 / 3) / 4 + log(4) * 3 / 4) / 2, abs=1e-5)


def test_a_batch_of_unknown_pixels_costs_nothing():
    assert pixel_loss([2] * 4, [0.9] * 4, cross_entropy=1, dice=1, box=1, slice_dice=1) == pytest.approx(0, abs=1e-6)


def test_probabilities_of_zero_and_one_stay_finite():
    assert np.isfinite(pixel_loss([1, 0, 3, 3], [0, 1, 0, 0], cross_entropy=1, dice=1, box=1))


@pytest.mark.parametrize(
    "loss",
    [
        MaskedClassLoss(any_weight=2.0, smoothing=0.01, focal=1.5, positive_weights=(1.0, 4.0)),
        MaskedKindLoss(),
        MaskedPixelLoss(cross_entropy=5.0, dice=0.5, slice_dice=0.25, focal=2.0),
    ],
)
def test_a_loss_survives_serialisation(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()


# Subtypes by pixel


def subtype_loss(bits, probabilities):
    """Of slices of two pixels in a row; each pixel's five probabilities in the order of `labels.SUBTYPES`."""
    bits = np.array(bits, np.float32).reshape(-1, 1, 2, 1)
    return float(MaskedSubtypeLoss()(bits, np.array(probabilities, np.float32).reshape(-1, 1, 2, 5)))


EPIDURAL, SUBDURAL, EVERY = SUBTYPE_BITS["epidural"], SUBTYPE_BITS["subdural"], sum(SUBTYPE_BITS.values())
SAID = [0.5, 0.1, 0.1, 0.05, 0.25]  # epidural first, subdural last


def test_subtype_loss_by_hand():
    assert subtype_loss([EPIDURAL, 0], [SAID, SAID]) == pytest.approx(log(2), abs=1e-5)
    assert subtype_loss([EPIDURAL, SUBDURAL], [SAID, SAID]) == pytest.approx((log(2) + log(4)) / 2, abs=1e-5)
    # Either of two: their probabilities together.
    assert subtype_loss([EPIDURAL + SUBDURAL, 0], [SAID, SAID]) == pytest.approx(log(4 / 3), abs=1e-5)


def test_a_small_bleed_counts_as_much_as_a_large_one():
    both = subtype_loss([[EPIDURAL, EPIDURAL], [SUBDURAL, 0]], [SAID] * 4)
    assert both == pytest.approx((log(2) + log(4)) / 2, abs=1e-5)


def test_where_no_blood_is_or_any_subtype_may_be_nothing_is_learnt():
    assert subtype_loss([0, 0], [SAID, SAID]) == 0
    assert subtype_loss([EVERY, EVERY], [SAID, SAID]) == pytest.approx(0, abs=1e-5)
    bits = np.array([0, EPIDURAL], np.float32).reshape(1, 1, 2, 1)
    slope = gradient(MaskedSubtypeLoss(), bits, np.reshape([SAID, SAID], (1, 1, 2, 5)))
    assert (slope[0, 0, 0] == 0).all()
    assert (slope[0, 0, 1] != 0).tolist() == [True, False, False, False, False]
