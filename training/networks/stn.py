"""The networks with a spatial transformer in front of a backbone, in the two stages of their report.

Stage 1 says of which one kind a slice is: no hemorrhage or one of the five subtypes. Stage 2 takes over its
transformer and backbone and puts three more layers on its features: several subtypes at once.

A slice is aligned before the backbone sees it, so the heat of the classes lies on the aligned slice; it is taken back
to the slice as it came by the inverse transformation, inside the graph.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from hemoscope.labels import ANY, CLASSES, SUBTYPES
from training.networks.backbones import add_backbone
from training.networks.heads import ClosedFormGradCam, add_pooled_head
from training.networks.transformer import AffineSampling, InverseAffine, add_spatial_transformer

KINDS = ("no hemorrhage", *SUBTYPES)
STAGE_1 = "stage_1"  # the layer of stage 2 that holds stage 1; its weights are loaded into that

# Which kinds make up a class: a slice of any of the five subtypes has hemorrhage. (classes, kinds)
_MEMBERS = np.array([[kind == name or (name == ANY and kind in SUBTYPES) for kind in KINDS] for name in CLASSES])


@keras.saving.register_keras_serializable("hemoscope")
class KindsToClasses(layers.Layer):
    """Logits of six kinds that exclude each other -> logits of the six classes, with the features' gradients.

    The probability of a class is that of its kinds together, and its logit log(sum of exp over its kinds) less the
    same of the other kinds. The logit's derivative is the softmax over its kinds, less that over the others.

    Takes:
        kinds (n, 6) and their gradients (n, c, 6).

    Returns:
        logits (n, 6) of `labels.CLASSES` and their gradients (n, c, 6).
    """

    def call(
        self, kinds: keras.KerasTensor, gradients: keras.KerasTensor
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        # (n, 1, kinds) where a kind counts for a class, and where it counts against it: (n, classes, kinds)
        spread = ops.expand_dims(kinds, 1)
        never = ops.full_like(spread, -1e9)
        own, other = ops.where(_MEMBERS, spread, never), ops.where(_MEMBERS, never, spread)
        logits = ops.logsumexp(own, axis=-1) - ops.logsumexp(other, axis=-1)
        derivative = ops.softmax(own, axis=-1) - ops.softmax(other, axis=-1)
        return logits, ops.matmul(gradients, ops.transpose(derivative, (0, 2, 1)))


def build_stn_kinds(
    name: str,
    size: int,
    channels: int,
    weights: str | None = None,
    frozen: bool = False,
    trainable_last: int = 0,
    dropout: float = 0.125,
    hidden: int = 128,
    largest_change: float | None = None,
) -> keras.Model:
    """Build stage 1: the transformer, a backbone and the multi-class head.

    Args:
        name: of the backbone; it and the others as in `backbones.build_backbone_classifier`.
        largest_change: of the transformation, see `transformer.Affine`.

    Returns:
        image (n, size, size, channels) float32 in 0..1 -> kinds (n, 6) logits in the order of KINDS; logits (n, 6) of
        the classes that follow from them; cams (n, h, w, 6) of these, in the frame of the image.

    Raises:
        BadData: as the backbone does.
    """
    image, parts = _stage_1(name, size, channels, weights, frozen, trainable_last, dropout, hidden, largest_change)
    logits, gradients = KindsToClasses(dtype="float32", name="classes")(parts["kinds"], parts["gradients"])
    outputs = _outputs(logits, gradients, parts["features"], parts["theta"])
    return keras.Model(image, outputs | {"kinds": parts["kinds"]}, name=f"stn_{name}_kinds")


def build_stn(
    name: str,
    size: int,
    channels: int,
    weights: str | None = None,
    frozen: bool = False,
    trainable_last: int = 0,
    frozen_stage_1: bool = False,
    dropout: float = 0.125,
    hidden: Sequence[int] = (256, 128),
    stage_1_hidden: int = 128,
    largest_change: float | None = None,
) -> keras.Model:
    """Build stage 2: stage 1 as the layer `stage_1`, and three dense layers on the average of its last maps.

    Args:
        name: of the backbone; it and `weights`, `frozen`, `trainable_last` as in `backbones.build_backbone_classifier`.
            What a training loads into `stage_1` replaces `weights`, the scaling of the input included.
        frozen_stage_1: train the three layers only.
        dropout: before them.
        hidden: widths of the first two of them.
        stage_1_hidden: `hidden` of stage 1.
        largest_change: of the transformation, as in stage 1.

    Returns:
        image (n, size, size, channels) float32 in 0..1 -> logits (n, 6), cams (n, h, w, 6) in the frame of the image.

    Raises:
        BadData: as the backbone does.
    """
    inner, parts = _stage_1(
        name, size, channels, weights, frozen, trainable_last, dropout, stage_1_hidden, largest_change
    )
    del parts["gradients"]
    stage_1 = keras.Model(inner, parts, name=STAGE_1)
    # Its head is there so that stage 1's weights fit; nothing of stage 2 depends on it, and nothing trains it.
    stage_1.get_layer("head").trainable = False
    if frozen_stage_1:
        stage_1.trainable = False
    image = keras.Input((size, size, channels), name="image")
    seen = stage_1(image)
    logits, gradients = add_pooled_head(seen["features"], dropout, hidden)
    return keras.Model(image, _outputs(logits, gradients, seen["features"], seen["theta"]), name=f"stn_{name}")


def _stage_1(
    name: str,
    size: int,
    channels: int,
    weights: str | None,
    frozen: bool,
    trainable_last: int,
    dropout: float,
    hidden: int,
    largest_change: float | None,
) -> tuple[keras.KerasTensor, dict[str, keras.KerasTensor]]:
    """The input of stage 1, and by name its features, theta, kinds and the kinds' gradients."""
    image = keras.Input((size, size, channels), name="image")
    aligned, theta = add_spatial_transformer(image, largest_change)
    features = add_backbone(aligned, name, weights, frozen, trainable_last)
    kinds, gradients = add_pooled_head(features, dropout, hidden)
    kinds = layers.Identity(dtype="float32", name="kinds")(kinds)
    return image, {"features": features, "theta": theta, "kinds": kinds, "gradients": gradients}


def _outputs(
    logits: keras.KerasTensor, gradients: keras.KerasTensor, features: keras.KerasTensor, theta: keras.KerasTensor
) -> dict[str, keras.KerasTensor]:
    """`logits`, and `cams` taken back from the aligned frame to the image's own."""
    aligned_cams = ClosedFormGradCam(dtype="float32", name="aligned_cams")(features, gradients)
    back = InverseAffine(dtype="float32", name="theta_back")(theta)
    cams = AffineSampling(dtype="float32", name="cams")(aligned_cams, back)
    return {"logits": layers.Identity(dtype="float32", name="logits")(logits), "cams": cams}
