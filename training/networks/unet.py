"""The U-Net of the report on binary segmentation: four levels down, four levels up, one sigmoid channel.

Ronneberger et al., MICCAI 2015. The report does not state its filters; `base` 16 is what a CPU trains in an hour.
"""

import keras
from keras import layers


def build_unet(size: int, channels: int, base: int = 16, dropout: float = 0.1) -> keras.Model:
    """A U-Net with two 3x3 convolutions a level and batch normalisation.

    Args:
        size: side of the input in pixels, a multiple of 16.
        channels: input channels.
        base: filters of the first level; each level doubles them.
        dropout: at the bottleneck.

    Returns:
        image (n, size, size, channels) float32 in 0..1 -> mask (n, size, size, 1), probabilities.
    """
    image = keras.Input((size, size, channels), name="image")
    x, skips = image, []
    for level in range(4):
        x = _two_convolutions(x, base * 2**level)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(dropout)(_two_convolutions(x, base * 16))
    for level in reversed(range(4)):
        x = layers.UpSampling2D(interpolation="nearest")(x)
        x = layers.Conv2D(base * 2**level, 2, padding="same", activation="relu")(x)
        x = _two_convolutions(layers.Concatenate()([skips[level], x]), base * 2**level)
    mask = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="mask")(x)
    return keras.Model(image, {"mask": mask}, name="unet")


def _two_convolutions(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
    return x
