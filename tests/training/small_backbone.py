"""A backbone of two convolutions in place of the published ones: for tests of what is built around a backbone."""

from dataclasses import replace

import keras
import pytest
from keras import layers

from training.networks.backbones import FAMILIES


def build_small(include_top: bool, weights: None, input_shape: tuple[int, int, int]) -> keras.Model:
    """Called as those of Keras Applications are; maps with an eighth of the size and 12 channels."""
    image = keras.Input(input_shape)
    x = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(image)
    x = layers.BatchNormalization()(x)
    return keras.Model(image, layers.Conv2D(12, 3, strides=2, padding="same", activation="relu")(x))


def with_small_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone, every family builds that one."""
    for name, family in FAMILIES.items():
        monkeypatch.setitem(FAMILIES, name, replace(family, build=build_small, smallest=8, first=None))
