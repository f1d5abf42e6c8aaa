"""AlexNet: five convolutions, two wide dense layers with dropout, six logits.

Krizhevsky et al., NIPS 2012, on one device. Batch normalisation stands where the original has its local response
normalisation, after the first two convolutions: Keras has no layer for that one.
"""

from collections.abc import Sequence

import keras
from keras import layers

from training.networks.heads import add_flat_head, classifier


def build_alexnet(
    size: int,
    channels: int,
    filters: Sequence[int] = (96, 256, 384, 384, 256),
    width: int = 4096,
    dropout: float = 0.5,
) -> keras.Model:
    """Build AlexNet.

    Args:
        size: side of the input in pixels, at least 67; 227 in the original. The first dense layer grows with its
            square.
        channels: input channels.
        filters: of the five convolutions.
        width: of both dense layers.
        dropout: of both dense layers.

    Returns:
        image (n, size, size, channels) float32 in 0..1 -> logits (n, 6), cams (n, h, w, 6) with sides of about a
        32nd of the size.
    """
    image = keras.Input((size, size, channels), name="image")
    first, second, third, fourth, fifth = filters
    x = layers.Conv2D(first, 11, strides=4, activation="relu")(image)
    x = layers.MaxPooling2D(3, strides=2)(layers.BatchNormalization()(x))
    x = layers.Conv2D(second, 5, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2)(layers.BatchNormalization()(x))
    for count in (third, fourth, fifth):
        x = layers.Conv2D(count, 3, padding="same", activation="relu")(x)
    features = layers.MaxPooling2D(3, strides=2)(x)
    return classifier(image, features, add_flat_head(features, dropout, hidden=(width, width)), "alexnet")
