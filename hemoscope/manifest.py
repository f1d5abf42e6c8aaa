"""`Manifest`: all that is known of a folder of weights, read from `manifest.json` and checked.

In: a folder `weights/<name>/`. Out: a `NetworkManifest`, and the graph's bytes only after their sha256 has been
compared; or an `EnsembleManifest`, and its members only after theirs has been. `training.export` and
`training.ensemble` are the only writers.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from hemoscope.context_rule import ContextRule
from hemoscope.ensemble import Combination, Ensemble
from hemoscope.errors import BadWeights
from hemoscope.findings import DecidedBy
from hemoscope.labels import CLASSES
from hemoscope.postprocessing import Rule
from hemoscope.preprocessing import Preprocess
from hemoscope.scan_rule import ScanRule

FILE = "manifest.json"
TASKS = ("classification", "segmentation", "classification+segmentation")


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
class Member:
    """One model of an ensemble.

    Attributes:
        name: of its weights folder, beside the ensemble's.
        sha256: of its `manifest.json`, in hexadecimal, when the ensemble was made. A manifest holds its graph's
            sha256 and its rule, so nothing of a member can change unseen.
        weight: its share.
    """

    name: str
    sha256: str
    weight: float


@dataclass(frozen=True)
class Manifest:
    """What is known of every model, be it one network or several.

    Attributes:
        name, version, title, summary: for people.
        task: one of TASKS; a model of the task `classification` gives no mask.
        classes, temperature, bias, decision_low, decision_high, mask_threshold: see `postprocessing.Rule`.
        thresholds_chosen: how and on what, a sentence.
        training_data, metrics: see there.
        config, fold, split_sha256, git_commit, packages, created: how to make it again; `fold` is the one held out,
            None for a model that was trained on all patients.
        parameters: number of weights, of an ensemble all members together.
        licence, intended_use, limits: what it may and may not be used for.
        scan_rule: how whole scans are decided; None for a model without such a rule. Manifests that were written
            before there was one lack the key.
        context_rule: how the slices of whole scans are decided, the same goes for it; without it by `rule`.
    """

    name: str
    version: str
    title: str
    summary: str
    task: str
    classes: tuple[str, ...]
    temperature: float
    bias: tuple[float, ...]
    decision_low: float
    decision_high: float
    mask_threshold: float
    thresholds_chosen: str
    training_data: tuple[TrainingData, ...]
    metrics: tuple[Metric, ...]
    config: str
    fold: int | None
    split_sha256: str
    git_commit: str
    packages: Mapping[str, str]
    created: str
    parameters: int
    licence: str
    intended_use: str
    limits: tuple[str, ...]
    scan_rule: ScanRule | None = field(default=None, kw_only=True)
    context_rule: ContextRule | None = field(default=None, kw_only=True)

    @property
    def gives_mask(self) -> bool:
        return self.task != "classification"

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

    def band(self, decided_by: DecidedBy) -> tuple[float, float]:
        """The abstain band of the rule that decided: from its low end on uncertain, from its high end on hemorrhage."""
        rule = self.scan_rule if decided_by == "scan" and self.scan_rule is not None else self.rule
        return rule.decision_low, rule.decision_high

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary with every field."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`'s form.

        Raises:
            BadWeights: for unknown or missing keys, or values that make no sense.
        """
        known = {one.name for one in fields(cls)}
        needed = {one.name for one in fields(cls) if one.default is MISSING}
        unknown, missing = sorted(set(stored) - known), sorted(needed - set(stored))
        if unknown or missing:
            raise BadWeights(f"The manifest has unknown keys {unknown} and lacks {missing}.")
        try:
            for one in fields(cls):
                if one.type in (str, int) and type(stored[one.name]) is not one.type:
                    raise ValueError(f"{one.name} must be {one.type.__name__}, got {stored[one.name]!r}")
            manifest = cls(**dict(stored) | cls._parsed(stored))
            manifest._check()
            return manifest
        except (TypeError, ValueError, KeyError) as error:
            raise BadWeights(f"The manifest cannot be read: {error}.") from error

    @classmethod
    def _parsed(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that JSON cannot hold as they are."""
        return {
            "classes": tuple(stored["classes"]),
            "bias": tuple(float(value) for value in stored["bias"]),
            "training_data": tuple(TrainingData(**entry) for entry in stored["training_data"]),
            "metrics": tuple(Metric(**entry) for entry in stored["metrics"]),
            "limits": tuple(stored["limits"]),
            "scan_rule": None if stored.get("scan_rule") is None else ScanRule(**stored["scan_rule"]),
            "context_rule": None if stored.get("context_rule") is None else ContextRule(**stored["context_rule"]),
        }

    def _check(self) -> None:
        """Raises ValueError or TypeError for values that make no sense together."""
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, got {self.task!r}")
        if self.fold is not None and type(self.fold) is not int:
            raise ValueError(f"fold must be int or null, got {self.fold!r}")
        _ = self.rule  # its checks are the manifest's


@dataclass(frozen=True)
class NetworkManifest(Manifest):
    """The facts of one exported network.

    Attributes:
        architecture: the network's name; `arguments` are its builder's.
        preprocess: the very one that the training batches were made with.
        graph: file name of the exported network, `sha256` its fingerprint in hexadecimal.
        seed, backend: how to make it again.
    """

    architecture: str
    arguments: Mapping[str, Any]
    preprocess: Preprocess
    graph: str
    sha256: str
    seed: int
    backend: str

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"preprocess": self.preprocess.to_dict()}

    @classmethod
    def _parsed(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        return super()._parsed(stored) | {"preprocess": Preprocess.from_dict(stored["preprocess"])}

    def _check(self) -> None:
        super()._check()
        if Path(self.graph).name != self.graph:
            raise ValueError(f"its graph lies outside its folder: {self.graph!r}")


@dataclass(frozen=True)
class EnsembleManifest(Manifest):
    """The facts of an ensemble: it has no graph of its own, and its rule works on what its members say.

    Attributes:
        members: networks in weights folders beside this one.
        combination: see `ensemble.Ensemble`.
        milliseconds_a_slice: of one processor in the members' networks together, measured when it was made, or None.
    """

    members: tuple[Member, ...]
    combination: Combination
    milliseconds_a_slice: float | None

    @property
    def ensemble(self) -> Ensemble:
        """How the members are combined."""
        return Ensemble(self.combination, tuple(member.weight for member in self.members))

    @property
    def composition(self) -> str:
        """Its members and how they are combined, in words."""
        shown = (
            f"{one.name} ({one.weight:.2f})" if self.combination == "weighted" else one.name for one in self.members
        )
        return f"{self.combination} of {', '.join(shown)}"

    @property
    def cost(self) -> str:
        """What it takes, in words."""
        cost = f"{len(self.members)} networks, {self.parameters:,} parameters together"
        return cost if self.milliseconds_a_slice is None else f"{cost}, {self.milliseconds_a_slice:.0f} ms a slice"

    @classmethod
    def _parsed(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        return super()._parsed(stored) | {"members": tuple(Member(**entry) for entry in stored["members"])}

    def _check(self) -> None:
        super()._check()
        _ = self.ensemble  # its checks too
        names = [member.name for member in self.members]
        if len(set(names)) < len(names) or any(not name or Path(name).name != name for name in names):
            raise ValueError(f"members must be different folders beside the ensemble's, got {names}")
        if self.milliseconds_a_slice is not None and not self.milliseconds_a_slice > 0:
            raise ValueError(f"milliseconds_a_slice must be above 0 or null, got {self.milliseconds_a_slice}")


def read_manifest(folder: Path) -> NetworkManifest | EnsembleManifest:
    """Read and check `folder/manifest.json`: an `EnsembleManifest` where it lists members, else a `NetworkManifest`.

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
    kind: type[NetworkManifest | EnsembleManifest] = EnsembleManifest if "members" in stored else NetworkManifest
    try:
        manifest = kind.from_dict(stored)
    except BadWeights as error:
        raise BadWeights(f"In the weights folder {folder.name}: {error}") from None
    if manifest.name != folder.name:
        raise BadWeights(f"The manifest in {folder.name} is of {manifest.name!r}.")
    return manifest


def read_members(root: Path, ensemble: EnsembleManifest) -> tuple[NetworkManifest, ...]:
    """The members' manifests, after their sha256 has been compared with those that the ensemble was made of.

    Args:
        root: the folder of weights folders.
        ensemble: one of them.

    Raises:
        BadWeights: if a member is missing, is another than the ensemble was made of, or does not fit.
    """
    found = []
    for member in ensemble.members:
        folder = root / member.name
        if not (folder / FILE).is_file():
            raise BadWeights(f"The ensemble {ensemble.name} needs the model {member.name}, which is not installed.")
        if (now := manifest_sha256(folder)) != member.sha256:
            raise BadWeights(
                f"The ensemble {ensemble.name} was made of another {member.name}: the sha256 of its manifest begins "
                f"with {now[:12]}, the ensemble says {member.sha256[:12]}. Get both anew, or make the ensemble again."
            )
        manifest = read_manifest(folder)
        if not isinstance(manifest, NetworkManifest):
            raise BadWeights(f"The ensemble {ensemble.name} has the ensemble {member.name} as a member.")
        found.append(manifest)
    expected = (classes_together(found), task_together(found))
    if expected != (ensemble.classes, ensemble.task):
        raise BadWeights(
            f"The ensemble {ensemble.name} claims {ensemble.task} of {', '.join(ensemble.classes)}; its members give "
            f"{expected[1]} of {', '.join(expected[0])}."
        )
    return tuple(found)


def manifest_sha256(folder: Path) -> str:
    """The sha256 of a weights folder's manifest in hexadecimal: what an ensemble knows a member by."""
    return hashlib.sha256((folder / FILE).read_bytes()).hexdigest()


def task_of(outputs: Collection[str]) -> str:
    """The task of a network that puts out these: `logits` are classification, a `mask` is segmentation."""
    kinds = (("logits", "classification"), ("mask", "segmentation"))
    return "+".join(task for output, task in kinds if output in outputs)


def task_together(members: Collection[Manifest]) -> str:
    """The task of an ensemble: all that one of its members does."""
    return "+".join(task for task in TASKS[:2] if any(task in member.task for member in members))


def classes_together(members: Collection[Manifest]) -> tuple[str, ...]:
    """The classes of an ensemble: those that at least one member assesses."""
    return tuple(name for name in CLASSES if any(name in member.classes for member in members))


def read_graph(folder: Path, manifest: NetworkManifest) -> bytes:
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
