"""The page of failures: which slices are on it and in what order, what is counted, what is drawn."""

import base64
import json
import re
from math import nan
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from click.testing import CliRunner

from hemoscope.errors import BadData
from hemoscope.labels import CLASSES
from hemoscope.postprocessing import Rule
from hemoscope.preprocessing import Preprocess
from tests.training.phantom_set import PATIENTS, SIZE, WINDOW, grey_band_network, write_ct_ich
from tests.training.test_evaluate import by_hand
from training.calibrate import write_rule
from training.datasets.sample import BLOOD, IN_BOX, NO_BLOOD
from training.evaluate import evaluate
from training.failures import (
    MARKED,
    TRUTH,
    Tally,
    draw_failures,
    false_alarms,
    main,
    misses,
    outlined,
    tallies,
    wrong_masks,
)
from training.folds import Folds
from training.predictions import BINS, Predictions, judge

FOLD = 1


def six_classes():
    """Six slices of a network with all classes: four bleed, in different places, two do not."""
    labels = np.zeros((6, len(CLASSES)))
    labels[:4, 0] = 1
    labels[0, CLASSES.index("subdural")] = labels[1, CLASSES.index("subdural")] = 1
    labels[1, CLASSES.index("epidural")] = labels[2, CLASSES.index("epidural")] = 1
    labels[3, 1:] = nan  # of which kind is unknown
    probabilities = np.full((6, len(CLASSES)), 0.05)
    probabilities[:, 0] = 0.1, 0.3, 0.9, 0.2, 0.8, 0.4
    probabilities[4, CLASSES.index("subdural")] = 0.5
    probabilities[5, CLASSES.index("intraventricular")] = 0.3
    predictions = Predictions(
        classes=CLASSES,
        keys=np.array([f"{index}" for index in range(6)]),
        groups=np.array([f"s/{index}" for index in range(6)]),
        sources=np.array(["s"] * 6),
        labels=labels,
        logits=np.log(probabilities / (1 - probabilities)).astype(np.float32),
        pixel_slices=np.zeros(0, np.int64),
        pixels=np.zeros((0, 2, BINS), np.int32),
        skipped=0,
    )
    return judge(predictions, Rule(CLASSES, 1.0, (0.0,) * 6, 0.25, 0.5, 0.5))


def test_the_worst_come_first():
    judged = by_hand()  # blood at 0.9, 0.6 and 0.3; none at 0.7, 0.4, 0.1 and 0.1; unknown at 0.9
    assert misses(judged) == [2]
    assert false_alarms(judged) == [3, 4]
    assert wrong_masks(judged) == [0, 3]  # six and five wrong pixels of a hundred; slice 5 shows no mask
    assert misses(six_classes()) == [0, 3, 1]
    assert wrong_masks(six_classes()) == []


def test_failures_are_counted_by_set_and_subtype():
    rows = {row.name: row for row in tallies(six_classes())}
    assert rows["any"] == Tally("s", "any", 4, missed=2, unsure=1, alarms=1, doubts=1)
    assert rows["subdural"] == Tally("s", "subdural", 2, missed=1, unsure=1, alarms=1, doubts=0)
    assert rows["epidural"] == Tally("s", "epidural", 2, missed=0, unsure=1, alarms=0, doubts=0)
    assert rows["intraventricular"] == Tally("s", "intraventricular", 0, missed=0, unsure=0, alarms=0, doubts=1)


def test_a_subtype_that_is_not_assessed_has_no_false_alarms():
    rows = {row.name: row for row in tallies(by_hand())}
    assert rows["any"] == Tally("s", "any", 3, missed=0, unsure=1, alarms=1, doubts=1)
    assert (rows["subdural"].alarms, rows["subdural"].doubts) == (None, None)


def test_truth_and_what_is_marked_are_outlined_in_their_colours():
    hu, target = np.full((60, 60), 30, np.float32), np.full((60, 60), NO_BLOOD, np.uint8)
    marked = np.zeros((60, 60), np.bool_)
    target[10:20, 10:40] = BLOOD
    target[45:55, 10:20] = IN_BOX
    marked[30:40, 30:50] = True
    picture = outlined(hu, target, marked)

    def nearest(row: int, column: int) -> tuple[int, int, int]:
        colours = (TRUTH, MARKED, (96, 96, 96))  # grey: 30 HU of 0..80
        return min(colours, key=lambda colour: np.abs(picture[row, column].astype(int) - colour).sum())

    assert nearest(10, 25) == nearest(19, 25) == nearest(50, 10) == TRUTH
    assert nearest(30, 40) == nearest(39, 40) == MARKED
    assert tuple(picture[15, 25]) == tuple(picture[50, 15]) == tuple(picture[35, 40]) == (96, 96, 96)
    assert not (outlined(hu, target, None) == MARKED).all(-1).any()


@pytest.fixture
def evaluated(tmp_path: Path) -> Path:
    """`data/` and `runs/band/fold_1/`, judged by a rule that calls everything uncertain."""
    write_ct_ich(tmp_path / "data" / "ct_ich")
    run = tmp_path / "runs" / "band" / f"fold_{FOLD}"
    run.mkdir(parents=True)
    places = {f"ct_ich/{patient}": (FOLD if patient % 5 in (1, 4) else 0, patient // 5) for patient in range(PATIENTS)}
    Folds(places).write(tmp_path / "runs" / "folds.csv")
    grey_band_network().save(run / "network.keras")
    (run / "preprocess.json").write_text(json.dumps(Preprocess(SIZE, (WINDOW,)).to_dict()))
    (run / "config.json").write_text(json.dumps({"sets": ["ct_ich"]}))
    evaluate("band", [FOLD], tmp_path / "data", tmp_path / "runs")
    write_rule(Rule(("any",), 1.0, (0.0,), 0.0, 1.0, 0.5), "By hand.", run)
    return tmp_path


def test_the_page_holds_the_slices_and_needs_no_other_file(evaluated: Path):
    where = ["--data", str(evaluated / "data"), "--runs", str(evaluated / "runs")]
    done = CliRunner().invoke(main, ["band", "--fold", str(FOLD), "--count", "3", *where])
    assert done.exit_code == 0, done.output
    assert "never publish it" in done.output
    page = (evaluated / "runs/band/fold_1/failures.html").read_text("utf-8")
    assert "Research use, not a medical device." in page and "never publish it" in page
    assert "http" not in page and "src='data:image/png;base64," in page
    pictures = re.findall(r"base64,([^']+)' alt='([^']+)'", page)
    assert len(pictures) == page.count("<img") == 9  # three of each kind
    bled = [key for _, key in pictures[:3]]
    assert all(int(key.split("/")[-1].split("_")[0]) % 2 for key in bled)  # the odd patients bleed
    assert page.count("truth: intraparenchymal<br>uncertain: any 0.") >= 3
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(pictures[-3][0]), np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (SIZE, SIZE, 3)
    assert (drawn[..., 1].astype(int) - drawn[..., 2] > 60).any()  # the true outline


def test_what_was_not_evaluated_or_was_trained_again_is_not_drawn(evaluated: Path):
    where = (evaluated / "data", evaluated / "runs")
    with pytest.raises(BadData, match=r"python -m training.evaluate band --fold 2"):
        draw_failures("band", 2, *where)
    network = grey_band_network()
    network.set_weights([np.zeros_like(values) for values in network.get_weights()])
    network.save(evaluated / "runs/band/fold_1/network.keras")
    with pytest.raises(BadData, match="of another network"):
        draw_failures("band", FOLD, *where)


def test_a_classifier_s_failures_show_no_marks(evaluated: Path):
    run = evaluated / "runs/band/fold_1"
    network = grey_band_network()
    image = network.input
    logits = keras.layers.Dense(6, name="logits")(keras.layers.GlobalAveragePooling2D()(image))
    keras.Model(image, {"logits": logits}).save(run / "network.keras")
    evaluate("band", [FOLD], evaluated / "data", evaluated / "runs")
    write_rule(Rule(CLASSES, 1.0, (0.0,) * 6, 0.0, 1.0, 0.5), "By hand.", run)
    page = draw_failures("band", FOLD, evaluated / "data", evaluated / "runs", count=1).read_text("utf-8")
    assert "This network marks no pixels." in page
    assert page.count("<img") == 2
    assert "<h2>Masks with the largest share of wrong pixels</h2><div class='slices'>None.</div>" in page
