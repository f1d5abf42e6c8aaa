"""What a search may change in a configuration, and within which bounds.

In: a configuration. Out: a range for each setting that counts for its network, and the configuration with values from
those ranges in it. The ranges lie round the configuration's own values, so that every network can be searched alike.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from training.configs import TrainConfig
from training.networks import NETWORKS

BATCHES = (4, 8, 16, 32, 64)
STEPS = 4  # of an epoch, at least: with fewer there is no course of the learning rate
FEWEST_SLICES = BATCHES[0] * STEPS
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
DROPOUT = "dropout"

Value = float | int | str


@dataclass(frozen=True)
class Between:
    """Every number from `lowest` to `highest`; `log`: each factor of ten is as likely as another."""

    lowest: float
    highest: float
    log: bool = False

    def nearest(self, value: Value) -> Value:
        """The value itself, or the end that is closer."""
        return min(max(float(value), self.lowest), self.highest)


@dataclass(frozen=True)
class OneOf:
    """One of these."""

    choices: tuple[Value, ...]

    def nearest(self, value: Value) -> Value:
        """The value itself; of numbers, the choice that is closest."""
        return value if value in self.choices else min(self.choices, key=lambda choice: abs(choice - value))


Space = Mapping[str, Between | OneOf]


def space_of(config: TrainConfig, outputs: list[str], slices: int) -> Space:
    """The settings that can be searched, by name.

    Args:
        config: the configuration; a tenth to ten times its learning rate is searched.
        outputs: those of its network that are learnt from targets; `any_weight` counts for `logits` alone.
        slices: of an epoch, at least `FEWEST_SLICES`; no batch is so large that it has fewer than `STEPS` steps.
    """
    space: dict[str, Between | OneOf] = {
        "learning_rate": Between(config.learning_rate / 10, config.learning_rate * 10, log=True),
        "weight_decay": Between(1e-6, 0.1, log=True),
        "batch": OneOf(tuple(sorted(batch for batch in {*BATCHES, config.batch} if batch * STEPS <= slices))),
        "optimizer": OneOf(OPTIMIZERS),
    }
    if _own_dropout(config) is not None:
        space[DROPOUT] = Between(0.0, 0.6)
    if "logits" in outputs:
        space["any_weight"] = Between(1.0, 6.0)
    return space


def own_values(config: TrainConfig, space: Space) -> dict[str, Value]:
    """The configuration's own values, where they lie outside of a range (no weight decay) the nearest in it."""
    own = {name: _own_dropout(config) if name == DROPOUT else getattr(config, name) for name in space}
    return {name: space[name].nearest(value) for name, value in own.items()}


def change(config: TrainConfig, values: Mapping[str, Value]) -> dict[str, Any]:
    """The settings of `TrainConfig` that these values set. Numbers keep three digits: what is tried can be written."""
    settings: dict[str, Any] = {
        name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in values.items()
    }
    if DROPOUT in settings:
        settings["arguments"] = {**config.arguments, DROPOUT: settings.pop(DROPOUT)}
    return settings


def changed(config: TrainConfig, values: Mapping[str, Value]) -> TrainConfig:
    """The configuration with these values."""
    return replace(config, **change(config, values))


def _own_dropout(config: TrainConfig) -> float | None:
    """The network's dropout under this configuration, None for a network without one."""
    parameter = inspect.signature(NETWORKS[config.network]).parameters.get(DROPOUT)
    return None if parameter is None else float(config.arguments.get(DROPOUT, parameter.default))
