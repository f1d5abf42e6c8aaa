"""`Result`: what a comparison keeps of one configuration or ensemble, as a file that outlives its training.

In: a run's folder after `training.evaluate` and `training.export`. Out: `<name>.json`, from which `results_page` draws.
"""

import csv
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hemoscope.errors import BadData
from hemoscope.manifest import Metric

KEPT_CURVES = ("precision_recall", "findings")


@dataclass(frozen=True)
class Result:
    """One line of the comparison.

    Attributes:
        name, network: of the configuration; an ensemble's network is how it combines.
        members: of an ensemble; empty for one network.
        preparation: what becomes of a slice, in words.
        sets: data sets that it was trained on.
        fold, date: held out; of the evaluation.
        split: `patient`, or `slice` where slices of one patient stand on both sides.
        slices_seen: in all steps of the training, repeats counted.
        minutes: of training, all steps.
        parameters: number of weights.
        milliseconds: median a slice, the exported graph alone on one thread.
        metrics: of the test side.
        curves: by set: `roc` of any, `precision_recall`, `findings` and `pixels` as confusion matrices;
            see `figures.curves`.
        log: by column of the training's log, one value an epoch.
        failure: what the last attempt failed of; empty if it did not. Figures beside it are of an earlier one.
    """

    name: str
    network: str
    members: tuple[str, ...] = ()
    preparation: str = ""
    sets: tuple[str, ...] = ()
    fold: int = 0
    date: str = ""
    split: str = "patient"
    slices_seen: int = 0
    minutes: float = 0.0
    parameters: int = 0
    milliseconds: float | None = None
    metrics: tuple[Metric, ...] = ()
    curves: dict[str, Any] | None = None
    log: dict[str, list[float]] | None = None
    failure: str = ""

    def metric(self, set_name: str, name: str) -> Metric | None:
        """A figure, or None where it was not said."""
        return next((one for one in self.metrics if (one.set, one.name) == (set_name, name)), None)

    def write(self, folder: Path) -> None:
        """Write `<name>.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=None, allow_nan=False, separators=(",", ":"))
        (folder / f"{self.name}.json").write_text(text + "\n", encoding="utf-8")


def read_result(path: Path) -> Result:
    """Read `Result.write`'s file.

    Raises:
        BadData: if it is garbled.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        result = Result(**stored)
        metrics = tuple(Metric(**metric) for metric in stored["metrics"])
        return replace(result, members=tuple(stored["members"]), sets=tuple(stored["sets"]), metrics=metrics)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"The result {path} cannot be read: {error}.") from None


def kept_curves(curves: dict[str, Any]) -> dict[str, Any]:
    """The part of `figures.curves` that the comparison draws."""
    kept = {}
    for set_name, entry in curves.items():
        kept[set_name] = {key: entry[key] for key in KEPT_CURVES if key in entry}
        if "pixels" in entry:
            count = entry["pixels"]
            kept[set_name]["pixels"] = {
                "blood": {"not marked": count["fn"], "marked": count["tp"]},
                "none": {"not marked": count["tn"], "marked": count["fp"]},
            }
        if "any" in entry["roc"]:
            kept[set_name]["roc"] = entry["roc"]["any"]
    return kept


def read_log(path: Path) -> dict[str, list[float]]:
    """A training's `log.csv` by column, without the epoch's number."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else {}) if name != "epoch"}
