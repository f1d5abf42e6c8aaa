"""The one door to inference: names(), load(name) -> Reader, Reader.read(scan) -> Findings.

In: a weights folder's name, then scans. Out: findings. A model is a network or an ensemble of networks; whoever reads
with it need not know which. The networks run in ONNX Runtime; TensorFlow is not needed.
"""

import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np

from hemoscope.context_rule import in_context
from hemoscope.errors import BadScan, BadWeights, UnknownModel
from hemoscope.findings import DecidedBy, Finding, Findings, SliceFindings, Timings
from hemoscope.graph import Network, open_graph
from hemoscope.labels import ANY
from hemoscope.manifest import (
    FILE,
    EnsembleManifest,
    Manifest,
    NetworkManifest,
    read_graph,
    read_manifest,
    read_members,
    task_of,
)
from hemoscope.postprocessing import contradictions, largest_probabilities, slice_findings
from hemoscope.scan import Scan
from hemoscope.scan_rule import FEWEST_SLICES, scan_probabilities

log = logging.getLogger(__name__)

DEFAULT = "reader"
WEIGHTS = Path(__file__).resolve().parent / "weights"
SLICES_AT_MOST = 400  # the findings of one scan are held in memory, about a megabyte a slice of 512 x 512


class Reader(ABC):
    """A model with its rule. `read` may be called from several threads at once."""

    @property
    @abstractmethod
    def manifest(self) -> Manifest:
        """What is known of the model."""

    @abstractmethod
    def read_slice(self, scan: Scan, index: int) -> tuple[SliceFindings, Timings]:
        """Read one slice of a scan, by itself."""

    def marked_slice(self, scan: Scan, index: int) -> tuple[SliceFindings, Timings]:
        """The same with its mask whatever the finding, where the model can give it: the slices beside it may change
        the finding."""
        return self.read_slice(scan, index)

    @abstractmethod
    def misfits(self, scan: Scan) -> Sequence[str]:
        """In what the scan differs from what the model was trained on, in sentences."""

    def read(self, scan: Scan, progress: Callable[[int, int], object] | None = None) -> Findings:
        """Read every slice of a scan.

        Args:
            scan: at most `SLICES_AT_MOST` slices.
            progress: told how many slices of how many are done; what it raises ends the reading.

        Raises:
            BadScan: if the scan has more slices than are read at once.
        """
        if len(scan.hu) > SLICES_AT_MOST:
            raise BadScan(f"The scan has {len(scan.hu)} slices; at most {SLICES_AT_MOST} are read at once.")
        slices: list[SliceFindings] = []
        timings = Timings(0.0, 0.0, 0.0)
        for index in range(len(scan.hu)):
            found, spent = self.marked_slice(scan, index)
            slices.append(replace(found, mask_probability=None))  # a megabyte a slice, and the mask is made
            timings += spent
            if progress is not None:
                progress(index + 1, len(scan.hu))
        whole = len(slices) >= FEWEST_SLICES
        rule, context = (self.manifest.scan_rule, self.manifest.context_rule) if whole else (None, None)
        probabilities = scan_probabilities(rule, slices) if rule else largest_probabilities(slices)
        finding = (rule or self.manifest.rule).decide(probabilities[ANY] or 0.0)
        if context:
            slices = in_context(context, slices)
        suspicious = sum(one.finding != "none" for one in slices)
        slices = [one.without_mask() if finding == "none" else one.shown for one in slices]
        areas_px = [one.area_px for one in slices if one.area_px is not None]
        areas_mm2 = [one.area_mm2 for one in slices if one.area_mm2 is not None]
        decided_by: DecidedBy = "scan" if rule else "slice"
        notes = [*scan.notes, *_doubts(scan, self.manifest.gives_mask), *self.misfits(scan)]
        notes += _decision(len(slices), suspicious, finding, decided_by, context is not None)
        if finding != "none":
            notes += contradictions(slices, probabilities)
        return Findings(
            model=self.manifest.name,
            version=self.manifest.version,
            slices=tuple(slices),
            probabilities=probabilities,
            finding=finding,
            area_px=sum(areas_px) if areas_px else None,
            area_mm2=sum(areas_mm2) if areas_mm2 else None,
            timings=timings,
            notes=tuple(dict.fromkeys(notes)),  # each sentence once
            decided_by=decided_by,
            band=self.manifest.band(decided_by),
        )


class NetworkReader(Reader):
    """One network with its preprocessing."""

    def __init__(self, manifest: NetworkManifest, network: Network) -> None:
        """Take a network and run it once, to warm it up.

        Raises:
            BadWeights: if its outputs are not those of the manifest's task.
        """
        self._manifest = manifest
        self._network = network
        # One reading at a time: threads that read at once are no faster together and take their memory each.
        self._lock = threading.Lock()
        size, channels = manifest.preprocess.size, manifest.preprocess.channels
        outputs = network(np.zeros((1, size, size, channels), np.float32))
        if task_of(outputs) != manifest.task:
            raise BadWeights(
                f"The network of {manifest.name} puts out {', '.join(sorted(outputs))}, which is not {manifest.task}."
            )

    @property
    def manifest(self) -> NetworkManifest:
        return self._manifest

    def read_slice(self, scan: Scan, index: int) -> tuple[SliceFindings, Timings]:
        found, spent = self.marked_slice(scan, index)
        return found.shown, spent

    def marked_slice(self, scan: Scan, index: int) -> tuple[SliceFindings, Timings]:
        began = time.perf_counter()
        tensor, placement = self.manifest.preprocess.tensor(scan, index)
        prepared = time.perf_counter()
        with self._lock:
            entered = time.perf_counter()
            outputs = {name: values[0] for name, values in self._network(tensor[None]).items()}
        answered = time.perf_counter()
        found = slice_findings(outputs, placement, self.manifest.rule, scan.spacing_mm)
        return found, Timings(prepared - began, answered - entered, time.perf_counter() - answered)

    def misfits(self, scan: Scan) -> Sequence[str]:
        return self.manifest.preprocess.misfits(scan, self.manifest.name)


class EnsembleReader(Reader):
    """Several networks that read each slice one after the other, and one answer."""

    def __init__(self, manifest: EnsembleManifest, members: Sequence[NetworkReader]) -> None:
        self._manifest = manifest
        self._members = tuple(members)

    @property
    def manifest(self) -> EnsembleManifest:
        return self._manifest

    def read_slice(self, scan: Scan, index: int) -> tuple[SliceFindings, Timings]:
        found, spent = self.marked_slice(scan, index)
        return found.shown, spent

    def marked_slice(self, scan: Scan, index: int) -> tuple[SliceFindings, Timings]:
        readings = [member.read_slice(scan, index) for member in self._members]
        began = time.perf_counter()
        slices = [found for found, _ in readings]
        combined = self.manifest.ensemble.findings(slices, self.manifest.rule, scan.spacing_mm)
        timings = Timings(0.0, 0.0, time.perf_counter() - began)
        for _, spent in readings:
            timings += spent
        return combined, timings

    def misfits(self, scan: Scan) -> Sequence[str]:
        return [sentence for member in self._members for sentence in member.misfits(scan)]


def names(folder: Path | None = None) -> tuple[str, ...]:
    """The names of the weights folders, sorted; `folder` is HEMOSCOPE_WEIGHTS or `weights/` unless given."""
    root = folder or _root()
    return tuple(sorted(path.parent.name for path in root.glob(f"*/{FILE}")))


def manifests(
    folder: Path | None = None, report: Callable[[str], object] = log.warning
) -> tuple[NetworkManifest | EnsembleManifest, ...]:
    """The manifests of all weights folders; no graph is loaded, and no ensemble's members are checked.

    Args:
        folder: HEMOSCOPE_WEIGHTS or `weights/` unless given.
        report: told of each folder whose manifest cannot be read, in a sentence; the others are given all the same.
    """
    root = folder or _root()
    found = []
    for name in names(root):
        try:
            found.append(read_manifest(root / name))
        except BadWeights as error:
            report(str(error))
    return tuple(found)


def load(name: str = DEFAULT) -> Reader:
    """The reader of that name, loaded once and shared.

    Args:
        name: a weights folder's name, or, where the `train` extra is installed, the path of a training's `.keras`
            file with its `preprocess.json` beside it.

    Raises:
        UnknownModel: if there is no such folder or file; the message lists the names.
        BadWeights: if the folder is incomplete or was changed, or a member of an ensemble is.
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
            if isinstance(manifest, EnsembleManifest):
                members = [_load_network(root, member) for member in read_members(root, manifest)]
                _readers[root, name] = EnsembleReader(manifest, members)
            else:
                _readers[root, name] = _load_network(root, manifest)
        return _readers[root, name]


_readers: dict[tuple[Path, str], Reader] = {}
_networks: dict[tuple[Path, str], NetworkReader] = {}
_loading = threading.Lock()


def _root() -> Path:
    return Path(os.environ.get("HEMOSCOPE_WEIGHTS") or WEIGHTS)


def _load_network(root: Path, manifest: NetworkManifest) -> NetworkReader:
    """The network, loaded once: on its own and as a member of ensembles it is the same one."""
    key = root, manifest.name
    if key not in _networks:
        graph = read_graph(root / manifest.name, manifest)
        _networks[key] = NetworkReader(manifest, open_graph(graph, manifest.name))
    return _networks[key]


def _load_keras(path: Path) -> Reader:
    if not path.is_file():
        raise UnknownModel(f"There is no file {path}. A model is a .keras file or one of: {', '.join(names())}.")
    # The training package offers the loader under this name; serving does not import it and works without it.
    for entry in entry_points(group="hemoscope.loaders", name="keras"):
        try:
            manifest, network = entry.load()(path)
        except ImportError as error:
            raise BadWeights(f"A .keras file needs the `train` extra ({error.name} is not installed).") from None
        return NetworkReader(manifest, network)
    raise BadWeights("A .keras file needs an installed hemoscope with its `train` extra.")


def _decision(slices: int, suspicious: int, finding: Finding, decided_by: DecidedBy, in_context: bool) -> list[str]:
    """Which rules decided, and where they disagree, in sentences; of a single slice there is nothing to say.

    Args:
        slices: in the scan.
        suspicious: of these.
        finding: of the scan.
        decided_by: see `Findings`.
        in_context: whether the slices were judged beside their neighbours.
    """
    if slices < 2:
        return []
    if decided_by == "slice":
        said = [f"The scan was decided by the likeliest of its {slices} slices, with the rule for single slices."]
        return [*said, "Each slice was judged beside its neighbours."] if in_context else said
    of_slices = "beside its neighbours" if in_context else "by that for single ones"
    said = [f"The scan was decided by the rule for whole scans, over {slices} slices; each slice {of_slices}."]
    if finding == "none" and suspicious:
        said.append(
            f"The scan as a whole was decided none, but one by one not all slices were ({suspicious} of {slices}): "
            "look at these. They are shown without a mask."
        )
    if finding != "none" and not suspicious:
        said.append(
            f"The scan as a whole was decided {finding}, but one by one all slices were decided none: look at the "
            "likeliest. No mask is shown."
        )
    return said


def _doubts(scan: Scan, gives_mask: bool) -> list[str]:
    """What no model can know of the scan; of areas only those speak that give one."""
    doubts = []
    if scan.window is not None:
        no_area = ", and no area in mm² can be given" if gives_mask else ""
        doubts.append(
            f"A picture has no Hounsfield units and no spacing: if it was not drawn in {scan.window} HU (level/width), "
            f"the result can be wrong{no_area}."
        )
    if gives_mask and scan.calibrated and scan.spacing_mm is None:
        doubts.append("The file states no pixel spacing: no area in mm² can be given.")
    return doubts
