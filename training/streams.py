"""Batches as a `tf.data.Dataset` that ends when it ends.

In: batches. Out: what `fit` reads them from on TensorFlow. Keras would make a dataset of its own, with autotuning: at
the end of an epoch the thread that tunes can miss that it is cancelled, and everything waits for it, up to a minute
(docs/experiments.md). There is nothing to tune here.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras

from training.batches import Batches

AHEAD = 2  # batches that wait for the network, beside those that are being prepared


def streamed(batches: Batches) -> Any:
    """The batches, in order, prepared ahead by their own number of threads.

    Args:
        batches: at least one.

    Returns:
        A `tf.data.Dataset` of known length.
    """
    import tensorflow as tf

    first = keras.tree.map_structure(lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), batches[0])
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_generator(lambda: _prepared(batches), output_signature=first)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(AHEAD).with_options(options)


def _prepared(batches: Batches) -> Iterator[Any]:
    with ThreadPoolExecutor(batches.workers) as pool:
        coming = deque(pool.submit(batches.__getitem__, n) for n in range(min(batches.workers, len(batches))))
        for number in range(len(batches)):
            following = number + len(coming)
            ready = coming.popleft().result()
            if following < len(batches):
                coming.append(pool.submit(batches.__getitem__, following))
            yield ready
