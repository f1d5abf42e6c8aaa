"""Losses that know what is unknown. Unknown labels and pixels weigh nothing.

In: targets as `batches` gives them and a network's outputs. Out: scalars. `keras.ops` only.
"""

from collections.abc import Sequence

import keras
from keras import ops

from hemoscope.labels import SUBTYPES
from training.datasets.sample import BLOOD, IN_BOX, NO_BLOOD, SUBTYPE_BITS

EPSILON = 1e-6


@keras.saving.register_keras_serializable("hemoscope")
class MaskedClassLoss(keras.losses.Loss):
    """Binary cross-entropy of six logits; NaN labels are unknown.

    Args:
        any_weight: how much `any` weighs against a subtype.
        smoothing: labels become smoothing / 2 and 1 - smoothing / 2.
        focal: gamma of the focal loss (Lin et al., ICCV 2017): each term is multiplied by the share that is wrong, to
            this power. 0 is cross-entropy.
        positive_weights: how much a positive label of each class weighs against a negative one; empty: all alike.
    """

    def __init__(
        self,
        any_weight: float = 1.0,
        smoothing: float = 0.0,
        focal: float = 0.0,
        positive_weights: Sequence[float] = (),
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.any_weight, self.smoothing, self.focal = any_weight, smoothing, focal
        self.positive_weights = tuple(positive_weights)

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        known = ops.cast(ops.logical_not(ops.isnan(y_true)), "float32")
        labels = ops.where(known > 0, y_true, ops.zeros_like(y_true))
        weights = known * ops.concatenate([ops.full((1,), self.any_weight), ops.ones((y_pred.shape[-1] - 1,))])
        total = ops.sum(weights, axis=-1)  # before the positive ones: they weigh more, not the others less
        if self.positive_weights:
            extra = ops.convert_to_tensor([weight - 1 for weight in self.positive_weights], "float32")
            weights = weights * (1 + labels * extra)
        labels = labels * (1 - self.smoothing) + self.smoothing / 2
        # softplus(x) - x * y is the cross-entropy of a logit, stable at both ends
        losses = ops.softplus(y_pred) - y_pred * labels
        if self.focal:
            losses = losses * ops.abs(labels - ops.sigmoid(y_pred)) ** self.focal
        return ops.sum(losses * weights, axis=-1) / (total + EPSILON)

    def get_config(self) -> dict:
        settings = ("any_weight", "smoothing", "focal", "positive_weights")
        return super().get_config() | {name: getattr(self, name) for name in settings}


@keras.saving.register_keras_serializable("hemoscope")
class MaskedKindLoss(keras.losses.Loss):
    """Softmax cross-entropy of six kinds of slice, from the six labels: no hemorrhage, then the five subtypes.

    A slice with several subtypes counts as an equal share of each; one with an unknown label weighs nothing.
    """

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        known = ops.cast(ops.logical_not(ops.any(ops.isnan(y_true), axis=-1)), "float32")
        labels = ops.where(ops.isnan(y_true), ops.zeros_like(y_true), y_true)
        subtypes = labels[:, 1:]
        shares = subtypes / (ops.sum(subtypes, axis=-1, keepdims=True) + EPSILON)
        target = ops.concatenate([1 - labels[:, :1], shares], axis=-1)
        return -known * ops.sum(target * ops.log_softmax(y_pred, axis=-1), axis=-1)


@keras.saving.register_keras_serializable("hemoscope")
class MaskedSubtypeLoss(keras.losses.Loss):
    """Which subtype a pixel of blood has: cross-entropy of the subtypes that it may have, taken together.

    Where one subtype is possible this is plain cross-entropy; where all are, nothing is learnt. A slice counts as much
    as another, however large its bleed.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**{"reduction": None} | kwargs)

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        bits = ops.convert_to_tensor([SUBTYPE_BITS[name] for name in SUBTYPES], "float32")
        possible = ops.floor(y_true / bits) % 2  # (n, rows, columns, 5)
        said = ops.clip(ops.sum(possible * y_pred, axis=-1), EPSILON, 1.0)
        blood = ops.cast(y_true[..., 0] > 0, "float32")
        area = ops.sum(blood, axis=(1, 2))
        slices = -ops.sum(blood * ops.log(said), axis=(1, 2)) / (area + EPSILON)
        return ops.sum(slices) / (ops.sum(ops.cast(area > 0, "float32")) + EPSILON)


@keras.saving.register_keras_serializable("hemoscope")
class MaskedPixelLoss(keras.losses.Loss):
    """Binary cross-entropy and Dice over the known pixels, and for boxes: somewhere inside there is blood.

    Args:
        cross_entropy, dice, slice_dice, box: weights of the terms. `dice` is taken over the whole batch, so that
            slices without blood count through their false positives and large bleeds most; `slice_dice` is the mean
            over the slices with known blood, so that a small bleed counts as much as a large one.
        focal: gamma of the focal loss, in the cross-entropy's term; 0 leaves it plain.
    """

    def __init__(
        self,
        cross_entropy: float = 1.0,
        dice: float = 1.0,
        box: float = 0.1,
        slice_dice: float = 0.0,
        focal: float = 0.0,
        **kwargs: object,
    ) -> None:
        super().__init__(reduction=None, **kwargs)
        self.cross_entropy, self.dice, self.box, self.slice_dice = cross_entropy, dice, box, slice_dice
        self.focal = focal

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        blood, none, boxed = (ops.cast(y_true == code, "float32") for code in (BLOOD, NO_BLOOD, IN_BOX))
        known = blood + none
        p = ops.clip(y_pred, EPSILON, 1 - EPSILON)
        entropy = -(blood * ops.log(p) * (1 - p) ** self.focal + none * ops.log(1 - p) * p**self.focal)
        loss = self.cross_entropy * ops.sum(entropy) / (ops.sum(known) + EPSILON)
        if self.dice:
            overlap, total = ops.sum(p * blood), ops.sum(p * known) + ops.sum(blood)
            loss = loss + self.dice * (1 - (2 * overlap + 1) / (total + 1))
        if self.slice_dice:
            area, overlap = ops.sum(blood, axis=(1, 2, 3)), ops.sum(p * blood, axis=(1, 2, 3))
            bleeds = ops.cast(area > 0, "float32")
            misses = 1 - (2 * overlap + 1) / (ops.sum(p * known, axis=(1, 2, 3)) + area + 1)
            loss = loss + self.slice_dice * ops.sum(misses * bleeds) / (ops.sum(bleeds) + EPSILON)
        if self.box:
            has_box = ops.max(boxed, axis=(1, 2, 3))
            strongest = ops.max(p * boxed, axis=(1, 2, 3))
            hits = -has_box * ops.log(ops.maximum(strongest, EPSILON))
            loss = loss + self.box * ops.sum(hits) / (ops.sum(has_box) + EPSILON)
        return loss

    def get_config(self) -> dict:
        terms = ("cross_entropy", "dice", "box", "slice_dice", "focal")
        return {"name": self.name} | {term: getattr(self, term) for term in terms}
