"""Batches as TensorFlow reads them: all of them, in order, however many threads prepare them."""

import time

import keras
import numpy as np
import pytest

from training.streams import streamed

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Streams are for TensorFlow.")


class Numbered(keras.utils.PyDataset):
    """Batch n holds n; the even ones take longer."""

    def __init__(self, count: int, workers: int) -> None:
        super().__init__(workers=workers)
        self.count, self.asked = count, []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int):
        self.asked.append(number)
        time.sleep(0.02 * (number % 2 == 0))
        size = 2 if number < self.count - 1 else 1  # the last one is short
        return np.full((size, 3), number, np.float32), {"logits": np.full((size, 1), number, np.float32)}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("count", [1, 7])
def test_every_batch_comes_once_and_in_order(workers: int, count: int) -> None:
    stream = streamed(Numbered(count, workers))
    assert stream.cardinality() == count
    seen = [(inputs.numpy(), targets["logits"].numpy()) for inputs, targets in stream]
    assert (
        [int(inputs[0, 0]) for inputs, _ in seen] == [int(targets[0, 0]) for _, targets in seen] == list(range(count))
    )
    assert seen[-1][0].shape == (1, 3)


def test_no_more_is_prepared_ahead_than_the_network_needs() -> None:
    batches = Numbered(50, 2)
    for _ in streamed(batches).take(1):
        pass
    assert len(batches.asked) < 15


def test_an_error_in_a_batch_reaches_who_reads() -> None:
    class Broken(Numbered):
        def __getitem__(self, number: int):
            if number == 3:
                raise ValueError("the fourth is broken")
            return super().__getitem__(number)

    with pytest.raises(Exception, match="the fourth is broken"):
        list(streamed(Broken(5, 2)))


def test_a_network_learns_from_it_what_it_learns_from_arrays() -> None:
    def network() -> keras.Model:
        keras.utils.set_random_seed(4)
        image = keras.Input((3,))
        made = keras.Model(image, {"logits": keras.layers.Dense(1, name="logits")(image)})
        made.compile("sgd", {"logits": "mse"})
        return made

    one, other = network(), network()
    batches = Numbered(6, 1)
    losses = one.fit(streamed(batches), shuffle=False, verbose=0, epochs=1).history["loss"]
    expected = [other.train_on_batch(*batches[number]) for number in range(6)]
    assert len(losses) == 1
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)
    assert np.isfinite(expected[-1])
