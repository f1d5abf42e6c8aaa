"""The registry of networks: a name -> a builder.

In: an input size in pixels, a number of channels and the builder's own arguments. Out: a Keras model whose outputs are
named by what they are: `mask` (n, size, size, 1) pixel probabilities of blood, `subtypes` (n, size, size, 5) which
subtype blood in a pixel has, in the order of `labels.SUBTYPES`, `logits` (n, 6) in the order of `labels.CLASSES`,
`cams` (n, rows, columns, 6) Grad-CAM maps for networks with a class head, and `kinds` (n, 6) logits of kinds that
exclude each other, in the order of `stn.KINDS`. docs/reference/networks.md has them in a table.

Networks are written with `keras` and `keras.ops` only, so every Keras backend builds and trains them.
"""

from collections.abc import Callable
from functools import partial

import keras

from training.networks.alexnet import build_alexnet
from training.networks.backbones import FAMILIES, build_backbone_classifier
from training.networks.plain_cnn import build_plain_cnn
from training.networks.reader import build_reader
from training.networks.stn import build_stn, build_stn_kinds
from training.networks.two_branch import build_two_branch
from training.networks.unet import build_unet

Builder = Callable[..., keras.Model]

NETWORKS: dict[str, Builder] = {
    "unet": build_unet,
    "two_branch": build_two_branch,
    "reader": build_reader,
    "plain_cnn": build_plain_cnn,
    "alexnet": build_alexnet,
    **{name: partial(build_backbone_classifier, name) for name in FAMILIES},
    "stn_vgg16_kinds": partial(build_stn_kinds, "vgg16"),
    "stn_vgg16": partial(build_stn, "vgg16"),
    "stn_inception_v3_kinds": partial(build_stn_kinds, "inception_v3"),
    "stn_inception_v3": partial(build_stn, "inception_v3"),
}
