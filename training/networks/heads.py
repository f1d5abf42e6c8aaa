"""The class heads over features, and their Grad-CAM in closed form.

In: an encoder's last feature maps. Out: six logits and six class activation maps, both plain parts of the graph, so
that an exported network gives Grad-CAM without gradients.

A head is a chain of dense layers with ReLU between them. For features g the gradient of logit k is
W1 (on1 * W2 (on2 * ... Wn[:, k])), where `on` is 1 for the hidden units that the ReLU lets through. Grad-CAM's weight
of a channel (Selvaraju et al., ICCV 2017) is the mean of the gradient over the map:

- pooled features: each pooling spreads its share over a mean whose weights sum to one over the map, so the weight is
  the sum of the channel's gradients through all poolings, divided by rows * columns;
- flattened features: W1 has one row for each place and channel; its sum over the places, divided by rows * columns.
"""

from collections.abc import Sequence
from itertools import pairwise

import keras
from keras import layers, ops

from hemoscope.labels import CLASSES


@keras.saving.register_keras_serializable("hemoscope")
class MaskWeightedPooling(layers.Layer):
    """Average of features (n, h, w, c) weighted by a mask (n, H, W, 1) reduced to (h, w) -> (n, c).

    The weights sum to one; where the mask is empty they become even. No gradient flows into the mask.
    """

    def call(self, features: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
        factor = mask.shape[1] // features.shape[1]
        weights = ops.average_pool(ops.stop_gradient(mask), factor, factor) + 1e-3
        weights = weights / ops.sum(weights, axis=(1, 2), keepdims=True)
        return ops.sum(features * weights, axis=(1, 2))


@keras.saving.register_keras_serializable("hemoscope")
class ClassHead(layers.Layer):
    """Dense layers with ReLU, then six logits; gives the logits and the features' gradient for each class.

    Args:
        hidden: width of the hidden layer, or of several, or none: ().
        dropout: of each hidden layer while training. The gradients are those without dropout.
        places: how many places of a map the input is flattened from, place by place and channel by channel within; 1
            for pooled features.

    Takes:
        features (n, places * c).

    Returns:
        logits (n, 6); gradients (n, c, 6), summed over the places.
    """

    def __init__(
        self, hidden: int | Sequence[int] = 128, dropout: float = 0.0, places: int = 1, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.hidden, self.dropout, self.places = hidden, dropout, places
        self.seed_generator = keras.random.SeedGenerator() if dropout else None

    def build(self, features_shape: tuple) -> None:
        widths = (self.hidden,) if isinstance(self.hidden, int) else tuple(self.hidden)
        ends = [features_shape[-1], *widths, len(CLASSES)]
        self.kernels, self.biases = [], []
        for number, (wide, width) in enumerate(pairwise(ends), start=1):
            last = number == len(ends) - 1
            kernel, bias = ("glorot_uniform", keras.initializers.Constant(-2.0)) if last else ("he_normal", "zeros")
            self.kernels.append(self.add_weight(name=f"w{number}", shape=(wide, width), initializer=kernel))
            self.biases.append(self.add_weight(name=f"b{number}", shape=(width,), initializer=bias))

    def call(self, features: keras.KerasTensor, training: bool = False) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        x, active = features, []
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            x = ops.matmul(x, kernel) + bias
            active.append(ops.cast(x > 0, x.dtype))
            x = ops.relu(x)
            if training and self.dropout:
                x = keras.random.dropout(x, self.dropout, seed=self.seed_generator)
        logits = ops.matmul(x, self.kernels[-1]) + self.biases[-1]
        first, *others = [ops.convert_to_tensor(kernel) for kernel in self.kernels]
        # Summed before the products: the places share what comes after them.
        first = ops.sum(ops.reshape(first, (self.places, -1, first.shape[-1])), axis=0)
        # (n, 6, 6), then from the last layer to the first (n, width, 6)
        gradients = ops.expand_dims(ops.ones_like(logits), -1) * ops.eye(len(CLASSES), dtype=logits.dtype)
        for kernel, on in zip(reversed(others), reversed(active), strict=True):
            gradients = ops.expand_dims(on, -1) * ops.matmul(kernel, gradients)
        return logits, ops.matmul(first, gradients)

    def get_config(self) -> dict:
        return super().get_config() | {"hidden": self.hidden, "dropout": self.dropout, "places": self.places}


@keras.saving.register_keras_serializable("hemoscope")
class ClosedFormGradCam(layers.Layer):
    """Features (n, h, w, c) and the gradients (n, poolings * c, 6) of `ClassHead` -> maps (n, h, w, 6)."""

    def call(self, features: keras.KerasTensor, gradients: keras.KerasTensor) -> keras.KerasTensor:
        rows, columns, channels = features.shape[1:]
        poolings = gradients.shape[1] // channels
        weights = ops.sum(ops.reshape(gradients, (-1, poolings, channels, len(CLASSES))), axis=1) / (rows * columns)
        flat = ops.reshape(features, (-1, rows * columns, channels))
        return ops.reshape(ops.relu(ops.matmul(flat, weights)), (-1, rows, columns, len(CLASSES)))


def add_class_head(
    features: keras.KerasTensor, mask: keras.KerasTensor, dropout: float
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Pool the features plainly and by the mask, and put the head on them.

    Returns:
        logits (n, 6), named `logits`, and Grad-CAM maps (n, h, w, 6), named `cams`.
    """
    plain = layers.GlobalAveragePooling2D(dtype="float32")(features)
    weighted = MaskWeightedPooling(dtype="float32")(features, mask)
    pooled = layers.Dropout(dropout, dtype="float32")(layers.Concatenate(dtype="float32")([plain, weighted]))
    logits, gradients = ClassHead(dtype="float32", name="head")(pooled)
    cams = ClosedFormGradCam(dtype="float32", name="cams")(features, gradients)
    return layers.Identity(dtype="float32", name="logits")(logits), cams


def add_pooled_head(
    features: keras.KerasTensor, dropout: float, hidden: int | Sequence[int]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Average the features over the map, and put the head on them: that of the report with the three backbones.

    Args:
        features: (n, h, w, c).
        dropout: of the pooled features.
        hidden: see `ClassHead`.

    Returns:
        what the head says (n, 6) and its gradients (n, c, 6).
    """
    pooled = layers.GlobalAveragePooling2D(dtype="float32", name="pooled")(features)
    pooled = layers.Dropout(dropout, dtype="float32")(pooled)
    return ClassHead(hidden, dtype="float32", name="head")(pooled)


def add_flat_head(
    features: keras.KerasTensor, dropout: float, hidden: Sequence[int]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Flatten the features, each place with weights of its own, and put the head on them.

    Args:
        features: (n, h, w, c).
        dropout: of each hidden layer.
        hidden: see `ClassHead`.

    Returns:
        what the head says (n, 6) and its gradients (n, c, 6), summed over the places.
    """
    rows, columns = features.shape[1:3]
    flat = layers.Flatten(dtype="float32")(features)
    return ClassHead(hidden, dropout, rows * columns, dtype="float32", name="head")(flat)


def classifier(
    image: keras.KerasTensor,
    features: keras.KerasTensor,
    head: tuple[keras.KerasTensor, keras.KerasTensor],
    name: str,
) -> keras.Model:
    """The network from an image to `logits` (n, 6) and Grad-CAM maps `cams` (n, h, w, 6).

    Args:
        image: the input.
        features: (n, h, w, c) that the head stands on.
        head: logits and gradients, see `add_pooled_head` and `add_flat_head`.
        name: of the network.
    """
    logits, gradients = head
    cams = ClosedFormGradCam(dtype="float32", name="cams")(features, gradients)
    return keras.Model(
        image, {"logits": layers.Identity(dtype="float32", name="logits")(logits), "cams": cams}, name=name
    )
