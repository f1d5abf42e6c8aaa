"""The one door to inference: names(), load(name) -> Reader, Reader.read(scan) -> Findings.

In: a weights folder's name, then scans. Out: findings. The networks run in ONNX Runtime; TensorFlow is not needed.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadScan, BadWeights, UnknownModel
from hemoscope.findings import Findings, Timings
from hemoscope.labels import ANY
from hemoscope.manifest import FILE, Manifest, read_graph, read_manifest
from hemoscope.postprocessing import largest_probabilities, slice_findings
from hemoscope.scan import Scan

DEFAULT = "reader"
WEIGHTS = Path(__file__).resolve().parent / "weights"
SLICES_AT_MOST = 400  # the findings of one scan are held in memory, about a megabyte a slice of 512 x 512

# One slice's input (1, size, size, channels) -> its outputs by name, each with a leading axis of one.
Network = Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]


class Reader:
    """A network with its preprocessing and its rule. `read` may be called from several threads at once."""

    def __init__(self, manifest: Manifest, network: Network) -> None:
        self.manifest = manifest
        self._network = network
        # One reading at a time: threads that read at once are no faster together and take their memory each.
        self._lock = threading.Lock()
        size, channels = manifest.preprocess.size, manifest.preprocess.channels
        network(np.zeros((1, size, size, channels), np.float32))  # the warm-up

    def read(self, scan: Scan) -> Findings:
        """Read every slice of a scan.

        Raises:
            BadScan: if the scan has more slices than are read at once.
        """
        if len(scan.hu) > SLICES_AT_MOST:
            raise BadScan(f"The scan has {len(scan.hu)} slices; at most {SLICES_AT_MOST} are read at once.")
        preprocess, rule = self.manifest.preprocess, self.manifest.rule
        seconds = {"preprocess": 0.0, "network": 0.0, "postprocess": 0.0}
        slices = []
        for index in range(len(scan.hu)):
            began = time.perf_counter()
            tensor, placement = preprocess.tensor(scan, index)
            prepared = time.perf_counter()
            with self._lock:
                entered = time.perf_counter()
                outputs = {name: values[0] for name, values in self._network(tensor[None]).items()}
            answered = time.perf_counter()
            slices.append(slice_findings(outputs, placement, rule, scan.spacing_mm))
            seconds["preprocess"] += prepared - began
            seconds["network"] += answered - entered
            seconds["postprocess"] += time.perf_counter() - answered
        probabilities = largest_probabilities(slices)
        areas_mm2 = [one.area_mm2 for one in slices if one.area_mm2 is not None]
        return Findings(
            model=self.manifest.name,
            version=self.manifest.version,
            slices=tuple(slices),
            probabilities=probabilities,
            finding=rule.decide(probabilities[ANY] or 0.0),
            area_px=sum(one.area_px for one in slices),
            area_mm2=sum(areas_mm2) if areas_mm2 else None,
            timings=Timings(**seconds),
            notes=(*scan.notes, *_doubts(scan, self.manifest)),
        )


def names(folder: Path | None = None) -> tuple[str, ...]:
    """The names of the weights folders, sorted; `folder` is HEMOSCOPE_WEIGHTS or `weights/` unless given."""
    root = folder or _root()
    return tuple(sorted(path.parent.name for path in root.glob(f"*/{FILE}")))


def manifests(folder: Path | None = None) -> tuple[Manifest, ...]:
    """The manifests of all weights folders; no graph is loaded.

    Raises:
        BadWeights: if one of them cannot be read.
    """
    root = folder or _root()
    return tuple(read_manifest(root / name) for name in names(root))


def load(name: str = DEFAULT) -> Reader:
    """The reader of that name, loaded once and shared.

    Args:
        name: a weights folder's name, or, where the `train` extra is installed, the path of a training's `.keras`
            file with its `preprocess.json` beside it.

    Raises:
        UnknownModel: if there is no such folder or file; the message lists the names.
        BadWeights: if the folder is incomplete or was changed.
    """
    if name.endswith(".keras"):
        return _load_keras(Path(name))
    root = _root()
    with _loading:
        if (root, name) not in _readers:
            if name not in names(root):
                known = ", ".join(names(root)) or "none"
                raise UnknownModel(f"There is no model {name!r}. The models are: {known}.")
            manifest = read_manifest(root / name)
            _readers[root, name] = Reader(manifest, _onnx_network(read_graph(root / name, manifest), name))
        return _readers[root, name]


_readers: dict[tuple[Path, str], Reader] = {}
_loading = threading.Lock()


def _root() -> Path:
    return Path(os.environ.get("HEMOSCOPE_WEIGHTS") or WEIGHTS)


def _onnx_network(graph: bytes, name: str) -> Network:
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


def _load_keras(path: Path) -> Reader:
    if not path.is_file():
        raise UnknownModel(f"There is no file {path}. A model is a .keras file or one of: {', '.join(names())}.")
    # The training package offers the loader under this name; serving does not import it and works without it.
    for entry in entry_points(group="hemoscope.loaders", name="keras"):
        try:
            manifest, network = entry.load()(path)
        except ImportError as error:
            raise BadWeights(f"A .keras file needs the `train` extra ({error.name} is not installed).") from None
        return Reader(manifest, network)
    raise BadWeights("A .keras file needs an installed hemoscope with its `train` extra.")


def _doubts(scan: Scan, manifest: Manifest) -> list[str]:
    doubts = []
    if scan.window is not None:
        doubts.append(
            f"A picture has no Hounsfield units and no spacing: if it was not drawn in {scan.window} HU (level/width), "
            "the result can be wrong, and no area in mm² can be given."
        )
    lost = manifest.preprocess.lost_windows(scan)
    if lost:
        doubts.append(f"The picture's window is narrower than what {manifest.name} was trained on: values are missing.")
    if scan.calibrated and scan.spacing_mm is None:
        doubts.append("The file states no pixel spacing: no area in mm² can be given.")
    return doubts
