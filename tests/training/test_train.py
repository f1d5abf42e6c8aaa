"""A training on a handful of pictures: logs, checkpoints, killing and resuming, stopping, refusals."""

import csv
import json
import math
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import cv2
import h5py
import keras
import numpy as np
import pytest
from click.testing import CliRunner

from hemoscope.errors import BadData
from hemoscope.labels import CLASSES
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN
from training import checkpoints
from training import train as module
from training.checkpoints import State
from training.configs import CC_BY, CONFIGS, TrainConfig
from training.datasets import load_samples
from training.datasets.sample import Box, Sample
from training.evaluate import evaluate
from training.evaluate import main as evaluate_command
from training.folds import Folds
from training.networks import NETWORKS
from training.saved import read_start, write_start
from training.train import build, check_without_validation, draw_weights, load_split, main, steps_to, train, usable

TINY = TrainConfig(
    network="reader",
    preprocess=Preprocess(32, (BRAIN,)),
    sets=("ct_ich",),
    needs="any",
    slices_per_epoch=8,
    epochs=3,
    licence="CC-BY-4.0",
    arguments={"filters": (4, 4), "blocks": (0, 1), "decoder": (4,), "dropout": 0.3},
    weights={"ct_ich": (1.0, 2.0)},
    batch=4,
    optimizer="adamw",
    weight_decay=0.02,
    warmup=0.5,
    dice=1.0,
    box=0.1,
    keep="last",
    precision="float32",
)


NO_FOLDS = Folds({})


@pytest.fixture(autouse=True)
def precision_is_put_back():
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A compact CT-ICH folder: 20 patients with a slice of blood, masked, and one without."""
    folder = tmp_path_factory.mktemp("data")
    images, masks = folder / "ct_ich" / "images", folder / "ct_ich" / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    random, rows = np.random.default_rng(2), []
    for patient in range(60, 80):
        for number, blood in ((1, 0), (2, 1)):
            grey, mask = random.integers(40, 120, (48, 48)).astype(np.uint8), np.zeros((48, 48), np.uint8)
            name = f"{patient:03d}_{number:02d}"
            if blood:
                row, column = random.integers(2, 30, 2)
                mask[row : row + 14, column : column + 14] = 255
                grey[mask > 0] += 100
                cv2.imwrite(str(masks / f"{name}.png"), mask)
            cv2.imwrite(str(images / f"{name}.jpg"), grey)
            kind = CLASSES[1 + patient % 5] if blood else ""
            labels = [int(kind == subtype) for subtype in CLASSES[1:]]
            rows.append([f"{name}.jpg", patient, number, *labels, blood, 1, f"{name}.png" if blood else ""])
    with (folder / "ct_ich" / "labels.csv").open("w", newline="") as file:
        header = ["file", "patient", "slice", *CLASSES[1:], "any", "label_trusted", "mask"]
        csv.writer(file).writerows([header, *rows])
    (folder / "ct_ich" / "boxes.csv").write_text("file,class,x0,y0,x1,y1\n060_02.jpg,epidural,1,2,3,4\n")
    return folder


@pytest.fixture(scope="module")
def straight(data, tmp_path_factory):
    """The folder of a training of three epochs that nothing disturbed."""
    run = train(TINY, "tiny", 0, data, tmp_path_factory.mktemp("straight"), resume=False)
    keras.mixed_precision.set_global_policy("float32")
    return run


def stored(path):
    """Every array of a weights file by its place in it."""
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


def log_of(run):
    with (run / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_what_its_description_says(straight):
    names = {path.name for path in straight.iterdir()}
    assert names == {
        "config.json",
        "preprocess.json",
        "split.sha256",
        "network.keras",
        "state.json",
        "state_3.weights.h5",
        "log.csv",
        "events",
    }
    assert straight.parts[-2:] == ("tiny", "fold_0")
    assert Preprocess.from_dict(json.loads((straight / "preprocess.json").read_text())) == TINY.preprocess
    assert json.loads((straight / "config.json").read_text())["epochs"] == 3


def test_the_log_has_a_row_an_epoch(straight):
    rows = log_of(straight)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    names = ("loss", "mask_loss", "logits_loss", "val_loss", "val_mask_loss", "val_logits_loss", "learning_rate")
    assert all(math.isfinite(float(row[name])) for row in rows for name in names)
    # Six steps, one of warm-up, then a cosine over five: rates after steps 2, 4 and 6.
    rates = [0.5 * (1 + math.cos(math.pi * step / 5)) * 1e-3 for step in (1, 3, 5)]
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(rates, abs=1e-8)


def test_tensorboard_finds_the_same_numbers(straight):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(straight / "events"))
    events.Reload()
    losses = [event.tensor_proto.float_val[0] for event in events.Tensors("val_loss")] or [
        event.value for event in events.Scalars("val_loss")
    ]
    assert losses == pytest.approx([float(row["val_loss"]) for row in log_of(straight)], rel=1e-4)


def test_the_state_holds_the_optimizer_too_and_the_network_does_not(straight, tmp_path):
    names = "\n".join(stored(straight / "state_3.weights.h5"))
    assert "optimizer/vars" in names
    with zipfile.ZipFile(straight / "network.keras") as kept:
        kept.extract("model.weights.h5", tmp_path)
    assert "optimizer" not in "\n".join(stored(tmp_path / "model.weights.h5"))


def test_the_stored_network_is_the_last_state(straight):
    network = keras.saving.load_model(straight / "network.keras", compile=False)
    again = build(TINY)
    again.optimizer.build(again.trainable_variables)
    again.load_weights(straight / "state_3.weights.h5")
    for one, two in zip(network.get_weights(), again.get_weights(), strict=True):
        assert (one == two).all()


KILLED_IN_THE_THIRD_EPOCH = """
import os, pickle, sys
from pathlib import Path
from training import train as module
from training.batches import Batches

with open(sys.argv[1], "rb") as file:
    config, data, runs = pickle.load(file)
epochs = 0
real_epoch = module._epoch

class Deadly(Batches):
    def __getitem__(self, number):
        if number == 1:
            os._exit(9)
        return super().__getitem__(number)

def epoch(*arguments):
    global epochs
    epochs += 1
    batches = real_epoch(*arguments)
    if epochs == 3:
        batches.__class__ = Deadly
    return batches

module._epoch = epoch
module.train(config, "tiny", 0, data, runs, resume=False)
"""


def test_a_training_killed_in_the_middle_of_an_epoch_goes_on_as_if_nothing_had_been(data, straight, tmp_path):
    what = tmp_path / "what.pickle"
    what.write_bytes(pickle.dumps((TINY, data, tmp_path / "runs")))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THE_THIRD_EPOCH, str(what)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        timeout=240,
    )
    assert killed.returncode == 9, killed.stderr.decode()[-2000:]
    run = tmp_path / "runs" / "tiny" / "fold_0"
    assert json.loads((run / "state.json").read_text())["epoch"] == 2
    # A kill between the log and the checkpoint leaves a row of an epoch that is then repeated.
    with (run / "log.csv").open("a") as file:
        file.write("2,9,9,9,9,9,9,9\n")
    train(TINY, "tiny", 0, data, tmp_path / "runs", resume=True)
    one, two = stored(straight / "state_3.weights.h5"), stored(run / "state_3.weights.h5")
    assert set(one) == set(two)
    for name in one:
        assert np.array_equal(one[name], two[name]), name
    assert log_of(run) == log_of(straight)


def test_a_training_that_runs_already_is_not_begun_again(data, straight):
    runs = straight.parent.parent
    with checkpoints.alone(runs, "tiny", 0), pytest.raises(BadData, match="Another process trains tiny on fold 0"):
        train(TINY, "tiny", 0, data, runs, resume=True)
    assert train(TINY, "tiny", 0, data, runs, resume=True) == straight


def test_resuming_a_finished_training_changes_nothing(data, straight):
    before = (straight / "state_3.weights.h5").read_bytes()
    assert train(TINY, "tiny", 0, data, straight.parent.parent, resume=True) == straight
    assert (straight / "state_3.weights.h5").read_bytes() == before


def test_a_run_is_never_overwritten_unasked(data, straight):
    with pytest.raises(BadData, match="holds a training already: go on with --resume"):
        train(TINY, "tiny", 0, data, straight.parent.parent, resume=False)


def test_there_is_nothing_to_resume_in_an_empty_folder(data, straight):
    with pytest.raises(BadData, match="no training to resume"):
        train(TINY, "other", 0, data, straight.parent.parent, resume=True)


def test_a_missing_first_training_is_named_with_its_command(data, straight):
    config = replace(TINY, initial="reader_96")
    with pytest.raises(BadData, match=r"`python -m training\.train reader_96 --fold 0` first"):
        train(config, "next", 0, data, straight.parent.parent, resume=False)
    assert not (straight.parent.parent / "next").exists()


def test_a_training_on_other_folds_is_not_gone_on_with(data, straight, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(straight.parent.parent, runs)
    folds = Folds.read(runs / "folds.csv")
    Folds({group: ((fold + 1) % 5, part) for group, (fold, part) in folds.places.items()}).write(runs / "folds.csv")
    with pytest.raises(BadData, match="trained on other folds"):
        train(TINY, "tiny", 0, data, runs, resume=True)
    with pytest.raises(BadData, match="trained on other folds"):
        train(replace(TINY, initial="tiny"), "next", 0, data, runs, resume=False)
    with pytest.raises(BadData, match="trained on other folds"):
        evaluate("tiny", [0], data, runs)


def test_a_loss_that_is_no_number_stops_the_training(data, tmp_path):
    with pytest.raises(BadData, match="no number any more: a lower learning rate"):
        train(replace(TINY, learning_rate=1e30), "tiny", 0, data, tmp_path, resume=False)


def test_a_weight_that_is_no_number_is_found_behind_a_finite_loss():
    network = build(TINY)
    row = {"loss": 1.0, "val_loss": 2.0}
    assert module.without_number(row, network) == ""
    assert module.without_number(row | {"val_loss": math.inf}, network) == "its val_loss"
    last = network.trainable_weights[-1]
    last.assign(np.full(last.shape, np.nan, np.float32))
    assert module.without_number(row, network) == last.path


def test_a_training_starts_from_the_one_before(straight, tmp_path):
    config = replace(TINY, initial="tiny", preprocess=Preprocess(48, (BRAIN,)))
    network, runs = build(config), straight.parent.parent
    checkpoints.start(network, config, tmp_path / "next", Folds.read(runs / "folds.csv"), False, runs, fold=0)
    earlier = keras.saving.load_model(straight / "network.keras", compile=False)
    for one, two in zip(network.get_weights(), earlier.get_weights(), strict=True):
        assert (one == two).all()


def test_a_training_starts_from_exported_weights(straight, tmp_path):
    write_start(straight / "network.keras", tmp_path / "start.npz")
    config = replace(TINY, initial=str(tmp_path / "start.npz"), preprocess=Preprocess(48, (BRAIN,)))
    network = build(config)
    checkpoints.start(network, config, tmp_path / "next", NO_FOLDS, False, tmp_path, fold=0)
    trained = keras.saving.load_model(straight / "network.keras", compile=False)
    for one, two in zip(network.get_weights(), trained.get_weights(), strict=True):
        assert one.dtype == two.dtype
        assert one == pytest.approx(two, rel=1e-3, abs=1e-6)  # float16 has eleven bits


def test_weights_of_another_network_or_none_are_refused(straight, tmp_path):
    with pytest.raises(BadData, match="cannot be read"):
        read_start(tmp_path / "none.npz", build(TINY))
    (tmp_path / "garbled.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(BadData, match="cannot be read"):
        read_start(tmp_path / "garbled.npz", build(TINY))
    write_start(straight / "network.keras", tmp_path / "start.npz")
    other = build(replace(TINY, network="unet", arguments={"base": 2}))
    with pytest.raises(BadData, match="of another network than unet"):
        read_start(tmp_path / "start.npz", other)


def test_training_stops_when_patience_ends_and_keeps_the_best(data, straight, tmp_path, monkeypatch):
    losses, kept = iter([3.0, 2.0, 2.5, 2.1, 1.0]), []
    end_epoch, save = checkpoints.end_epoch, checkpoints.save_network

    def scripted(network, config, state, row, run):
        end_epoch(network, config, state, row | {"val_loss": next(losses)}, run)

    def counted(network, run):
        kept.append(json.loads((run / "state.json").read_text())["epoch"] if (run / "state.json").exists() else 0)
        save(network, run)

    monkeypatch.setattr(checkpoints, "end_epoch", scripted)
    monkeypatch.setattr(checkpoints, "save_network", counted)
    run = train(replace(TINY, epochs=5, patience=2, keep="best"), "tiny", 0, data, tmp_path, resume=False)
    # Epoch 1 was the best; epochs 2 and 3 were not better.
    assert [row["epoch"] for row in log_of(run)] == ["0", "1", "2", "3"]
    assert kept == [0, 1]
    state = State(**json.loads((run / "state.json").read_text()))
    assert (state.epoch, state.best_epoch, state.best_loss) == (4, 1, 2.0)


@pytest.mark.parametrize(
    ("epoch", "best_epoch", "patience", "ends"),
    [
        (3, 1, 1, True),
        (3, 2, 1, False),
        (3, 1, 2, False),
        (0, -1, 1, False),
        (9, 0, None, False),
        (20, 19, 1, True),
        (20, 0, None, True),
    ],
)
def test_a_training_ends_with_its_epochs_or_its_patience(epoch, best_epoch, patience, ends):
    state = State(epoch=epoch, best_epoch=best_epoch)
    assert checkpoints.finished(replace(TINY, epochs=20, patience=patience), state) is ends


def test_two_trainings_draw_from_the_same_folds(data, straight):
    runs = straight.parent.parent
    before = (runs / "folds.csv").read_bytes()
    split = load_split(TINY, 0, data, runs)
    assert (runs / "folds.csv").read_bytes() == before
    assert len(split.train) + len(split.validation) + len(split.test) == 40
    assert load_split(TINY, 1, data, runs).test != split.test


def test_a_segmentation_network_sees_slices_whose_every_pixel_is_known(data):
    samples = load_samples(data, ["ct_ich"])
    masked = samples[1]
    boxed = Sample("ct_ich", "1", masked.image, masked.labels, BRAIN)
    assert usable([*samples, boxed], replace(TINY, needs="mask")) == samples
    assert usable([*samples, boxed], TINY) == [*samples, boxed]


def test_it_learns_from_outlined_boxes_and_is_not_judged_by_them(data):
    masked = load_samples(data, ["ct_ich"])[1]
    boxed = replace(masked, mask=None, boxes=(Box(1, 2, 3, 4),))
    config = replace(TINY, needs="mask")
    assert usable([masked, boxed], config, boxes=True) == [masked, boxed]
    assert usable([masked, boxed], config) == [masked]


def test_a_segmentation_network_needs_masks_to_validate_on(data, tmp_path, monkeypatch):
    def without_masks(*arguments):
        split = load_split(*arguments)
        return replace(split, validation=[one for one in split.validation if one.mask is None])

    monkeypatch.setattr(module, "load_split", without_masks)
    with pytest.raises(BadData, match="No validation slice of fold 0 has a mask"):
        train(replace(TINY, needs="mask"), "tiny", 0, data, tmp_path, resume=False)


def test_what_is_kept_has_the_mean_of_the_last_weights(data, straight, tmp_path):
    config = replace(TINY, mean_of_last=2, keep="last")
    run = train(config, "tiny", 0, data, tmp_path, resume=False)
    keras.mixed_precision.set_global_policy("float32")
    assert sorted(path.name for path in run.glob("epoch_*")) == ["epoch_1.npz", "epoch_2.npz"]
    kept = keras.saving.load_model(run / "network.keras", compile=False).get_weights()
    ends = [list(np.load(run / f"epoch_{epoch}.npz").values()) for epoch in (1, 2)]
    for mean, *pair in zip(kept, *ends, strict=True):
        if mean.dtype.kind == "f":
            assert mean == pytest.approx(np.mean(pair, axis=0), abs=1e-6)
    assert any((first != last).any() for first, last in zip(*ends, strict=True))
    # The training itself goes on from its own weights, not from the mean.
    for name, values in stored(straight / "state_3.weights.h5").items():
        assert (stored(run / "state_3.weights.h5")[name] == values).all(), name


def test_what_is_kept_is_mixed_with_what_the_training_started_from(data, straight, tmp_path):
    shutil.copytree(straight, tmp_path / "tiny" / "fold_0")
    shutil.copy(straight.parents[1] / "folds.csv", tmp_path)
    config = replace(TINY, initial="tiny", share_of_start=0.25, epochs=1)
    run = train(config, "mixed", 0, data, tmp_path, resume=False)
    keras.mixed_precision.set_global_policy("float32")
    start, mixed = (keras.saving.load_model(path / "network.keras", compile=False) for path in (straight, run))
    last = build(config)
    last.optimizer.build(last.trainable_variables)
    last.load_weights(run / "state_1.weights.h5")
    for first, kept, end in zip(start.get_weights(), mixed.get_weights(), last.get_weights(), strict=True):
        if kept.dtype.kind == "f":
            assert kept == pytest.approx(0.25 * first + 0.75 * end, abs=1e-6)


def test_a_training_from_before_a_setting_existed_is_resumed(data, straight, tmp_path):
    run = shutil.copytree(straight, tmp_path / "tiny" / "fold_0").resolve()
    shutil.copy(straight.parents[1] / "folds.csv", tmp_path)
    stored_config = json.loads((run / "config.json").read_text())
    del stored_config["focal"]
    (run / "config.json").write_text(json.dumps(stored_config))
    assert train(TINY, "tiny", 0, data, tmp_path, resume=True) == tmp_path / "tiny" / "fold_0"
    with pytest.raises(BadData, match=r"begun with other settings \(focal\)"):
        train(replace(TINY, focal=2.0), "tiny", 0, data, tmp_path, resume=True)


def test_a_training_is_not_resumed_with_other_settings(data, straight):
    other = replace(TINY, learning_rate=1.0, batch=2)
    with pytest.raises(BadData, match=r"begun with other settings \(batch, learning_rate\)"):
        train(other, "tiny", 0, data, straight.parents[1], resume=True)


def test_draw_weights_by_hand():
    def sample(*positive, source="ct_ich"):
        labels = tuple(float(name in positive) for name in CLASSES)
        return Sample(source, "1", None, labels, BRAIN)

    config = replace(TINY, weights={"ct_ich": (0.5, 2.5)}, rare={"epidural": 2.0, "subdural": 1.3})
    samples = [
        sample(),
        sample("any", "intraparenchymal"),
        sample("any", "subdural"),
        sample("any", "subdural", "epidural"),
        sample(source="rsna"),  # without weights of its own
    ]
    assert draw_weights(samples, config) == pytest.approx([0.5, 2.5, 2.5 * 1.3, 2.5 * 2, 1.0])


def test_every_configuration_builds_what_it_names():
    for name, config in CONFIGS.items():
        assert config.network in NETWORKS, name
        assert config.initial in (None, *CONFIGS), name
        assert config.initial_layer is None or config.initial is not None, name
        assert {*config.rare, *config.positive_weights} <= set(CLASSES), name
        assert config.network not in ("reader", "two_branch", "unet") or config.preprocess.size % 16 == 0, name


def test_weights_under_an_open_licence_have_learnt_from_ct_ich_alone():
    for name in CONFIGS:
        learnt_from = {source for step in steps_to(name) for source in CONFIGS[step].sets}
        assert (CONFIGS[name].licence == CC_BY) == (learnt_from == {"ct_ich"}), name


def test_the_open_reader_is_the_reader_with_fewer_slices():
    steps = [CONFIGS[step] for step in steps_to("reader_open")]
    assert steps_to("reader_open") == ["reader_open_96", "reader_open_128", "reader_open"]
    assert [step.preprocess.size for step in steps] == [96, 128, 160]
    assert steps[-1].preprocess == CONFIGS["reader"].preprocess
    assert all(step.synthetic and step.weights["synthetic"][1] > 0 for step in steps)
    seen = [sum(CONFIGS[step].slices_per_epoch * CONFIGS[step].epochs for step in steps_to(name)) for name in
            ("reader_open", "reader")]  # fmt: skip
    assert seen[0] < seen[1] / 2


@pytest.mark.parametrize("name", ["reader", "reader_open"])
def test_the_readers_can_be_trained_on_all_patients(name):
    for step in steps_to(name):
        check_without_validation(CONFIGS[step], step)


def test_a_network_learns_from_its_masks_and_classes_only():
    assert set(module.loss_outputs(build(TINY))) == {"mask", "logits"}
    assert module.loss_outputs(build(replace(TINY, network="unet", arguments={"base": 2}))) == ["mask"]


def test_the_command_line_says_what_is_wrong(tmp_path):
    result = CliRunner().invoke(main, ["reader", "--data", str(tmp_path), "--runs", str(tmp_path / "runs")])
    assert result.exit_code == 1
    assert "no folder ct_ich" in result.output
    assert "Traceback" not in result.output
    result = CliRunner().invoke(main, ["transformer", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "two_branch" in result.output  # the names that exist


# All patients


@pytest.fixture(scope="module")
def on_all(data, tmp_path_factory):
    """The folder of a training of three epochs on all patients."""
    run = train(TINY, "tiny", None, data, tmp_path_factory.mktemp("on_all"), resume=False)
    keras.mixed_precision.set_global_policy("float32")
    return run


def test_a_training_on_all_patients_learns_from_every_slice_and_validates_on_none(data, on_all):
    assert on_all.parts[-2:] == ("tiny", "fold_all")
    assert len(load_split(TINY, None, data, on_all.parents[1]).train) == 40
    assert [row["epoch"] for row in log_of(on_all)] == ["0", "1", "2"]
    assert set(log_of(on_all)[0]) == {"epoch", "loss", "mask_loss", "logits_loss", "learning_rate"}
    assert len(list(on_all.parents[1].glob("cache/*"))) == 1  # of the training side
    state = checkpoints.read_state(TINY, on_all)
    assert (state.epoch, state.best_epoch) == (3, -1) and checkpoints.finished(TINY, state)


def test_a_training_on_all_patients_is_resumed(data, on_all, tmp_path):
    class Stopped(Exception):
        pass

    def stop(epoch, row):
        if epoch == 1:
            raise Stopped

    with pytest.raises(Stopped):
        train(TINY, "tiny", None, data, tmp_path, resume=False, on_epoch=stop)
    train(TINY, "tiny", None, data, tmp_path, resume=True)
    one, two = stored(on_all / "state_3.weights.h5"), stored(tmp_path / "tiny" / "fold_all" / "state_3.weights.h5")
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_training_on_all_patients_starts_from_one_on_all_patients(data, straight, on_all, tmp_path):
    config = replace(TINY, initial="tiny", epochs=1)
    with pytest.raises(BadData, match=r"`python -m training\.train tiny --fold all` first"):
        train(config, "next", None, data, straight.parents[1], resume=False)  # the one of fold 0 does not do
    network, runs = build(config), on_all.parents[1]
    checkpoints.start(network, config, tmp_path / "next", Folds.read(runs / "folds.csv"), False, runs, fold=None)
    earlier = keras.saving.load_model(on_all / "network.keras", compile=False)
    for one, two in zip(network.get_weights(), earlier.get_weights(), strict=True):
        assert (one == two).all()


@pytest.mark.parametrize("needing", [{"keep": "best"}, {"patience": 2}])
def test_what_needs_validation_patients_does_not_train_on_all(tmp_path, needing):
    with pytest.raises(BadData, match="tiny cannot train on all patients"):
        train(replace(TINY, **needing), "tiny", None, tmp_path / "nowhere", tmp_path / "runs", resume=False)
    assert not (tmp_path / "runs").exists()


def test_a_network_of_all_patients_is_not_judged(data, on_all):
    runs = on_all.parents[1]
    with pytest.raises(BadData, match="nobody is left to judge it on"):
        evaluate("tiny", [None], data, runs)
    command = ["tiny", "--data", str(data), "--runs", str(runs), "--fold", "all"]
    done = CliRunner().invoke(evaluate_command, command)
    assert done.exit_code == 1 and "python -m training.train tiny --fold 0" in done.output
    assert not (runs / "tiny" / "pooled").exists() and not (on_all / "metrics.json").exists()


def test_the_command_line_takes_all_for_a_fold(tmp_path):
    options = ["--data", str(tmp_path), "--runs", str(tmp_path / "runs"), "--fold", "all"]
    kept = CliRunner().invoke(main, ["resnet50", *options])
    assert kept.exit_code == 1 and "resnet50 cannot train on all patients" in kept.output
    nowhere = CliRunner().invoke(main, ["reader", *options])
    assert nowhere.exit_code == 1 and "no folder ct_ich" in nowhere.output


# Adjacent slices


ADJACENT = replace(TINY, preprocess=Preprocess(32, (BRAIN,), neighbours=1), augment="anatomical", epochs=1)


def test_a_training_on_adjacent_slices_takes_them_as_channels(data, tmp_path):
    run = train(ADJACENT, "adjacent", 0, data, tmp_path, resume=False)
    assert json.loads((run / "preprocess.json").read_text())["neighbours"] == 1
    assert keras.saving.load_model(run / "network.keras", compile=False).input_shape == (None, 32, 32, 3)


def test_drawn_bleeds_and_adjacent_slices_are_refused_before_anything_is_read(tmp_path):
    with pytest.raises(BadData, match="must have synthetic=0"):
        train(replace(ADJACENT, synthetic=5), "adjacent", 0, tmp_path / "nowhere", tmp_path / "runs", resume=False)
    assert not (tmp_path / "runs").exists()
