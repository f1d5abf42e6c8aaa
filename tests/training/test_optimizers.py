"""The learning rate's course by hand, and each optimizer with its settings."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.training.test_train import TINY
from training.optimizers import learning_rate, optimizer

# Ten steps an epoch: a rise over ten, then forty.
PLAN = replace(TINY, slices_per_epoch=40, batch=4, epochs=5, warmup=1.0, learning_rate=0.1, final_rate=0.01)


def rates(schedule, steps):
    course = learning_rate(replace(PLAN, schedule=schedule))
    return [float(keras.ops.convert_to_numpy(course(np.int64(step)))) for step in steps]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # after half of the rise, at the peak, in the middle of the rest, after three quarters of it, at the end
        ("constant", [0.05, 0.1, 0.1, 0.1, 0.1]),
        ("steps", [0.05, 0.1, 0.01, 0.001, 0.001]),
        ("exponential", [0.05, 0.1, 0.01, 0.1 * 0.01**0.75, 0.001]),
        ("cosine", [0.0505, 0.1, 0.0505, 0.001 + 0.099 * (1 - 0.5**0.5) / 2, 0.001]),
    ],
)
def test_the_learning_rate_takes_its_course(schedule, expected):
    assert rates(schedule, [5, 10, 30, 40, 50]) == pytest.approx(expected, rel=1e-4)


def test_without_a_rise_a_course_begins_at_its_peak():
    course = learning_rate(replace(PLAN, schedule="constant", warmup=0.0))
    assert float(course(np.int64(0))) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adam", keras.optimizers.Adam),
        ("adamw", keras.optimizers.AdamW),
        ("sgd", keras.optimizers.SGD),
        ("rmsprop", keras.optimizers.RMSprop),
    ],
)
def test_each_optimizer_takes_its_settings(name, kind):
    made = optimizer(replace(PLAN, optimizer=name, weight_decay=0.3, momentum=0.7))
    assert type(made) is kind
    assert made.weight_decay == 0.3
    assert getattr(made, "momentum", 0.7) == 0.7


def test_an_exponential_course_to_nothing_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        learning_rate(replace(PLAN, schedule="exponential", final_rate=0.0))
