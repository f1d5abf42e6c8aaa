"""The class head over pooled features, and its Grad-CAM in closed form.

In: an encoder's last feature maps. Out: six logits and six class activation maps, both plain parts of the graph, so
that an exported network gives Grad-CAM without gradients.

For pooled features g (c), logits = W2' relu(W1' g + b1) + b2. The gradient of logit k with respect to g is
W1 ((W1' g + b1 > 0) * W2[:, k]). Each pooling spreads its share evenly over a mean: both poolings have weights that
sum to one over the map, so the mean of the gradient over the map, Grad-CAM's weight of a channel (Selvaraju et al.,
ICCV 2017), is the sum of the channel's gradients through both poolings, divided by rows * columns.
"""

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
    """Dense, ReLU, dense over pooled features; gives the logits and each pooled feature's gradient for each class."""

    def __init__(self, hidden: int = 128, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.hidden = hidden

    def build(self, pooled_shape: tuple) -> None:
        wide = pooled_shape[-1]
        self.w1 = self.add_weight(name="w1", shape=(wide, self.hidden), initializer="he_normal")
        self.b1 = self.add_weight(name="b1", shape=(self.hidden,), initializer="zeros")
        self.w2 = self.add_weight(name="w2", shape=(self.hidden, len(CLASSES)), initializer="glorot_uniform")
        self.b2 = self.add_weight(name="b2", shape=(len(CLASSES),), initializer=keras.initializers.Constant(-2.0))

    def call(self, pooled: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        hidden = ops.matmul(pooled, self.w1) + self.b1
        logits = ops.matmul(ops.relu(hidden), self.w2) + self.b2
        active = ops.cast(hidden > 0, hidden.dtype)
        # (n, hidden, 1) * (hidden, 6) -> (n, hidden, 6) -> (n, wide, 6)
        gradients = ops.matmul(self.w1, ops.expand_dims(active, -1) * self.w2)
        return logits, gradients

    def get_config(self) -> dict:
        return super().get_config() | {"hidden": self.hidden}


@keras.saving.register_keras_serializable("hemoscope")
class ClosedFormGradCam(layers.Layer):
    """Features (n, h, w, c) and the gradients (n, poolings * c, 6) of the poolings' outputs -> maps (n, h, w, 6)."""

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
