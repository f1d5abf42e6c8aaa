"""From exported members to a folder that serving reads, with networks that a hand can follow.

The data are slices of the phantom. What is grey as blood is a member's mask, and the logit of `any` grows with it.
"""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import model
from hemoscope.errors import BadData, BadWeights
from hemoscope.labels import CLASSES
from hemoscope.manifest import FILE, EnsembleManifest, NetworkManifest, TrainingData, read_manifest
from hemoscope.metrics import Counts
from hemoscope.preprocessing import Preprocess
from tests.training.phantom_set import PATIENTS, WINDOW, write_ct_ich
from training.cards import SOURCES
from training.configs import CC_BY, CONFIGS, RESEARCH
from training.datasets import load_samples
from training.ensemble import main, make_ensemble, open_members, weigh
from training.ensembles import ENSEMBLES, EnsembleConfig, strictest_licence
from training.evaluate import read_evaluation
from training.folds import Folds

FOLD = 1
# name -> the side of its slices, its outputs, and how steeply its logit of `any` grows with what it marks
MEMBERS = {
    "sharp": (96, ("mask", "logits", "cams"), 60.0),
    "marks": (64, ("mask",), 0.0),
    "blurry": (48, ("logits", "cams"), 20.0),
    "wrong": (48, ("logits", "cams"), -20.0),
}
TASKS = {3: "classification+segmentation", 2: "classification", 1: "segmentation"}


def graph_of(size: int, outputs: tuple[str, ...], slope: float) -> bytes:
    """mask = sigmoid(4 - 80 |x - centre|) of the 3 x 3 mean; logits = slope * its mean + offset; cams = its mean."""
    constants = {
        "centre": np.array((65 - WINDOW.lowest_hu) / WINDOW.width, np.float32),
        "steep": np.array(-80, np.float32),
        "top": np.array(4, np.float32),
        "axes": np.array([1, 2], np.int64),
        "slope": np.array([[slope, 0, 0, 0, 0, 0]], np.float32),
        "offset": np.array([-2, -3, -2, -3, -3, -3], np.float32),
        "ones": np.ones((1, 2, 2, 6), np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["channels_first"], ["pooled"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Transpose", ["pooled"], ["mean3"], perm=[0, 2, 3, 1]),
        helper.make_node("Sub", ["mean3", "centre"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["distance"]),
        helper.make_node("Mul", ["distance", "steep"], ["fall"]),
        helper.make_node("Add", ["fall", "top"], ["pixel_logits"]),
        helper.make_node("Sigmoid", ["pixel_logits"], ["mask"]),
        helper.make_node("ReduceMean", ["mask", "axes"], ["share"], keepdims=0),
        helper.make_node("MatMul", ["share", "slope"], ["rise"]),
        helper.make_node("Add", ["rise", "offset"], ["logits"]),
        helper.make_node("ReduceMean", ["mask", "axes"], ["level"], keepdims=1),
        helper.make_node("Mul", ["level", "ones"], ["cams"]),
    ]
    shapes = {"mask": [1, size, size, 1], "logits": [1, 6], "cams": [1, 2, 2, 6]}
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, size, size, 1])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def write_member(weights: Path, name: str, split_sha256: str) -> None:
    size, outputs, slope = MEMBERS[name]
    graph = graph_of(size, outputs, slope)
    classes = CLASSES if "logits" in outputs else ("any",)
    source = SOURCES["ct_ich"]
    manifest = NetworkManifest(
        name=name,
        version="1.0.0",
        title=name,
        summary="",
        task=TASKS[len(outputs)],
        classes=classes,
        temperature=1.0,
        bias=(0.0,) * len(classes),
        decision_low=0.25,
        decision_high=0.75,
        mask_threshold=0.5,
        thresholds_chosen="By hand.",
        training_data=(TrainingData(source.title, source.licence, source.citation, 12, 10 * size),),
        metrics=(),
        config=name,
        fold=FOLD,
        split_sha256=split_sha256,
        git_commit="",
        packages={},
        created="2026-01-02",
        parameters=size,
        licence=RESEARCH if name == "marks" else CC_BY,
        intended_use="Not a medical device.",
        limits=("Phantoms only.", f"Sees {size} px."),
        architecture="hand",
        arguments={},
        preprocess=Preprocess(size, (WINDOW,)),
        graph="network.onnx",
        sha256=hashlib.sha256(graph).hexdigest(),
        seed=1,
        backend="",
    )
    folder = weights / name
    folder.mkdir(parents=True)
    (folder / "network.onnx").write_bytes(graph)
    (folder / FILE).write_text(json.dumps(manifest.to_dict()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data/`, `runs/folds.csv`, the members in `weights/`, and of them the ensemble `all_weighted`."""
    root = tmp_path_factory.mktemp("ensemble")
    write_ct_ich(root / "data" / "ct_ich")
    # Of every ten patients one stands in the validation and two in the test side; bleeding ones are the odd ones.
    places = {f"ct_ich/{patient}": (FOLD if patient % 5 in (1, 4) else 0, patient // 5) for patient in range(PATIENTS)}
    folds = Folds(places)
    folds.write(root / "runs" / "folds.csv")
    for name in MEMBERS:
        write_member(root / "weights", name, folds.sha256)
    with pytest.MonkeyPatch.context() as patch:
        config = EnsembleConfig("All of them", ("sharp", "marks", "blurry"), "weighted")
        patch.setitem(ENSEMBLES, "all_weighted", config)
        places = [f"--{part}={root / part}" for part in ("data", "runs", "weights")]
        done = CliRunner().invoke(main, ["all_weighted", "--fold", str(FOLD), *places, "--release", "9.8.7"])
    assert done.exit_code == 0, done.output
    return root


@pytest.fixture
def manifest(folder: Path) -> EnsembleManifest:
    found = read_manifest(folder / "weights" / "all_weighted")
    assert isinstance(found, EnsembleManifest)
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def make(folder: Path, monkeypatch: pytest.MonkeyPatch, *members: str, combination: str = "average") -> Path:
    monkeypatch.setitem(ENSEMBLES, "tried", EnsembleConfig("Tried", members, combination))
    return make_ensemble("tried", FOLD, folder / "data", folder / "runs", folder / "weights", "1.0.0")


def change(folder: Path, tmp_path: Path, name: str, **changes: object) -> Path:
    """A copy of the folder's weights in which a member's manifest is changed; data and runs are linked."""
    for part in ("data", "runs"):
        (tmp_path / part).symlink_to(folder / part)
    for path in (folder / "weights").glob("*/*"):
        copy = tmp_path / "weights" / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    stored = json.loads((tmp_path / "weights" / name / FILE).read_text())
    (tmp_path / "weights" / name / FILE).write_text(json.dumps(stored | changes))
    return tmp_path


def test_the_manifest_says_what_it_is_made_of(manifest: EnsembleManifest) -> None:
    assert (manifest.name, manifest.version, manifest.title, manifest.fold) == (
        "all_weighted",
        "9.8.7",
        "All of them",
        1,
    )
    assert (manifest.task, manifest.classes) == ("classification+segmentation", CLASSES)
    assert [member.name for member in manifest.members] == ["sharp", "marks", "blurry"]
    assert manifest.parameters == 96 + 64 + 48
    assert manifest.milliseconds_a_slice > 0
    assert manifest.licence == RESEARCH  # that of `marks`, which allows least
    assert manifest.training_data[0].slices == 960  # the member that saw most
    assert manifest.limits == ("Phantoms only.", "sharp: Sees 96 px.", "marks: Sees 64 px.", "blurry: Sees 48 px.")


def test_weights_follow_the_validation_auc_above_chance(folder: Path, manifest: EnsembleManifest) -> None:
    readers = [model.NetworkReader(one.manifest, one.network) for one in members_of(folder, "sharp", "marks", "blurry")]
    positives, negatives = [], []
    samples = load_samples(folder / "data", ["ct_ich"])
    for sample in Folds.read(folder / "runs" / "folds.csv").split(samples, FOLD).validation:
        said = [reader.read(sample.scan()).probabilities["any"] for reader in readers]
        (positives if sample.labels[0] == 1 else negatives).append(said)
    # The share of pairs in which the slice with blood has the higher probability; a tie is half.
    better = np.array(positives)[:, None] - np.array(negatives)[None]
    above = ((better > 0) + (better == 0) / 2).mean((0, 1)) - 0.5
    assert [member.weight for member in manifest.members] == pytest.approx(above / above.sum())
    assert "AUC of any lies above 0.5 on the validation patients: sharp 0." in manifest.thresholds_chosen
    assert "On the validation patients of fold 1 (3 patients" in manifest.thresholds_chosen


def members_of(folder: Path, *names: str):
    config = EnsembleConfig("", names, "average")
    return open_members(config, FOLD, Folds.read(folder / "runs" / "folds.csv").sha256, folder / "weights")


def test_the_figures_are_of_what_serving_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ensemble as it loads by name, file by file, against the table and the pooled Dice."""
    monkeypatch.setenv("HEMOSCOPE_WEIGHTS", str(folder / "weights"))
    reader, run = model.load("all_weighted"), folder / "runs" / "all_weighted" / f"fold_{FOLD}"
    samples = {sample.key: sample for sample in load_samples(folder / "data", ["ct_ich"])}
    pooled, rows = Counts(), rows_of(run / "test.csv")
    assert len(rows) == 24  # eight patients of three slices
    for row in rows:
        sample = samples[row["key"]]
        found = reader.read(sample.scan()).slices[0]
        assert row["finding"] == found.finding
        for name in CLASSES:
            assert float(row[f"probability_{name}"]) == pytest.approx(found.probabilities[name], rel=1e-4)
        if row["pixels_tp"]:
            counts = Counts.of(sample.target(*found.mask.shape) == 1, found.mask)
            assert [int(row[f"pixels_{name}"]) for name in ("tp", "fp", "fn", "tn")] == list(vars(counts).values())
            pooled += counts
    metrics = {metric.name: metric.value for metric in read_evaluation(run).metrics}
    assert metrics["Dice pooled"] == pytest.approx(pooled.dice)
    assert pooled.dice > 0
    assert reader.manifest.metrics == read_evaluation(run).metrics
    assert {path.name for path in run.iterdir()} >= {"rule.json", "validation.csv", "validation.npz", "report.html"}


def test_the_card_states_members_cost_licence_and_figures(folder: Path) -> None:
    card = (folder / "weights" / "all_weighted" / "README.md").read_text("utf-8")
    for stated in (
        "`sharp` (weight 0.", "3 networks, 208 parameters together", f"Licence of the weights: {RESEARCH}",
        "| ct_ich | Dice pooled |", "Hssayeni", "Not a medical device", "- blurry: Sees 48 px.",
        f"`python -m training.ensemble all_weighted --fold {FOLD}`",
    ):  # fmt: skip
        assert stated in card


@pytest.mark.parametrize("combination", ["average", "vote"])
def test_classifiers_alone_give_no_mask_and_equal_weights(
    folder: Path, monkeypatch, tmp_path: Path, combination
) -> None:
    place = change(folder, tmp_path, "sharp")
    made = read_manifest(make(place, monkeypatch, "blurry", "wrong", combination=combination))
    assert (made.task, made.gives_mask) == ("classification", False)
    assert [member.weight for member in made.members] == [0.5, 0.5]
    assert not any("Dice" in metric.name for metric in made.metrics)
    monkeypatch.setenv("HEMOSCOPE_WEIGHTS", str(place / "weights"))
    found = model.load("tried").read(load_samples(folder / "data", ["ct_ich"])[0].scan())
    assert (found.slices[0].mask, found.area_px) == (None, None)


def test_a_member_that_changed_since_is_refused_by_serving(folder: Path, tmp_path: Path, monkeypatch) -> None:
    place = change(folder, tmp_path, "blurry", temperature=2.0)
    monkeypatch.setenv("HEMOSCOPE_WEIGHTS", str(place / "weights"))
    with pytest.raises(BadWeights, match="made of another blurry"):
        model.load("all_weighted")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fold": 3}, "blurry was trained on fold 3, the ensemble is to be of fold 1"),
        ({"split_sha256": "0" * 64}, "blurry was trained on another split .*may stand on the test side"),
        ({"licence": "Ask us"}, "'Ask us'"),
    ],
)
def test_members_that_do_not_belong_together_are_refused(folder, tmp_path, monkeypatch, changes, message) -> None:
    place = change(folder, tmp_path, "blurry", **changes)
    with pytest.raises(BadData, match=message):
        make(place, monkeypatch, "sharp", "blurry")
    assert not (place / "weights" / "tried").exists()


def test_a_missing_member_is_answered_with_the_command(folder: Path, monkeypatch) -> None:
    with pytest.raises(BadData, match=r"no model second .*python -m training.export second --fold 1"):
        make(folder, monkeypatch, "sharp", "second")


def test_an_ensemble_is_no_member(folder: Path, monkeypatch) -> None:
    with pytest.raises(BadData, match="all_weighted is an ensemble itself"):
        make(folder, monkeypatch, "sharp", "all_weighted")


def test_a_member_no_better_than_chance_has_no_weight(folder: Path) -> None:
    samples = load_samples(folder / "data", ["ct_ich"])
    with pytest.raises(BadData, match=r"wrong is no better than chance .*AUC of any 0\.\d+"):
        weigh(members_of(folder, "sharp", "wrong"), "weighted", samples[:30])


def test_an_unknown_ensemble_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"There is no ensemble 'nine'\. The ensembles are: papers_average, papers_vote"):
        make_ensemble("nine", 0, tmp_path, tmp_path, tmp_path, "1")


def test_the_strictest_licence_is_the_one_that_allows_least() -> None:
    assert strictest_licence([CC_BY, RESEARCH, CC_BY]) == RESEARCH
    assert strictest_licence([CC_BY, CC_BY]) == CC_BY
    assert strictest_licence(["Ask us", "Ask us"]) == "Ask us"


def test_no_ensemble_has_the_name_of_a_training() -> None:
    assert not set(ENSEMBLES) & set(CONFIGS)
