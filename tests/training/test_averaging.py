"""What is kept of the weights: means by hand."""

import numpy as np

from training.averaging import mean_of_epochs, remember_start, with_start


def weights(value, state=0):
    """A kernel of two numbers, and the state of a random generator."""
    return [np.array([value, -value], np.float32), np.array([state, 7], np.uint32)]


def test_the_mean_is_over_the_last_epochs_and_older_ones_are_forgotten(tmp_path):
    means = [mean_of_epochs(weights(2.0**epoch), 2, epoch, tmp_path)[0][0] for epoch in range(4)]
    assert means == [1, 1.5, 3, 6]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_2.npz", "epoch_3.npz"]


def test_a_share_of_the_start_is_mixed_in(tmp_path):
    remember_start(weights(8.0, state=1), tmp_path)
    kernel, state = with_start(weights(4.0, state=2), 0.25, tmp_path)
    assert kernel.tolist() == [5, -5]
    assert kernel.dtype == np.float32
    assert state.tolist() == [2, 7]  # a random generator goes on from where it is


def test_without_a_share_of_the_start_the_weights_stay(tmp_path):
    remember_start(weights(8.0), tmp_path)
    assert with_start(weights(4.0), 0.0, tmp_path)[0].tolist() == [4, -4]
