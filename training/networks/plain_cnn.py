"""The plain network of the report with the windows as channels: one convolution, one pooling, one dense layer.

As its listing has it: 32 kernels of 5x5 with stride 2, ReLU, pooling over 5x5 with stride 2, then every place of the
map has a weight of its own for each class.
"""

import keras
from keras import layers

from training.networks.heads import add_flat_head, classifier


def build_plain_cnn(size: int, channels: int, filters: int = 32) -> keras.Model:
    """Build the plain network.

    Args:
        size: side of the input in pixels, at least 13; the dense layer grows with its square.
        channels: input channels.
        filters: of the convolution.

    Returns:
        image (n, size, size, channels) float32 in 0..1 -> logits (n, 6), cams (n, h, w, 6) with sides of about a
        quarter of the size.
    """
    image = keras.Input((size, size, channels), name="image")
    x = layers.Conv2D(filters, 5, strides=2, activation="relu")(image)
    features = layers.MaxPooling2D(5, strides=2)(x)
    return classifier(image, features, add_flat_head(features, dropout=0.0, hidden=()), "plain_cnn")
