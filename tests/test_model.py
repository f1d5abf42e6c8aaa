"""The door to inference, with a network that a hand can follow: the mask is the picture, `any` its mean."""

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from math import exp, log

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import model
from hemoscope.errors import BadScan, BadWeights, UnknownModel
from hemoscope.labels import CLASSES
from hemoscope.manifest import FILE, EnsembleManifest, Member, NetworkManifest, manifest_sha256
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN, Scan, Window


def graph_bytes(*names):
    """mask = the picture (0..1); logits = 8 * its mean - 4 for `any` and -2 for the others; cams = its mean.

    Of these outputs the graph has those that are named, or all.
    """
    shapes = {"mask": [1, 32, 32, 1], "logits": [1, 6], "cams": [1, 2, 2, 6]}
    constants = {
        "axes": np.array([1, 2], np.int64),
        "slope": np.array([[8, 0, 0, 0, 0, 0]], np.float32),
        "offset": np.array([-4, -2, -2, -2, -2, -2], np.float32),
        "ones": np.ones((1, 2, 2, 6), np.float32),
    }
    nodes = [
        helper.make_node("Identity", ["image"], ["mask"]),
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "slope"], ["rise"]),
        helper.make_node("Add", ["rise", "offset"], ["logits"]),
        helper.make_node("ReduceMean", ["image", "axes"], ["level"], keepdims=1),
        helper.make_node("Mul", ["level", "ones"], ["cams"]),
    ]
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 32, 32, 1])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in names or shapes],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def write_weights(root, name, graph=None, **changes):
    graph = graph_bytes() if graph is None else graph
    manifest = NetworkManifest(
        name=name,
        version="1.2.3",
        title="By hand",
        summary="",
        task="classification+segmentation",
        architecture="hand",
        arguments={},
        preprocess=Preprocess(32),
        classes=CLASSES,
        temperature=1.0,
        bias=(0.0,) * 6,
        decision_low=0.25,
        decision_high=0.75,
        mask_threshold=0.5,
        thresholds_chosen="",
        training_data=(),
        metrics=(),
        graph="network.onnx",
        sha256=hashlib.sha256(graph).hexdigest(),
        config="hand",
        seed=1,
        fold=0,
        split_sha256="",
        git_commit="",
        backend="",
        packages={},
        created="",
        parameters=12,
        licence="",
        intended_use="",
        limits=(),
    )
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "network.onnx").write_bytes(graph)
    (folder / FILE).write_text(json.dumps(manifest.to_dict() | changes))


@pytest.fixture
def weights(tmp_path, monkeypatch):
    root = tmp_path / "weights"
    write_weights(root, "hand")
    write_weights(root, "another")
    monkeypatch.setenv("HEMOSCOPE_WEIGHTS", str(root))
    return root


def scan_of(*levels_hu, **facts):
    planes = np.stack([np.full((32, 32), hu, np.float32) for hu in levels_hu])
    return Scan(planes, **({"calibrated": True, "spacing_mm": (0.5, 0.5)} | facts))


def test_a_scan_is_read_by_hand(weights):
    found = model.load("hand").read(scan_of(0, 40, 72))
    # 0, 40 and 72 HU are 0, 0.5 and 0.9 of the brain window (128 and 230 of 255); logits 8 * that - 4.
    expected = [1 / (1 + exp(4)), 1 / (1 + exp(4 - 8 * 128 / 255)), 1 / (1 + exp(4 - 8 * 230 / 255))]
    assert [one.probabilities["any"] for one in found.slices] == pytest.approx(expected, abs=1e-5)
    assert [one.finding for one in found.slices] == ["none", "uncertain", "hemorrhage"]
    assert [one.area_px for one in found.slices] == [0, 1024, 1024]
    assert found.probabilities["any"] == pytest.approx(expected[2], abs=1e-5)
    assert found.probabilities["subdural"] == pytest.approx(1 / (1 + exp(2)), abs=1e-5)
    assert found.finding == "hemorrhage"
    assert (found.decided_by, found.band) == ("slice", (0.25, 0.75))
    assert (found.area_px, found.area_mm2) == (2048, 512)
    assert (found.model, found.version) == ("hand", "1.2.3")
    assert (found.slices[2].heat["any"] == 1).all()
    assert found.notes == ("The scan was decided by the likeliest of its 3 slices, with the rule for single slices.",)


# The graph says logits of -4, 8 * 128 / 255 - 4 = 0.016 and 8 * 230 / 255 - 4 = 3.216 for 0, 40 and 72 HU.
SCAN_RULE = {"neighbours": 1, "temperature": 2.0, "bias": -3.0, "decision_low": 0.3, "decision_high": 0.5, "chosen": ""}


@pytest.mark.parametrize(
    ("levels_hu", "any_logit", "finding"),
    [
        ((0, 40, 72), (3.216 - 3) / 2, "hemorrhage"),  # 0.53
        ((0, 40, 70), (2.996 - 3) / 2, "uncertain"),  # 223 of 255: just below a half
        ((0, 40, 40, 0), (0.016 - 3) / 2, "none"),  # 0.18
    ],
)
def test_three_slices_and_more_are_decided_by_the_rule_for_scans(weights, levels_hu, any_logit, finding):
    write_weights(weights, "whole", scan_rule=SCAN_RULE)
    found = model.load("whole").read(scan_of(*levels_hu))
    assert found.probabilities["any"] == pytest.approx(1 / (1 + exp(-any_logit)), abs=1e-3)
    assert found.probabilities["subdural"] == pytest.approx(1 / (1 + exp(2.5)), abs=1e-5)
    assert (found.finding, found.decided_by) == (finding, "scan")
    assert found.notes[0].startswith(f"The scan was decided by the rule for whole scans, over {len(levels_hu)} slices")


def test_a_scan_without_a_finding_has_no_mask_and_names_the_slices_that_are_suspicious(weights):
    write_weights(weights, "whole", scan_rule=SCAN_RULE)
    found = model.load("whole").read(scan_of(0, 40, 40, 0))
    assert [one.finding for one in found.slices] == ["none", "uncertain", "uncertain", "none"]
    assert [one.area_px for one in found.slices] == [0, 0, 0, 0]
    assert (found.area_px, found.area_mm2) == (0, 0)
    assert not any(one.mask.any() for one in found.slices)
    assert "one by one not all slices were (2 of 4): look at these." in found.notes[1]


# Half of each slice's logit and a quarter of each neighbour's; at the ends two thirds and one third.
CONTEXT_RULE = {"share": 0.5, "temperature": 1.0, "bias": 0.0, "decision_low": 0.3, "decision_high": 0.6, "chosen": ""}


def test_slices_of_a_scan_are_judged_beside_their_neighbours_and_marked_by_that(weights):
    lenient = SCAN_RULE | {"decision_low": 0.1, "decision_high": 0.15}
    write_weights(weights, "beside", scan_rule=lenient, context_rule=CONTEXT_RULE)
    found = model.load("beside").read(scan_of(0, 72, 72, 0, 0, 72, 0))
    # Logits -4 and 3.216: (2 * -4 + 3.216) / 3 = -1.6, (-4 + 3 * 3.216) / 4 = 1.41, ..., a lone one -0.39.
    said = [one.probabilities["any"] for one in found.slices]
    assert said[:2] == pytest.approx([1 / (1 + exp(1.595)), 1 / (1 + exp(-1.412))], abs=1e-3)
    assert [one.finding for one in found.slices] == [
        "none",
        "hemorrhage",
        "hemorrhage",
        *["none"] * 2,
        "uncertain",
        "none",
    ]
    assert [one.area_px for one in found.slices] == [0, 1024, 1024, 0, 0, 1024, 0]
    assert found.notes[0].endswith("over 7 slices; each slice beside its neighbours.")


def test_a_slice_that_only_its_neighbours_give_away_is_marked(weights):
    # 50 HU is 159 of 255: a logit of 0.988, 0.73. By the strict rule of single slices that is none.
    write_weights(weights, "beside", decision_low=0.75, scan_rule=SCAN_RULE, context_rule=CONTEXT_RULE)
    reader, faint = model.load("beside"), 50
    (alone,), (_, beside, _) = reader.read(scan_of(faint)).slices, reader.read(scan_of(72, faint, 72)).slices
    assert (alone.finding, alone.area_px) == ("none", 0)
    assert (beside.finding, beside.area_px) == ("hemorrhage", 1024)


def test_a_scan_whose_slices_are_all_decided_none_says_where_to_look(weights):
    write_weights(
        weights, "beside", scan_rule=SCAN_RULE, context_rule=CONTEXT_RULE | {"decision_low": 0.9, "decision_high": 0.95}
    )
    found = model.load("beside").read(scan_of(0, 40, 72))
    assert (found.finding, found.area_px) == ("hemorrhage", 0)
    assert "decided hemorrhage, but one by one all slices were decided none: look at the likeliest." in found.notes[1]


@pytest.mark.parametrize("levels_hu", [(72,), (72, 0)])
def test_one_slice_and_two_are_not_judged_beside_neighbours(weights, levels_hu):
    write_weights(weights, "beside", scan_rule=SCAN_RULE, context_rule=CONTEXT_RULE)
    beside, plain = model.load("beside").read(scan_of(*levels_hu)), model.load("hand").read(scan_of(*levels_hu))
    assert [one.probabilities for one in beside.slices] == [one.probabilities for one in plain.slices]


@pytest.mark.parametrize("levels_hu", [(40,), (40, 40)])
def test_one_slice_and_two_are_decided_by_the_rule_for_slices(weights, levels_hu):
    write_weights(weights, "whole", scan_rule=SCAN_RULE)
    whole, plain = model.load("whole").read(scan_of(*levels_hu)), model.load("hand").read(scan_of(*levels_hu))
    assert (whole.finding, whole.decided_by) == ("uncertain", "slice")
    assert (whole.probabilities, whole.area_px, whole.notes) == (plain.probabilities, plain.area_px, plain.notes)


def test_timings_are_measured_and_add_up(weights):
    timings = model.load("hand").read(scan_of(40)).timings
    assert min(timings.preprocess, timings.network, timings.postprocess) > 0
    assert timings.total == pytest.approx(timings.preprocess + timings.network + timings.postprocess)


def test_names_are_sorted_and_need_a_manifest(weights):
    (weights / "notes").mkdir()
    (weights / "README.md").write_text("")
    assert model.names() == model.names(weights) == ("another", "hand")


def test_a_folder_without_weights_has_no_names(tmp_path):
    assert model.names(tmp_path) == model.names(tmp_path / "nowhere") == ()


def test_manifests_come_without_their_graphs(weights):
    (weights / "hand" / "network.onnx").unlink()
    assert [manifest.name for manifest in model.manifests()] == ["another", "hand"]


def test_a_broken_manifest_is_logged_and_leaves_the_others(weights, caplog):
    write_weights(weights, "broken", temperature="warm")
    assert [manifest.name for manifest in model.manifests()] == ["another", "hand"]
    (record,) = caplog.records
    assert (record.levelname, record.getMessage().split(":")[0]) == ("WARNING", "In the weights folder broken")


def test_a_model_is_loaded_once(weights):
    assert model.load("hand") is model.load("hand")
    assert model.load("hand") is not model.load("another")


def test_threads_that_load_at_once_get_one_reader(weights, monkeypatch):
    loads = []
    real = model.read_graph
    monkeypatch.setattr(model, "read_graph", lambda *arguments: loads.append(1) or real(*arguments))
    gate = threading.Barrier(4)

    def load(_):
        gate.wait()
        return model.load("hand")

    with ThreadPoolExecutor(4) as pool:
        readers = set(pool.map(load, range(4)))
    assert len(readers) == len(loads) == 1


@pytest.mark.parametrize("name", ["reader", "", "..", "../weights/hand", "hand/", "/etc"])
def test_an_unknown_name_is_answered_with_those_that_exist(weights, name):
    with pytest.raises(UnknownModel, match="The models are: another, hand"):
        model.load(name)


def test_without_any_weights_the_answer_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HEMOSCOPE_WEIGHTS", str(tmp_path))
    with pytest.raises(UnknownModel, match="The models are: none"):
        model.load()


def test_a_missing_keras_file_is_answered_with_the_names(weights, tmp_path):
    with pytest.raises(UnknownModel, match=r"no file .*x\.keras.*another, hand"):
        model.load(str(tmp_path / "x.keras"))


def test_a_changed_graph_is_not_loaded(weights):
    with (weights / "hand" / "network.onnx").open("ab") as file:
        file.write(b"!")
    with pytest.raises(BadWeights, match="not the file that was published"):
        model.load("hand")


def test_a_graph_that_is_none_is_named(weights):
    write_weights(weights, "broken", graph=b"not a graph")
    with pytest.raises(BadWeights, match="network of broken cannot be loaded"):
        model.load("broken")


def test_threads_read_what_one_alone_would(weights):
    random = np.random.default_rng(3)
    reader = model.load("hand")
    scans = [Scan(random.uniform(-20, 100, (2, 40, 50)).astype(np.float32), calibrated=True) for _ in range(10)]

    def figures(scan):
        found = reader.read(scan)
        masks = b"".join(one.mask.tobytes() for one in found.slices)
        return dict(found.probabilities), found.finding, found.area_px, masks

    alone = [figures(scan) for scan in scans]
    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(lambda _: [figures(scan) for scan in scans], range(4)):
            assert together == alone
    assert len({figure[3] for figure in alone}) == 10


def test_too_many_slices_are_refused_before_the_first_is_read(weights):
    scan = scan_of(40)
    many = Scan(np.broadcast_to(scan.hu, (model.SLICES_AT_MOST + 1, 32, 32)), calibrated=True)
    with pytest.raises(BadScan, match="401 slices; at most 400"):
        model.load("hand").read(many)


def test_a_picture_gets_its_doubts(weights):
    notes = model.load("hand").read(scan_of(40, calibrated=False, window=BRAIN, spacing_mm=None)).notes
    assert len(notes) == 1
    assert "no Hounsfield units" in notes[0]
    assert "40/80" in notes[0]


def test_a_narrow_picture_is_said_to_miss_values(weights):
    narrow = scan_of(40, calibrated=False, window=Window(40, 40), spacing_mm=None)
    notes = model.load("hand").read(narrow).notes
    assert len(notes) == 2
    assert "narrower than what hand looks at" in notes[1]


def test_a_slice_without_a_head_is_said_by_a_model_that_looks_for_one(weights):
    write_weights(weights, "cropped", preprocess=Preprocess(32, frame="head").to_dict())
    assert model.load("cropped").read(scan_of(40)).notes == ()
    notes = model.load("cropped").read(scan_of(40, -1000)).notes
    assert notes[0] == "No head was found in slice 2: the whole image was read instead."


def test_a_header_without_spacing_gives_no_area_in_mm2_and_says_so(weights):
    found = model.load("hand").read(scan_of(72, spacing_mm=None))
    assert found.area_mm2 is None
    assert found.notes == ("The file states no pixel spacing: no area in mm² can be given.",)


def test_notes_of_the_scan_come_first(weights):
    found = model.load("hand").read(scan_of(40, spacing_mm=None, notes=("The gantry was tilted.",)))
    assert found.notes[0] == "The gantry was tilted."
    assert len(found.notes) == 2


CLASSIFIER = ("logits", "cams")


def test_a_network_without_a_mask_gives_classes_heat_and_no_area(weights):
    write_weights(weights, "classes", graph_bytes(*CLASSIFIER), task="classification")
    found = model.load("classes").read(scan_of(0, 72, spacing_mm=None))
    assert [one.finding for one in found.slices] == ["none", "hemorrhage"]
    assert [(one.mask, one.mask_probability, one.area_px) for one in found.slices] == [(None,) * 3] * 2
    assert (found.area_px, found.area_mm2) == (None, None)
    assert (found.slices[1].heat["any"] == 1).all()
    assert not any("area" in note for note in found.notes)  # of one that it cannot give it need not speak


def test_a_picture_is_doubted_by_a_network_without_a_mask_too(weights):
    write_weights(weights, "classes", graph_bytes(*CLASSIFIER), task="classification")
    (note,) = model.load("classes").read(scan_of(40, calibrated=False, window=BRAIN, spacing_mm=None)).notes
    assert note.endswith("(level/width), the result can be wrong.")


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_a_graph_that_does_not_fit_its_task_is_refused(weights, task):
    write_weights(weights, "odd", task=task)
    with pytest.raises(BadWeights, match=f"network of odd puts out cams, logits, mask, which is not {task}"):
        model.load("odd")


def write_ensemble(root, name, members, **changes):
    """An average of members that lie there already, decided as they are."""
    stored = {one: json.loads((root / one / FILE).read_text()) for one in members}
    first = stored[members[0]]
    own = {"architecture", "arguments", "preprocess", "graph", "sha256", "seed", "backend"}
    manifest = EnsembleManifest(
        **{key: value for key, value in first.items() if key not in own} | {"name": name},
        members=tuple(Member(one, manifest_sha256(root / one), 1 / len(members)) for one in members),
        combination="average",
        milliseconds_a_slice=None,
    )
    (root / name).mkdir()
    (root / name / FILE).write_text(json.dumps(manifest.to_dict() | changes))


@pytest.fixture
def pair(weights):
    """`hand`, the classifier `shy` whose temperature halves the logits, and `pair`, their average."""
    write_weights(weights, "shy", graph_bytes(*CLASSIFIER), task="classification", temperature=2.0)
    write_ensemble(weights, "pair", ["hand", "shy"])
    return weights


def test_an_ensemble_reads_by_name_as_a_network_does(pair):
    reader = model.load("pair")
    found = reader.read(scan_of(0, 72))
    sure, shy = (1 / (1 + exp((4 - 8 * 230 / 255) / temperature)) for temperature in (1, 2))
    assert found.probabilities["any"] == pytest.approx((sure + shy) / 2, abs=1e-5)
    assert found.probabilities["subdural"] == pytest.approx((1 / (1 + exp(2)) + 1 / (1 + exp(1))) / 2, abs=1e-5)
    assert [one.finding for one in found.slices] == ["none", "hemorrhage"]
    assert (found.area_px, found.area_mm2) == (1024, 256)  # the mask of the one member that gives one
    pixels = reader.read_slice(scan_of(0, 72), 1)[0].mask_probability
    assert pixels == pytest.approx(np.full((32, 32), 230 / 255), abs=1e-5)
    assert (found.slices[1].heat["any"] == 1).all()
    assert (found.model, found.version) == ("pair", "1.2.3")


def test_an_ensemble_has_its_own_rule(pair):
    write_ensemble(pair, "strict", ["hand", "shy"], decision_low=0.97, decision_high=0.98, bias=[1.0] + [0.0] * 5)
    plain, strict = (model.load(name).read(scan_of(72)) for name in ("pair", "strict"))
    mean = plain.probabilities["any"]
    assert strict.probabilities["any"] == pytest.approx(1 / (1 + exp(-(log(mean / (1 - mean)) + 1))), abs=1e-5)
    assert (strict.finding, strict.area_px) == ("none", 0)


def test_an_ensemble_is_listed_with_the_networks(pair):
    assert model.names() == ("another", "hand", "pair", "shy")
    listed = {manifest.name: manifest for manifest in model.manifests()}
    assert listed["pair"].composition == "average of hand, shy"


def test_members_are_the_networks_that_load_by_their_own_names(pair, monkeypatch):
    loads = []
    real = model.open_graph
    monkeypatch.setattr(model, "open_graph", lambda *given: loads.append(given[1]) or real(*given))
    hand = model.load("hand")
    write_ensemble(pair, "other", ["another", "hand", "shy"])
    assert model.load("pair") is model.load("pair")
    model.load("other")
    assert model.load("hand") is hand
    assert sorted(loads) == ["another", "hand", "shy"]


def test_an_ensembles_timings_are_the_sums_of_its_members(pair, monkeypatch):
    def spent(reader, scan, index):
        found, _ = real(reader, scan, index)
        return found, model.Timings(1.0, 10.0, 100.0)

    real = model.NetworkReader.read_slice
    monkeypatch.setattr(model.NetworkReader, "read_slice", spent)
    timings = model.load("pair").read(scan_of(0, 72)).timings
    assert (timings.preprocess, timings.network) == (4, 40)
    assert 400 < timings.postprocess < 410  # and the combining


def test_what_members_doubt_is_said_once(pair):
    narrow = scan_of(40, calibrated=False, window=Window(40, 40), spacing_mm=None, notes=("A note.",))
    notes = model.load("pair").read(narrow).notes
    assert notes[0] == "A note."
    assert sum("no Hounsfield units" in note for note in notes) == 1
    assert [note.split(" looks at")[0].split()[-1] for note in notes[2:]] == ["hand", "shy"]


def test_a_member_that_is_not_there_is_named(pair):
    (pair / "shy" / FILE).unlink()
    with pytest.raises(BadWeights, match="ensemble pair needs the model shy"):
        model.load("pair")


def test_a_member_with_a_changed_graph_is_not_loaded(pair):
    with (pair / "shy" / "network.onnx").open("ab") as file:
        file.write(b"!")
    with pytest.raises(BadWeights, match=r"shy/network\.onnx is not the file"):
        model.load("pair")


def test_threads_read_with_an_ensemble_what_one_alone_would(pair):
    random = np.random.default_rng(4)
    ensemble, single = model.load("pair"), model.load("hand")
    scans = [Scan(random.uniform(-20, 100, (2, 40, 50)).astype(np.float32), calibrated=True) for _ in range(5)]

    def figures(scan):
        found = ensemble.read(scan)
        return (
            dict(found.probabilities),
            single.read(scan).area_px,
            [one.area_px for one in found.slices],
        )

    alone = [figures(scan) for scan in scans]
    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(lambda _: [figures(scan) for scan in scans], range(4)):
            assert together == alone
