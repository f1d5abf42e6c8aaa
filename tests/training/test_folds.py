"""Folds: no patient on two sides, evenly dealt, the same every time."""

from collections import Counter
from pathlib import Path

import pytest

from hemoscope.errors import BadData
from hemoscope.labels import CLASSES
from training.datasets import load_samples
from training.datasets.sample import Sample
from training.folds import FOLDS, PARTS, Folds, make_folds


def slices(patient, *positive, count=3, mask=False, source="ct_ich"):
    labels = tuple(float(name in positive or (name == "any" and bool(positive))) for name in CLASSES)
    where = Path("mask.png") if mask else None
    return [Sample(source, patient, Path(f"{patient}_{n}.png"), labels, None, where) for n in range(count)]


@pytest.fixture(scope="module")
def samples():
    made = []
    for number in range(40):
        made += slices(f"masked{number}", "intraparenchymal", mask=True)
        made += slices(f"epidural{number}", "epidural", "subdural")
        made += slices(f"free{number}", count=2 + number % 3)
        made += slices(f"free{number}", source="rsna", count=1)
    return made


def test_a_patient_stands_on_one_side_of_every_fold(samples):
    folds = make_folds(samples)
    for fold in range(FOLDS):
        split = folds.split(samples, fold)
        train, validation, test = ({one.group for one in side} for side in (split.train, split.validation, split.test))
        assert not train & validation
        assert not train & test
        assert not validation & test
        assert len(split.train) + len(split.validation) + len(split.test) == len(samples)


def test_without_a_fold_everyone_trains(samples):
    split = make_folds(samples).split(samples, None)
    assert split.train == samples
    assert not split.validation and not split.test


def test_every_patient_is_tested_once(samples):
    folds = make_folds(samples)
    tested = Counter(group for fold in range(FOLDS) for group in {one.group for one in folds.split(samples, fold).test})
    assert set(tested.values()) == {1}
    assert len(tested) == 160


def test_few_patients_with_masks_reach_every_validation_side():
    made = [one for number in range(25) for one in slices(f"masked{number}", "epidural", mask=True)]
    made += [one for number in range(57) for one in slices(f"epidural{number}", "epidural")]
    made += [one for number in range(300) for one in slices(f"other{number}", source="a_set_before")]
    folds = make_folds(made)
    for fold in range(FOLDS):
        split = folds.split(made, fold)
        for side in (split.validation, split.test):
            assert sum(one.mask is not None for one in side) >= 3 * 2, fold


def test_strata_spread_evenly(samples):
    folds = make_folds(samples)
    for fold in range(FOLDS):
        split = folds.split(samples, fold)
        for kind in ("masked", "epidural", "free"):
            count = Counter(
                side
                for side, members in vars(split).items()
                for group in {one.group for one in members}
                if kind in group
            )
            sets = 2 if kind == "free" else 1
            # A fifth of 40 patients is tested; an eighth of the other 32 validates.
            assert count == {"test": 8 * sets, "validation": 4 * sets, "train": 28 * sets}, (fold, kind)


def test_a_patient_with_several_classes_counts_for_the_rarest():
    # Ten patients with subdural blood, of whom five have epidural blood too: one of these five in each fold.
    made = [one for n in range(5) for one in slices(f"both{n}", "epidural", "subdural") + slices(f"one{n}", "subdural")]
    folds = make_folds(made)
    assert sorted(folds.places[f"ct_ich/both{n}"][0] for n in range(5)) == [0, 1, 2, 3, 4]


def test_folds_are_the_same_every_time_and_differ_by_seed(samples):
    assert make_folds(samples).places == make_folds(list(reversed(samples))).places
    assert make_folds(samples).places != make_folds(samples, seed=1).places


def test_a_folds_file_comes_back_as_it_went(samples, tmp_path):
    folds = make_folds(samples)
    path = tmp_path / "runs" / "folds.csv"
    folds.write(path)
    assert Folds.read(path) == folds
    assert Folds.read(path).sha256 == folds.sha256
    assert path.read_text().splitlines()[0] == "group,fold,part"


def test_folds_by_slice_put_a_patient_on_several_sides_and_each_slice_on_one(samples, tmp_path):
    make_folds(samples, unit="slice").write(tmp_path / "folds.csv")
    split = Folds.read(tmp_path / "folds.csv", "slice").split(samples, 0)
    assert len(split.train) + len(split.validation) + len(split.test) == len(samples)
    keys = [{one.key for one in side} for side in (split.train, split.test)]
    groups = [{one.group for one in side} for side in (split.train, split.test)]
    assert not keys[0] & keys[1]
    assert groups[0] & groups[1]


def test_the_fingerprint_changes_with_one_patient(samples):
    folds = make_folds(samples)
    group, (fold, part) = next(iter(folds.places.items()))
    moved = Folds(folds.places | {group: ((fold + 1) % FOLDS, part)})
    assert moved.sha256 != folds.sha256


def test_the_fingerprint_is_that_of_its_lines():
    # printf 'rsna/a,0,1\nrsna/b,4,7' | sha256sum
    folds = Folds({"rsna/b": (4, 7), "rsna/a": (0, 1)})
    assert folds.sha256 == "d8ae704c8a2a312d1b3630cef9d4b47aed579d64990e8107c75372049bf16098"


@pytest.mark.parametrize("content", [None, "group,fold\na,1\n", "group,fold,part\na,one,2\n", "group,fold,part\na,1\n"])
def test_a_garbled_folds_file_is_refused(tmp_path, content):
    path = tmp_path / "folds.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadData, match="cannot be read"):
        Folds.read(path)


def test_an_unknown_patient_and_an_unknown_fold_are_refused(samples):
    folds = make_folds(samples)
    with pytest.raises(BadData, match="does not know patient ct_ich/stranger"):
        folds.split(slices("stranger"), 0)
    for fold in (-1, FOLDS):
        with pytest.raises(BadData, match="there are 0 to 4"):
            folds.split(samples, fold)


def test_the_real_folds_have_masks_and_every_subtype_to_learn_from_and_to_test_on(data_folder):
    samples = load_samples(data_folder, ["ct_ich", "phe_sich", "rsna"])
    folds = make_folds(samples)
    assert {part for _, part in folds.places.values()} == set(range(PARTS))
    for fold in range(FOLDS):
        split = folds.split(samples, fold)
        for side in (split.train, split.test):
            assert len({one.group for one in side if one.mask and one.source == "ct_ich"}) >= 5
            for index, name in enumerate(CLASSES):
                assert any(one.labels[index] == 1 for one in side), (fold, name)
