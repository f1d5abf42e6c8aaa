"""Exported networks in ONNX Runtime: how serving runs them, and how training judges what it ships.

In: a graph's bytes. Out: a function from one slice's input to its outputs.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadWeights

# One slice's input (1, size, size, channels) -> its outputs by name, each with a leading axis of one.
Network = Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]


def open_graph(graph: bytes, name: str) -> Network:
    """A network that is ready to run, on one thread.

    Args:
        graph: an ONNX file's bytes.
        name: of the model, for the error.

    Raises:
        BadWeights: if ONNX Runtime cannot load it.
    """
    import onnxruntime  # here, so that listing models stays quick

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises its own kinds, all of them straight from Exception
        raise BadWeights(f"The network of {name} cannot be loaded: {type(error).__name__}.") from error
    outputs = [output.name for output in session.get_outputs()]

    def run(tensor: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        return dict(zip(outputs, session.run(outputs, {session.get_inputs()[0].name: tensor}), strict=True))

    return run
