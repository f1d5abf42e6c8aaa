"""`Manifest`: all that is known of a folder of weights, read from `manifest.json` and checked.

In: a folder `weights/<name>/`. Out: a `Manifest`; the graph's bytes only after their sha256 has been compared.
`training.export` is the only writer.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from hemoscope.errors import BadWeights
from hemoscope.postprocessing import Rule
from hemoscope.preprocessing import Preprocess

FILE = "manifest.json"


@dataclass(frozen=True)
class TrainingData:
    """A data set that the weights were trained on: only the slices and patients of the training side."""

    set: str
    licence: str
    citation: str
    patients: int
    slices: int


@dataclass(frozen=True)
class Metric:
    """One figure: on which set, over how many entries, with its 95 % interval over patients."""

    set: str
    name: str
    n: int
    positives: int | None
    value: float
    low: float | None
    high: float | None
    note: str = ""


@dataclass(frozen=True)
class Manifest:
    """A weights folder's facts.

    Attributes:
        name, version, title, summary: for people.
        task: `classification+segmentation` or `segmentation`.
        architecture: the network's name; `arguments` are its builder's.
        preprocess: the very one that the training batches were made with.
        classes, temperature, bias, decision_low, decision_high, mask_threshold: see `postprocessing.Rule`.
        thresholds_chosen: how and on what, a sentence.
        training_data, metrics: see there.
        graph: file name of the exported network, `sha256` its fingerprint in hexadecimal.
        config, seed, fold, split_sha256, git_commit, backend, packages, created: how to make it again.
        parameters: number of weights.
        licence, intended_use, limits: what it may and may not be used for.
    """

    name: str
    version: str
    title: str
    summary: str
    task: str
    architecture: str
    arguments: Mapping[str, Any]
    preprocess: Preprocess
    classes: tuple[str, ...]
    temperature: float
    bias: tuple[float, ...]
    decision_low: float
    decision_high: float
    mask_threshold: float
    thresholds_chosen: str
    training_data: tuple[TrainingData, ...]
    metrics: tuple[Metric, ...]
    graph: str
    sha256: str
    config: str
    seed: int
    fold: int
    split_sha256: str
    git_commit: str
    backend: str
    packages: Mapping[str, str]
    created: str
    parameters: int
    licence: str
    intended_use: str
    limits: tuple[str, ...]

    @property
    def rule(self) -> Rule:
        """Calibration and thresholds."""
        return Rule(
            classes=self.classes,
            temperature=self.temperature,
            bias=self.bias,
            decision_low=self.decision_low,
            decision_high=self.decision_high,
            mask_threshold=self.mask_threshold,
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary with every field."""
        return asdict(self) | {"preprocess": self.preprocess.to_dict()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`'s form.

        Raises:
            BadWeights: for unknown or missing keys, or values that make no sense.
        """
        known = {field.name for field in fields(cls)}
        if set(stored) != known:
            unknown, missing = sorted(set(stored) - known), sorted(known - set(stored))
            raise BadWeights(f"The manifest has unknown keys {unknown} and lacks {missing}.")
        try:
            for field in fields(cls):
                if field.type in (str, int) and type(stored[field.name]) is not field.type:
                    raise ValueError(f"{field.name} must be {field.type.__name__}, got {stored[field.name]!r}")
            values = dict(stored) | {
                "preprocess": Preprocess.from_dict(stored["preprocess"]),
                "classes": tuple(stored["classes"]),
                "bias": tuple(float(value) for value in stored["bias"]),
                "training_data": tuple(TrainingData(**entry) for entry in stored["training_data"]),
                "metrics": tuple(Metric(**entry) for entry in stored["metrics"]),
                "limits": tuple(stored["limits"]),
            }
            manifest = cls(**values)
            _ = manifest.rule  # its checks are the manifest's
            return manifest
        except (TypeError, ValueError, KeyError) as error:
            raise BadWeights(f"The manifest cannot be read: {error}.") from error


def read_manifest(folder: Path) -> Manifest:
    """Read and check `folder/manifest.json`.

    Raises:
        BadWeights: if it is missing, malformed, or names another folder.
    """
    try:
        stored = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadWeights(f"The weights folder {folder.name} has no {FILE}.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadWeights(f"The manifest of {folder.name} is not readable JSON: {error}.") from None
    if not isinstance(stored, dict):
        raise BadWeights(f"The manifest of {folder.name} is not a JSON object.")
    manifest = Manifest.from_dict(stored)
    if manifest.name != folder.name:
        raise BadWeights(f"The manifest in {folder.name} is of {manifest.name!r}.")
    if Path(manifest.graph).name != manifest.graph:
        raise BadWeights(f"The manifest of {folder.name} names a graph outside its folder: {manifest.graph!r}.")
    return manifest


def read_graph(folder: Path, manifest: Manifest) -> bytes:
    """The exported network's bytes, after their sha256 has been compared with the manifest's.

    Raises:
        BadWeights: if the file is missing or differs.
    """
    try:
        graph = (folder / manifest.graph).read_bytes()
    except OSError:
        raise BadWeights(f"The weights folder {folder.name} has no {manifest.graph}.") from None
    found = hashlib.sha256(graph).hexdigest()
    if found != manifest.sha256:
        raise BadWeights(
            f"{folder.name}/{manifest.graph} is not the file that was published: its sha256 begins with {found[:12]}, "
            f"the manifest says {manifest.sha256[:12]}. Get the folder anew."
        )
    return graph
