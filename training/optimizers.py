"""Optimizers and the course of the learning rate, as a `TrainConfig` names them.

In: a configuration. Out: Keras' own optimizers; `keras.ops` only.
"""

import keras
from keras import ops

from training.configs import TrainConfig


def optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """The configuration's optimizer."""
    rate, decay = learning_rate(config), config.weight_decay or None
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=config.momentum, weight_decay=decay)
    if config.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(rate, momentum=config.momentum, weight_decay=decay)
    if config.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    return keras.optimizers.Adam(rate, weight_decay=decay)


def learning_rate(config: TrainConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by step: a linear rise over the warm-up, then the configuration's schedule."""
    steps = config.slices_per_epoch // config.batch
    rise, rest = round(steps * config.warmup), round(steps * (config.epochs - config.warmup))
    if config.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=config.learning_rate if not config.warmup else config.learning_rate / 100,
            decay_steps=rest,
            alpha=config.final_rate,
            warmup_target=config.learning_rate if config.warmup else None,
            warmup_steps=rise,
        )
    return Course(config.schedule, config.learning_rate, config.final_rate, rise, rest)


@keras.saving.register_keras_serializable("hemoscope")
class Course(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise, then `constant`, `exponential` (to `final` of the peak) or `steps` (a tenth from half of the rest
    on, a hundredth from three quarters on).

    Args:
        schedule: one of these three.
        peak: the learning rate after the rise.
        final: share of the peak at the end, above 0 for `exponential`.
        rise, rest: training steps of each part.
    """

    def __init__(self, schedule: str, peak: float, final: float, rise: int, rest: int) -> None:
        if schedule not in ("constant", "exponential", "steps"):
            raise ValueError(f"There is no schedule {schedule!r}.")
        if schedule == "exponential" and final <= 0:
            raise ValueError("An exponential course needs a final rate above 0.")
        self.schedule, self.peak, self.final, self.rise, self.rest = schedule, peak, final, rise, rest

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        step = ops.cast(step, "float32")
        done = (step - self.rise) / max(self.rest, 1)
        rate = ops.ones_like(step)
        if self.schedule == "exponential":
            rate = self.final ** ops.clip(done, 0.0, 1.0)
        elif self.schedule == "steps":
            rate = ops.where(done >= 0.75, 0.01, ops.where(done >= 0.5, 0.1, 1.0))
        if self.rise:
            rate = rate * ops.minimum(step / self.rise, 1.0)
        return self.peak * rate

    def get_config(self) -> dict:
        return {name: getattr(self, name) for name in ("schedule", "peak", "final", "rise", "rest")}
