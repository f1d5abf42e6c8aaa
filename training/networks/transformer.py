"""The spatial transformer: a small network that looks at a slice and says how to turn, shift and scale it.

Jaderberg et al., NIPS 2015. In: images. Out: aligned images and the transformation `theta` (n, 2, 3), which takes a
place (x, y, 1) of the aligned image to the place (x, y) of the input that is shown there. x runs along the columns, y
along the rows; -1 and 1 are the outer edges of the first and the last pixel, so that one theta fits maps of any size.

Sampling is a gather and four products with `keras.ops`, which every backend differentiates and ONNX knows.
"""

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from hemoscope.errors import BadData

IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
SMALLEST_AREA = 1e-3  # of the frame; a transformation that shrinks it below that is inverted as if it did not


@keras.saving.register_keras_serializable("hemoscope")
class Affine(layers.Layer):
    """Features (n, d) -> theta (n, 2, 3); before any training the identity, whatever the features.

    Args:
        largest_change: no number of theta goes further than this from the identity's; None: no bound. With 0.5 some of
            the image stays in the frame: without, a training can end up looking beside it, where there is nothing that
            would lead it back.
    """

    def __init__(self, largest_change: float | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.largest_change = largest_change

    def build(self, features_shape: tuple) -> None:
        self.kernel = self.add_weight(name="kernel", shape=(features_shape[-1], 6), initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=(6,), initializer="zeros")

    def call(self, features: keras.KerasTensor) -> keras.KerasTensor:
        change = ops.matmul(features, self.kernel) + self.bias
        if self.largest_change is not None:
            change = self.largest_change * ops.tanh(change / self.largest_change)
        return ops.reshape(change, (-1, 2, 3)) + ops.convert_to_tensor(IDENTITY, dtype=change.dtype)

    def get_config(self) -> dict:
        return super().get_config() | {"largest_change": self.largest_change}


@keras.saving.register_keras_serializable("hemoscope")
class InverseAffine(layers.Layer):
    """theta (n, 2, 3) -> the transformation back (n, 2, 3)."""

    def call(self, theta: keras.KerasTensor) -> keras.KerasTensor:
        a, b, c, d = theta[:, 0, 0], theta[:, 0, 1], theta[:, 1, 0], theta[:, 1, 1]
        area = a * d - b * c
        smallest = ops.where(area < 0, -SMALLEST_AREA, SMALLEST_AREA)
        area = ops.where(ops.abs(area) < SMALLEST_AREA, smallest, area)
        inverse = ops.reshape(ops.stack([d, -b, -c, a], axis=-1) / ops.expand_dims(area, -1), (-1, 2, 2))
        return ops.concatenate([inverse, -ops.matmul(inverse, theta[:, :, 2:])], axis=-1)


@keras.saving.register_keras_serializable("hemoscope")
class AffineSampling(layers.Layer):
    """Images (n, h, w, c) and theta (n, 2, 3) -> the images seen through theta, (n, h, w, c).

    Bilinear between the pixels' centres; beyond them 0, which is the darkest that `Preprocess` gives.
    """

    def call(self, images: keras.KerasTensor, theta: keras.KerasTensor) -> keras.KerasTensor:
        rows, columns, channels = images.shape[1:]
        # (n, 2, 3) and (3, places) -> (n, 2, places): where in the input each pixel of the result lies, in pixels
        at = ops.matmul(theta, ops.convert_to_tensor(_centres(rows, columns), dtype=theta.dtype))
        column, row = ((at[:, 0] + 1) * columns - 1) / 2, ((at[:, 1] + 1) * rows - 1) / 2
        left, top = ops.floor(column), ops.floor(row)
        right_share, low_share = column - left, row - top
        flat = ops.reshape(images, (-1, channels))
        first = ops.expand_dims(ops.arange(ops.shape(images)[0], dtype="int32") * (rows * columns), -1)

        def corner(r: keras.KerasTensor, c: keras.KerasTensor, share: keras.KerasTensor) -> keras.KerasTensor:
            inside = (r >= 0) & (r <= rows - 1) & (c >= 0) & (c <= columns - 1)
            place = ops.clip(r, 0, rows - 1) * columns + ops.clip(c, 0, columns - 1)
            # A place that is no number cannot be looked up; its share makes the result no number too.
            values = ops.take(flat, first + ops.cast(ops.nan_to_num(place), "int32"), axis=0)
            return values * ops.expand_dims(share * ops.cast(inside, share.dtype), -1)

        sampled = (
            corner(top, left, (1 - low_share) * (1 - right_share))
            + corner(top, left + 1, (1 - low_share) * right_share)
            + corner(top + 1, left, low_share * (1 - right_share))
            + corner(top + 1, left + 1, low_share * right_share)
        )
        return ops.reshape(sampled, (-1, rows, columns, channels))


def add_spatial_transformer(
    image: keras.KerasTensor, largest_change: float | None = None
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Put a localisation net and the sampling that it steers after an image.

    The localisation net is that of the usual tutorial: two convolutions with pooling, a dense layer, six parameters.

    Args:
        image: (n, size, size, channels).
        largest_change: of theta, see `Affine`.

    Returns:
        the aligned image of the same shape, named `aligned`, and theta (n, 2, 3), named `theta`; both float32.
    """
    x = layers.Conv2D(8, 7, padding="same", activation="relu")(image)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(10, 5, padding="same", activation="relu")(x)
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    x = layers.Dense(32, activation="relu")(x)
    theta = Affine(largest_change, dtype="float32", name="theta")(
        x
    )  # in bfloat16 a place is only known to a pixel or so
    return AffineSampling(dtype="float32", name="aligned")(image, theta), theta


def alignment(network: keras.Model, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a network with a spatial transformer makes of images before it classifies them.

    Args:
        network: with the transformer in itself or in a network inside it.
        images: (n, size, size, channels) float32 in 0..1.

    Returns:
        the aligned images, of the same shape, and theta (n, 2, 3).

    Raises:
        BadData: if the network has no spatial transformer.
    """
    holder = _holder(network)
    if holder is None:
        raise BadData(f"The network {network.name} has no spatial transformer: there is no alignment to show.")
    part = keras.Model(holder.input, [holder.get_layer("aligned").output, holder.get_layer("theta").output])
    aligned, theta = part.predict(images, verbose=0)
    return aligned, theta


def _holder(network: keras.Model) -> keras.Model | None:
    """The network, it or one inside it, that has the transformer's layers."""
    if any(isinstance(layer, AffineSampling) and layer.name == "aligned" for layer in network.layers):
        return network
    found = (_holder(layer) for layer in network.layers if isinstance(layer, keras.Model))
    return next((holder for holder in found if holder is not None), None)


def _centres(rows: int, columns: int) -> NDArray[np.float32]:
    """(x, y, 1) of the pixels' centres, (3, rows * columns), row by row."""
    y, x = np.meshgrid((2 * np.arange(rows) + 1) / rows - 1, (2 * np.arange(columns) + 1) / columns - 1, indexing="ij")
    return np.stack([x.ravel(), y.ravel(), np.ones(rows * columns)]).astype(np.float32)
