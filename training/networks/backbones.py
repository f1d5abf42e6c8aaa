"""The published classification networks as backbones, with the head of the report that compared three of them.

In: the backbone's name. Out: a network that scales its input as the backbone's ImageNet weights expect, runs it
through Keras' own implementation, averages the last maps, and says six logits over a dense layer of 128 after a
dropout of 0.125.

The weights may be random, Keras' own from ImageNet, or those of a file. How the families scale a picture in 0..255:

| family | scaling |
|---|---|
| VGG, ResNet | channels in reverse order, less their mean over ImageNet |
| Inception | to -1..1 |
| DenseNet | to 0..1, less the mean, by the standard deviation |
| EfficientNet | as DenseNet, then by the root of the standard deviation once more, as it was trained |
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from hemoscope.errors import BadData
from training.networks.heads import add_pooled_head, classifier

IMAGENET = "imagenet"

_MEAN, _DEVIATION = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))  # red, green, blue in 0..1
_MEAN_BGR = np.array((103.939, 116.779, 123.68))  # blue, green, red in 0..255


@keras.saving.register_keras_serializable("hemoscope")
class InputScaling(layers.Layer):
    """Slices in 0..1 -> what a backbone was trained on: each new channel is a sum over the old ones and an offset.

    Both are weights that no training changes. So they travel with a network's weights, and a network that starts from
    others' takes their scaling over. At first they map to -1..1.
    """

    def build(self, images_shape: tuple) -> None:
        channels = images_shape[-1]
        self.matrix = self.add_weight(
            name="matrix", shape=(channels, channels), initializer=keras.initializers.Identity(2.0), trainable=False
        )
        self.offset = self.add_weight(
            name="offset", shape=(channels,), initializer=keras.initializers.Constant(-1.0), trainable=False
        )

    def call(self, images: keras.KerasTensor) -> keras.KerasTensor:
        return ops.matmul(images, self.matrix) + self.offset


@dataclass(frozen=True)
class Family:
    """A backbone of Keras Applications.

    Attributes:
        build: of Keras Applications.
        smallest: side of the input in pixels.
        matrix, offset: from 0..1 to what its ImageNet weights were trained on, (3, 3) and (3,).
        first: the layer that takes the scaled input, where the backbone begins with scaling of its own; None takes the
            whole backbone.
    """

    build: Callable[..., keras.Model]
    smallest: int
    matrix: np.ndarray
    offset: np.ndarray
    first: str | None = None


_REVERSED_255 = (np.fliplr(np.eye(3)) * 255, -_MEAN_BGR)

FAMILIES = {
    "vgg16": Family(keras.applications.VGG16, 32, *_REVERSED_255),
    "inception_v3": Family(keras.applications.InceptionV3, 75, np.eye(3) * 2, -np.ones(3)),
    "resnet50": Family(keras.applications.ResNet50, 32, *_REVERSED_255),
    "resnet152": Family(keras.applications.ResNet152, 32, *_REVERSED_255),
    "densenet121": Family(keras.applications.DenseNet121, 32, np.diag(1 / _DEVIATION), -_MEAN / _DEVIATION),
    # Without its first layers: its Normalization does not survive the export to ONNX, and its last step of scaling is
    # there for `weights="imagenet"` only, not for the same weights from a file.
    "efficientnet_b2": Family(
        keras.applications.EfficientNetB2,
        32,
        np.diag(_DEVIATION**-1.5),
        -_MEAN * _DEVIATION**-1.5,
        first="stem_conv_pad",
    ),
}


def build_backbone_classifier(
    name: str,
    size: int,
    channels: int,
    weights: str | None = None,
    frozen: bool = False,
    trainable_last: int = 0,
    dropout: float = 0.125,
    hidden: int = 128,
) -> keras.Model:
    """Build a backbone with the head.

    Args:
        name: in `FAMILIES`.
        size: side of the input in pixels.
        channels: input channels; three with `weights`.
        weights: None for random ones, `imagenet` to download Keras' own, or the path of a file of the backbone without
            its top, as Keras publishes (`.h5`) or saves (`.weights.h5`) it.
        frozen: keep the backbone as it is, its normalisations' means included, and train the head only.
        trainable_last: with `frozen`, how many of the backbone's last layers that have weights are trained after all.
        dropout: before the head's dense layers.
        hidden: width of the head's dense layer.

    Returns:
        image (n, size, size, channels) float32 in 0..1 -> logits (n, 6), cams (n, h, w, 6) with sides of about a 32nd
        of the size.

    Raises:
        BadData: if the size or the channels do not fit the backbone, or the weights cannot be had.
    """
    image = keras.Input((size, size, channels), name="image")
    features = add_backbone(image, name, weights, frozen, trainable_last)
    return classifier(image, features, add_pooled_head(features, dropout, hidden), name)


def add_backbone(
    image: keras.KerasTensor, name: str, weights: str | None, frozen: bool, trainable_last: int
) -> keras.KerasTensor:
    """Scale an image (n, size, size, channels) in 0..1 and run it through a backbone; arguments as above.

    Returns:
        the last maps (n, h, w, c).
    """
    size, channels = image.shape[1], image.shape[3]
    family = FAMILIES[name]
    if size < family.smallest:
        raise BadData(f"{name} takes slices of at least {family.smallest} pixels: got {size}.")
    if weights is not None and channels != 3:
        raise BadData(f"The ImageNet weights of {name} take three channels: got {channels}.")
    backbone = _with_weights(name, size, channels, weights)
    first = backbone.input if family.first is None else backbone.get_layer(family.first).input
    backbone = keras.Model(first, backbone.output, name="backbone")
    if frozen:
        _freeze(backbone, trainable_last)
    scaling = InputScaling(dtype="float32", name="scaling")
    scaled = scaling(image)
    if weights is not None:
        scaling.set_weights([family.matrix, family.offset])
    return backbone(scaled)


def _with_weights(name: str, size: int, channels: int, weights: str | None) -> keras.Model:
    shape, family = (size, size, channels), FAMILIES[name]
    if weights == IMAGENET:
        try:
            return family.build(include_top=False, weights=IMAGENET, input_shape=shape)
        except Exception as error:  # Keras raises a plain Exception where a download fails
            raise BadData(
                f"The ImageNet weights of {name} could not be downloaded: {error}. Fetch the file with another machine "
                "and give its path as `weights`."
            ) from None
    backbone = family.build(include_top=False, weights=None, input_shape=shape)
    if weights is not None:
        if not Path(weights).is_file():
            raise BadData(f"There are no weights {weights} for {name}; `weights` is None, {IMAGENET!r} or a file.")
        try:
            backbone.load_weights(weights)
        except (OSError, ValueError, KeyError) as error:
            raise BadData(f"The weights {weights} are not of {name} without its top: {error}") from None
    return backbone


def _freeze(backbone: keras.Model, trainable_last: int) -> None:
    weighty = [layer for layer in backbone.layers if layer.weights]
    for layer in weighty[: max(len(weighty) - trainable_last, 0)]:
        layer.trainable = False
