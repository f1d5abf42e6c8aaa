"""The mean of what a network says of a slice and of its mirror image.

In: a network as `networks` builds them. Out: one with the same input and outputs, twice as slow. Heads are nearly
symmetric, so the mirror image is a second look by the same eyes; masks and maps are mirrored back before the mean.
"""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("hemoscope")
class Mirror(layers.Layer):
    """Swaps left and right: (n, rows, columns, channels) of any size."""

    def call(self, images: keras.KerasTensor) -> keras.KerasTensor:
        return ops.flip(images, axis=2)


def mirrored(network: keras.Model) -> keras.Model:
    """Wrap a network.

    Args:
        network: image (n, size, size, channels) -> a dictionary of outputs; those with two spatial axes are mirrored
            back.
    """
    image = keras.Input(network.input_shape[1:], name="image")
    seen, mirror_seen = network(image), network(Mirror()(image))
    outputs = {}
    for name, value in seen.items():
        other = mirror_seen[name]
        outputs[name] = layers.Average(name=name)([value, Mirror()(other) if len(value.shape) == 4 else other])
    return keras.Model(image, outputs, name=network.name)
