"""Training on one device, on all devices of this machine, or on several machines.

In: which of the three, and for several machines the variables of `keras.distribution.initialize`. Out: an engine, which
the training asks for its share of every batch, to fit, and whether it is the one that writes.

The engine behind it is `keras.distribution` on JAX: every device computes its rows of the same global batch, and what
goes over rows (a loss, a Dice over the batch, the statistics of a batch normalisation, a dropout mask) goes over the
rows of all. So the loss curve is that of one device with the same batch. Why this one: docs/decisions/0007.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import keras

from hemoscope.errors import BadData
from training.batches import Batches
from training.streams import streamed

CHOICES = ("none", "gpus", "machines")
ADDRESSES, PROCESSES, PROCESS = (
    f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)

Result = TypeVar("Result")


class Engine:
    """One device: what a training does without a choice.

    Attributes:
        first: whether this process writes checkpoints, logs and state.
    """

    first = True

    def in_turn(self, work: Callable[..., Result]) -> Callable[..., Result]:
        """The same work, done by the first process before the others: they find the files that it wrote."""
        return work

    def share(self, batches: Batches) -> Any:
        """This process's rows of every batch, in a form that `fit` takes."""
        return streamed(batches) if keras.backend.backend() == "tensorflow" else batches

    def fitter(self, network: keras.Model, build: Callable[[], keras.Model]) -> Callable[..., keras.callbacks.History]:
        """What trains the network: takes what `keras.Model.fit` takes, and leaves the network trained.

        Args:
            network: a compiled network of this process alone, which is saved and loaded as ever.
            build: makes another one like it.
        """
        return network.fit


class Devices(Engine):
    """All devices of all processes that have joined.

    The network that is trained is a twin whose variables lie on every device. Changing or saving those is a common act
    of all processes; the process's own network is brought up to date after each fit and can be saved by one alone.
    """

    def __init__(self) -> None:
        self.distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
        self.devices = self.distribution.num_model_replicas
        self.process, self.processes = self.distribution.data_shard_id, self.distribution.num_processes
        self.first = self.process == 0

    def in_turn(self, work: Callable[..., Result]) -> Callable[..., Result]:
        def worked(*arguments: Any, **named: Any) -> Result:
            if not self.first:
                self._meet()
            try:
                return work(*arguments, **named)
            finally:  # a failure too sets the others free, to fail alike
                if self.first:
                    self._meet()

        return worked

    def share(self, batches: Batches) -> Batches:
        """This process's rows of every batch.

        Every batch must deal out evenly: of slices that come as they are (validation), up to one less than the number
        of devices are left out at the end.

        Raises:
            BadData: if the batch does not deal out to the devices, or there are fewer slices than devices.
        """
        if batches.batch % self.devices:
            raise BadData(f"A batch of {batches.batch} does not deal out to {self.devices} devices: change `batch`.")
        batches.draws = batches.draws[: len(batches.draws) // self.devices * self.devices]
        if not batches.draws:
            raise BadData(f"There are fewer slices than the {self.devices} devices.")
        batches.share = (self.process, self.processes)
        return batches

    def fitter(self, network: keras.Model, build: Callable[[], keras.Model]) -> Callable[..., keras.callbacks.History]:
        with self.distribution.scope():
            twin = build()
            twin.optimizer.build(twin.trainable_variables)
        if not network.optimizer.built:
            network.optimizer.build(network.trainable_variables)
        copy_state(network, twin)

        def fit(*arguments: Any, **named: Any) -> keras.callbacks.History:
            with self.distribution.scope():
                history = twin.fit(*arguments, **named)
            copy_state(twin, network)
            return history

        return fit

    def _meet(self) -> None:
        if self.processes > 1:
            from jax.experimental.multihost_utils import sync_global_devices

            sync_global_devices("hemoscope")


def choose_engine(choice: str, environment: Mapping[str, str] = os.environ) -> Engine:
    """The engine of a choice; for `machines` it waits until all processes have joined. Call it before any network.

    Args:
        choice: one of `CHOICES`: `none` is one device, `gpus` all devices of this machine, `machines` all devices of
            all processes, one process a machine.
        environment: holds, for `machines`, `KERAS_DISTRIBUTION_JOB_ADDRESSES` (host:port of each process, the first
            one first, separated by commas; or of the first alone), `_NUM_PROCESSES`, and `_PROCESS_ID` from 0.

    Raises:
        BadData: if Keras does not run on JAX, a variable is missing or makes no sense, or there is one device only.
    """
    if choice == "none":
        return Engine()
    if keras.backend.backend() != "jax":
        raise BadData(
            f"Training on several devices needs Keras on JAX, not on {keras.backend.backend()}: install the extra "
            "`devices` and set KERAS_BACKEND=jax."
        )
    if choice == "machines":
        keras.distribution.initialize(*_processes(environment))
    elif len(keras.distribution.list_devices()) == 1:
        raise BadData(f"There is one device here, {keras.distribution.list_devices()[0]}: leave --distribute out.")
    return Devices()


def copy_state(source: keras.Model, target: keras.Model) -> None:
    """Give a network the weights and the optimizer's state of another one like it."""
    pairs = zip(
        [*source.weights, *source.optimizer.variables], [*target.weights, *target.optimizer.variables], strict=True
    )
    for one, other in pairs:
        other.assign(keras.ops.convert_to_numpy(one))


def _processes(environment: Mapping[str, str]) -> tuple[str, int, int]:
    missing = [name for name in (ADDRESSES, PROCESSES, PROCESS) if not environment.get(name)]
    if missing:
        raise BadData(f"Training on several machines needs the variables {', '.join(missing)}.")
    addresses = environment[ADDRESSES].split(",")
    try:
        count, number = int(environment[PROCESSES]), int(environment[PROCESS])
    except ValueError:
        raise BadData(f"{PROCESSES} and {PROCESS} must be whole numbers.") from None
    if not 0 <= number < count:
        raise BadData(f"{PROCESS} is {number}: it must be 0 to {count - 1}, for {PROCESSES} is {count}.")
    if len(addresses) not in (1, count) or not all(":" in address for address in addresses):
        raise BadData(f"{ADDRESSES} must hold host:port of the first process, or of all {count}, separated by commas.")
    return environment[ADDRESSES], count, number
