"""The two-branch network of the report on binary segmentation: two stacks of convolution and pooling, joined by
concatenation, then transposed convolutions up to a sigmoid mask.

The report states neither filters nor kernels. Here the branches differ in what they see: 3x3 kernels for edges and
texture, 5x5 kernels for the surroundings; there are no skip connections, as in the report.
"""

import keras
from keras import layers


def build_two_branch(size: int, channels: int, base: int = 16) -> keras.Model:
    """Two branches of three convolution and pooling levels, joined at an eighth of the size.

    Args:
        size: side of the input in pixels, a multiple of 8.
        channels: input channels.
        base: filters of a branch's first level; each level doubles them.

    Returns:
        image (n, size, size, channels) float32 in 0..1 -> mask (n, size, size, 1), probabilities.
    """
    image = keras.Input((size, size, channels), name="image")
    x = layers.Concatenate()([_branch(image, base, kernel) for kernel in (3, 5)])
    x = _convolution(x, base * 8, 3)
    for level in reversed(range(3)):
        x = layers.Conv2DTranspose(base * 2**level, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = _convolution(x, base * 2**level, 3)
    mask = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="mask")(x)
    return keras.Model(image, {"mask": mask}, name="two_branch")


def _branch(x: keras.KerasTensor, base: int, kernel: int) -> keras.KerasTensor:
    for level in range(3):
        x = _convolution(x, base * 2**level, kernel)
        x = _convolution(x, base * 2**level, kernel)
        x = layers.MaxPooling2D()(x)
    return x


def _convolution(x: keras.KerasTensor, filters: int, kernel: int) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, padding="same", use_bias=False)(x)
    return layers.Activation("relu")(layers.BatchNormalization()(x))
