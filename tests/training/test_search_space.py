"""What a search may change: the ranges, and the configuration with values in it."""

from dataclasses import replace

import pytest

from training.configs import CONFIGS
from training.search_space import Between, OneOf, change, changed, own_values, space_of

READER, UNET, TWO_BRANCH = (CONFIGS[name] for name in ("reader", "unet", "two_branch"))


def test_only_what_counts_for_the_network_is_searched():
    always = {"learning_rate", "weight_decay", "batch", "optimizer"}
    assert set(space_of(READER, ["mask", "logits"], 600)) == always | {"dropout", "any_weight"}
    assert set(space_of(UNET, ["mask"], 600)) == always | {"dropout"}
    assert set(space_of(TWO_BRANCH, ["mask"], 600)) == always


def test_the_learning_rate_is_searched_round_the_configurations_own():
    space = space_of(replace(READER, learning_rate=2e-3), ["logits"], 600)
    assert space["learning_rate"] == Between(pytest.approx(2e-4), pytest.approx(2e-2), log=True)


def test_every_batch_leaves_four_steps_an_epoch_and_the_own_one_is_among_them():
    assert space_of(replace(READER, batch=12), ["logits"], 50)["batch"] == OneOf((4, 8, 12))
    assert space_of(replace(READER, batch=12), ["logits"], 32)["batch"] == OneOf((4, 8))


def test_the_own_values_are_those_of_the_configuration_or_the_nearest():
    config = replace(READER, learning_rate=3e-4, weight_decay=0.0, any_weight=9.0, batch=32, arguments={"dropout": 0.3})
    own = own_values(config, space_of(config, ["logits"], 64))
    assert own == {
        "learning_rate": 3e-4,
        "weight_decay": 1e-6,
        "batch": 16,
        "optimizer": "adamw",
        "dropout": 0.3,
        "any_weight": 6.0,
    }
    assert own_values(READER, space_of(READER, ["logits"], 600))["dropout"] == 0.2  # the builder's own


def test_values_become_settings_with_three_digits():
    config = replace(READER, arguments={"blocks": (1, 1)})
    values = {"learning_rate": 0.00123456, "batch": 8, "optimizer": "sgd", "dropout": 0.33333}
    assert change(config, values) == {
        "learning_rate": 0.00123,
        "batch": 8,
        "optimizer": "sgd",
        "arguments": {"blocks": (1, 1), "dropout": 0.333},
    }
    assert changed(config, values) == replace(
        config, learning_rate=0.00123, batch=8, optimizer="sgd", arguments={"blocks": (1, 1), "dropout": 0.333}
    )
