"""The product's own network: one residual encoder, a light decoder for the mask, a head for the six classes.

The head pools the encoder's last features twice: plainly, and weighted by the network's own mask, so that a small
bleed is not averaged away. The gradient from the classes does not flow into the mask through the weights; that keeps
the mask honest and gives Grad-CAM a closed form (see `heads.ClosedFormGradCam`).
"""

from collections.abc import Sequence

import keras
from keras import layers

from hemoscope.labels import SUBTYPES
from training.networks.heads import add_class_head

SUBTYPE_SCORES = "subtype_scores"  # the layer that a network which does not tell subtypes apart by pixel lacks


def build_reader(
    size: int,
    channels: int,
    filters: Sequence[int] = (32, 64, 128, 192),
    blocks: Sequence[int] = (1, 2, 2, 2),
    decoder: Sequence[int] = (96, 64, 32),
    dropout: float = 0.2,
    subtypes: bool = False,
) -> keras.Model:
    """Build the reader.

    Args:
        size: side of the input in pixels, a multiple of 16.
        channels: input channels.
        filters: filters of the encoder's stages, at 1/2, 1/4, 1/8 and 1/16 of the size.
        blocks: residual blocks a stage.
        decoder: filters of the decoder's levels, at 1/8, 1/4 and 1/2 of the size.
        dropout: before the class head's dense layers.
        subtypes: also say of each pixel which subtype blood there would have.

    Returns:
        image (n, size, size, channels) float32 in 0..1 -> mask (n, size, size, 1) probabilities, logits (n, 6),
        cams (n, size/16, size/16, 6), each map's largest value as the closed form gives it; with `subtypes` also
        subtypes (n, size, size, 5), probabilities that sum to 1 a pixel, in the order of `labels.SUBTYPES`.
    """
    image = keras.Input((size, size, channels), name="image")
    x = _normalised(layers.Conv2D(filters[0], 3, strides=2, padding="same", use_bias=False)(image))
    skips = []
    for stage, (width, count) in enumerate(zip(filters, blocks, strict=True)):
        for block in range(count):
            x = _residual(x, width, strides=2 if stage > 0 and block == 0 else 1)
        skips.append(x)
    features = skips.pop()
    y = features
    for width in decoder:
        y = layers.UpSampling2D(interpolation="bilinear")(y)
        y = layers.Concatenate()([y, skips.pop()])
        y = _normalised(layers.Conv2D(width, 3, padding="same", use_bias=False)(y))
    mask = layers.Activation("sigmoid", dtype="float32", name="mask")(_at_full_size(layers.Conv2D(1, 1)(y)))
    logits, cams = add_class_head(features, mask, dropout)
    outputs = {"mask": mask, "logits": logits, "cams": cams}
    if subtypes:
        # From zeros: a mean with weights of a network without this layer leaves the order of what it says.
        said = _at_full_size(layers.Conv2D(len(SUBTYPES), 1, kernel_initializer="zeros", name=SUBTYPE_SCORES)(y))
        outputs["subtypes"] = layers.Activation("softmax", dtype="float32", name="subtypes")(said)
    return keras.Model(image, outputs, name="reader")


def _at_full_size(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.UpSampling2D(interpolation="bilinear", dtype="float32")(x)


def _normalised(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Activation("relu")(layers.BatchNormalization()(x))


def _residual(x: keras.KerasTensor, filters: int, strides: int) -> keras.KerasTensor:
    shortcut = x
    if strides > 1:
        shortcut = layers.AveragePooling2D(strides)(shortcut)
    if strides > 1 or x.shape[-1] != filters:
        shortcut = layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(shortcut))
    y = _normalised(layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x))
    y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(y))
    return layers.Activation("relu")(layers.Add()([shortcut, y]))
