"""The registry of networks: a name -> a builder.

In: an input size in pixels, a number of channels and the builder's own arguments. Out: a Keras model whose outputs are
named by what they are: `mask` (n, size, size, 1) pixel probabilities of blood, `logits` (n, 6) in the order of
`labels.CLASSES`, and `cams` (n, rows, columns, 6) Grad-CAM maps for networks with a class head.

Networks are written with `keras` and `keras.ops` only, so every Keras backend builds and trains them.
"""

from collections.abc import Callable

import keras

from training.networks.reader import build_reader
from training.networks.two_branch import build_two_branch
from training.networks.unet import build_unet

Builder = Callable[..., keras.Model]

NETWORKS: dict[str, Builder] = {
    "unet": build_unet,
    "two_branch": build_two_branch,
    "reader": build_reader,
}
