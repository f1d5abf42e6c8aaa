"""The loaders on both layouts of each set, made of small pictures, and on the real data against its own description."""

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from hemoscope.errors import BadData, BadScan
from hemoscope.labels import CLASSES
from hemoscope.phantom import Bleed, make_phantom, write_dicom_series
from hemoscope.scan import BRAIN, Window
from training.datasets import load_samples
from training.datasets.sample import (
    BLOOD,
    IN_BOX,
    NO_BLOOD,
    NOT_KNOWN,
    SUBTYPE_BITS,
    UNKNOWN,
    Box,
    Sample,
    read_table,
    subtype_labels,
)

PUBLISHED_CT_ICH = [
    "PatientNumber",
    "SliceNumber",
    "Intraventricular",
    "Intraparenchymal",
    "Subarachnoid",
    "Epidural",
    "Subdural",
    "No_Hemorrhage",
    "Fracture_Yes_No",
]


def write_table(path, header, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_picture(path):
    """A ramp of 64 greys from left to right: 0, 4, ... 252."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1)))


def unknown(labels):
    return [None if np.isnan(label) else label for label in labels]


# CT-ICH


@pytest.fixture
def published_ct_ich(tmp_path):
    folder = tmp_path / "ct_ich"
    write_table(
        folder / "hemorrhage_diagnosis.csv",
        PUBLISHED_CT_ICH,
        (49, 14, 0, 1, 0, 0, 0, 0, 0),
        (50, 1, 0, 0, 0, 0, 0, 1, 1),
        (50, 2, 1, 1, 0, 0, 0, 0, 0),
        (51, 1, 0, 0, 0, 0, 0, 1, 0),
        (51, 2, 0, 0, 0, 0, 1, 0, 0),
    )
    for patient in (49, 50, 51):
        for number in (1, 2, 14):
            write_picture(folder / "Patients_CT" / f"{patient:03d}" / "brain" / f"{number}.jpg")
    mask = np.zeros((64, 64), np.uint8)
    mask[10:20, 30:40] = 255
    cv2.imwrite(str(folder / "Patients_CT" / "050" / "brain" / "2_HGE_Seg.jpg"), mask)
    return folder


def test_the_published_ct_ich_folder_is_read(published_ct_ich):
    samples = load_samples(published_ct_ich.parent, ["ct_ich"])
    assert [(one.patient, one.image.name, one.labels) for one in samples] == [
        ("50", "1.jpg", (0, 0, 0, 0, 0, 0)),
        ("50", "2.jpg", (1, 0, 1, 1, 0, 0)),
        ("51", "1.jpg", (0, 0, 0, 0, 0, 0)),
        ("51", "2.jpg", (1, 0, 0, 0, 0, 1)),
    ]
    assert [one.blood_free for one in samples] == [True, False, True, False]
    assert all(one.window == Window(40, 120) for one in samples)


def test_slices_of_two_published_patients_have_different_keys(published_ct_ich):
    # Every patient's files are named 1.jpg, 2.jpg, ...
    keys = [one.key for one in load_samples(published_ct_ich.parent, ["ct_ich"])]
    assert keys == [
        "ct_ich/050/brain/1.jpg",
        "ct_ich/050/brain/2.jpg",
        "ct_ich/051/brain/1.jpg",
        "ct_ich/051/brain/2.jpg",
    ]


def test_a_published_mask_is_read_and_its_absence_is_no_empty_mask(published_ct_ich):
    _, masked, free, positive = load_samples(published_ct_ich.parent, ["ct_ich"])
    target = masked.target(64, 64)
    assert set(np.unique(target)) == {NO_BLOOD, BLOOD}
    assert (target[10:20, 30:40] == BLOOD).all()
    assert (target == BLOOD).sum() == pytest.approx(100, abs=8)  # JPEG frays the edge
    assert (free.target(64, 64) == NO_BLOOD).all()
    assert (positive.target(64, 64) == NOT_KNOWN).all()


def test_blood_may_have_each_subtype_that_the_slice_is_not_free_of():
    target = np.array([[BLOOD, NO_BLOOD], [NOT_KNOWN, BLOOD]], np.uint8)
    labels = (1.0, 0.0, 1.0, UNKNOWN, 0.0, 0.0)  # intraparenchymal, perhaps intraventricular
    one = Sample("rsna", "1", Path("a.png"), labels, BRAIN)
    both = SUBTYPE_BITS["intraparenchymal"] + SUBTYPE_BITS["intraventricular"]
    assert one.candidates(target).tolist() == [[both, 0], [0, both]]


def test_inside_a_box_blood_has_the_box_s_subtype():
    labels = (1.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    boxes = (Box(0, 0, 2, 1, "epidural"), Box(1, 0, 3, 1, "subdural"), Box(3, 0, 4, 1, "intraparenchymal"))
    one = Sample("ct_ich", "1", Path("a.png"), labels, BRAIN, boxes=boxes)
    epidural, subdural = SUBTYPE_BITS["epidural"], SUBTYPE_BITS["subdural"]
    # A box of a subtype that the slice does not have is not believed.
    expected = [epidural, epidural + subdural, subdural, epidural + subdural]
    assert one.candidates(np.full((1, 4), BLOOD, np.uint8)).tolist() == [expected]


def test_a_ct_ich_picture_is_read_in_the_window_that_it_was_drawn_in(published_ct_ich):
    scan = load_samples(published_ct_ich.parent, ["ct_ich"])[0].scan()
    assert scan.window == Window(40, 120)
    # Greys 0, 100 and 200 of 255 over -20..100 HU; JPEG may change a grey by three.
    assert scan.hu[0, :, [0, 25, 50]].mean(axis=1) == pytest.approx([-20, 27.06, 74.12], abs=1.5)


def compact_ct_ich(folder, *rows):
    names = "file,patient,slice,epidural,intraparenchymal,intraventricular,subarachnoid,subdural,any,label_trusted,mask"
    write_table(folder / "labels.csv", names.split(","), *rows)
    write_table(
        folder / "boxes.csv", ("file", "class", "x0", "y0", "x1", "y1"), ("052_01.jpg", "epidural", 3.6, 5.2, 9.5, 8)
    )
    return folder


@pytest.fixture
def compact(tmp_path):
    return compact_ct_ich(
        tmp_path / "ct_ich",
        ("049_01.jpg", 49, 1, 0, 0, 0, 0, 0, 0, 1, ""),
        ("052_01.jpg", 52, 1, 1, 0, 0, 0, 0, 1, 1, ""),
        ("052_02.jpg", 52, 2, 0, 0, 0, 0, 0, 0, 1, "052_02.png"),
        ("053_01.jpg", 53, 1, 0, 0, 0, 0, 1, 1, 0, ""),
    )


def test_patient_49_is_left_out_even_where_the_table_trusts_it(compact):
    assert {one.patient for one in load_samples(compact.parent, ["ct_ich"])} == {"52"}


def test_boxes_hold_blood_somewhere_and_outside_there_is_none(compact):
    boxed = load_samples(compact.parent, ["ct_ich"])[0]
    target = boxed.target(16, 16)
    assert (target[5:8, 3:10] == IN_BOX).all()  # whole pixels that the box touches: x 3.6-9.5, y 5.2-8
    assert (target == IN_BOX).sum() == 3 * 7
    assert (target == NO_BLOOD).sum() == 256 - 21


def test_a_mask_of_blood_on_a_slice_labelled_free_leaves_the_classes_unknown(compact):
    contradicted = load_samples(compact.parent, ["ct_ich"])[1]
    assert unknown(contradicted.labels) == [None] * 6
    assert not contradicted.blood_free


def test_a_mask_on_another_grid_is_refused(published_ct_ich):
    with pytest.raises(BadData, match=r"2_HGE_Seg.jpg is \(64, 64\), its image is \(64, 65\)"):
        load_samples(published_ct_ich.parent, ["ct_ich"])[1].target(64, 65)


def files(paths):
    return [path.name for path in paths]


def test_published_ct_ich_slices_know_their_neighbours(published_ct_ich):
    samples = load_samples(published_ct_ich.parent, ["ct_ich"])
    # Patient 49 is left out; 50 and 51 have slices 1 and 2 each, and never one of the other's.
    assert [(files(one.previous), files(one.next)) for one in samples] == [
        ([], ["2.jpg"]),
        (["1.jpg"], []),
        ([], ["2.jpg"]),
        (["1.jpg"], []),
    ]
    for one in samples:
        assert {path.parent for path in (*one.previous, *one.next)} == {one.image.parent}


def test_a_compact_slice_that_is_not_learnt_from_is_still_a_neighbour(tmp_path):
    folder = compact_ct_ich(
        tmp_path / "ct_ich",
        ("052_10.jpg", 52, 10, 0, 0, 0, 0, 0, 0, 1, ""),
        ("052_09.jpg", 52, 9, 0, 0, 0, 0, 0, 0, 0, ""),
        ("053_11.jpg", 53, 11, 0, 0, 0, 0, 0, 0, 1, ""),
    )
    for name in ("052_09", "052_10", "053_11"):
        write_picture(folder / "images" / f"{name}.jpg")
    ten, eleven = load_samples(tmp_path, ["ct_ich"])
    assert (files(ten.previous), files(ten.next)) == (["052_09.jpg"], [])
    assert (eleven.previous, eleven.next) == ((), ())


# RSNA


def published_rsna(folder, *rows):
    write_table(folder / "stage_2_train.csv", ("ID", "Label"), *rows)
    (folder / "stage_2_train").mkdir(exist_ok=True)
    return folder


def six_rows(identifier, *positive):
    order = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any")
    return [(f"{identifier}_{name}", int(name in positive)) for name in order]


def test_the_published_rsna_folder_is_read(tmp_path):
    phantom = make_phantom([Bleed("subdural", 30)], slices=1, rows=64, columns=64, spacing_mm=3.5)
    folder = published_rsna(tmp_path / "rsna", *six_rows("ID_000039fa0", "subdural", "any"), *six_rows("ID_00005679d"))
    write_dicom_series(phantom, folder / "made")[0].rename(folder / "stage_2_train" / "ID_000039fa0.dcm")
    blood, missing = load_samples(tmp_path, ["rsna"])
    assert (blood.labels, blood.blood_free) == ((1, 0, 0, 0, 0, 1), False)
    assert (missing.labels, missing.blood_free) == ((0, 0, 0, 0, 0, 0), True)
    scan = blood.scan()
    assert scan.calibrated
    assert np.abs(scan.hu - np.rint(phantom.scan.hu)).max() <= 1
    with pytest.raises(BadScan, match="cannot be opened"):
        missing.scan()


def test_published_slices_of_one_patient_share_a_group(tmp_path):
    phantom = make_phantom(slices=2, rows=64, columns=64, spacing_mm=3.5)
    folder = published_rsna(tmp_path / "rsna", *six_rows("ID_a"), *six_rows("ID_b"), *six_rows("ID_c"))
    for path, name in zip(write_dicom_series(phantom, folder / "made"), ("ID_a", "ID_b"), strict=True):
        path.rename(folder / "stage_2_train" / f"{name}.dcm")
    (folder / "stage_2_train" / "ID_c.dcm").write_bytes(b"no DICOM")
    a, b, c = load_samples(tmp_path, ["rsna"])
    assert a.group == b.group != c.group
    assert c.group == "rsna/ID_c"


def test_published_slices_know_their_neighbours_by_position(tmp_path):
    phantom = make_phantom(slices=3, rows=64, columns=64, spacing_mm=3.5)
    identifiers = ("ID_c", "ID_a", "ID_b")  # from the base up
    folder = published_rsna(tmp_path / "rsna", *(row for name in sorted(identifiers) for row in six_rows(name)))
    for path, name in zip(write_dicom_series(phantom, folder / "made"), identifiers, strict=True):
        path.rename(folder / "stage_2_train" / f"{name}.dcm")
    a, b, c = load_samples(tmp_path, ["rsna"])
    assert (files(c.previous), files(c.next)) == ([], ["ID_a.dcm", "ID_b.dcm"])
    assert (files(a.previous), files(a.next)) == (["ID_c.dcm"], ["ID_b.dcm"])
    assert (files(b.previous), files(b.next)) == (["ID_a.dcm", "ID_c.dcm"], [])


def test_repeated_rows_of_the_published_table_count_once(tmp_path):
    rows = six_rows("ID_a", "epidural", "any")
    published_rsna(tmp_path / "rsna", *rows, *rows)
    assert [one.labels for one in load_samples(tmp_path, ["rsna"])] == [(1, 1, 0, 0, 0, 0)]


def test_a_published_slice_with_a_class_missing_is_refused(tmp_path):
    published_rsna(tmp_path / "rsna", *six_rows("ID_a")[1:])
    with pytest.raises(BadData, match="lacks or garbles"):
        load_samples(tmp_path, ["rsna"])


def test_slices_of_one_compact_study_share_a_group(tmp_path):
    header = ("file", *CLASSES[1:], "any", "study")
    free = (0,) * 6
    write_table(
        tmp_path / "rsna" / "labels.csv",
        header,
        ("a.webp", *free, "s1"),
        ("b.webp", *free, ""),
        ("c.webp", *free, "s1"),
    )
    a, b, c = load_samples(tmp_path, ["rsna"])
    assert (a.group, b.group, c.group) == ("rsna/s1", "rsna/b", "rsna/s1")
    assert a.window == BRAIN
    assert not any(one.previous or one.next for one in (a, b, c))  # the table does not order a study


# PHE-SICH


def test_phe_sich_knows_parenchymal_blood_only(tmp_path):
    header = "file,patient,slice,intraparenchymal,beside_positive,blood_pseudo_mask,pseudo_suspect,boxes_x0y0x1y1"
    write_table(
        tmp_path / "phe_sich" / "labels.csv",
        header.split(","),
        ("a.webp", "0001", 0, 0, 0, "", 0, "[]"),
        ("b.webp", "0001", 1, 0, 1, "", 0, "[]"),
        ("c.webp", "0001", 2, 1, 0, "c.png", 0, "[[1, 2, 3, 4]]"),
        ("d.webp", "0001", 3, 1, 0, "d.png", 1, "[[1, 2, 3, 4]]"),
    )
    free, masked, doubtful = load_samples(tmp_path, ["phe_sich"])  # b lies beside blood: it is left out
    assert unknown(free.labels) == [0, None, 0, None, None, None]
    assert unknown(masked.labels) == [1, None, 1, None, None, None]
    assert free.blood_free
    assert masked.mask.name == "c.png"
    assert doubtful.mask is None  # a doubtful pseudo mask stands back behind the expert's box
    assert doubtful.boxes == (Box(1, 2, 3, 4, "intraparenchymal"),)


def test_phe_sich_gives_no_neighbours_for_having_them_would_tell_who_bleeds(tmp_path):
    header = "file,patient,slice,intraparenchymal,beside_positive,blood_pseudo_mask,pseudo_suspect,boxes_x0y0x1y1"
    rows = [(f"{number}.webp", "0001", number, 0, 0, "", 0, "[]") for number in range(3)]
    write_table(tmp_path / "phe_sich" / "labels.csv", header.split(","), *rows)
    for number in range(3):
        write_picture(tmp_path / "phe_sich" / "images" / f"{number}.webp")
    assert not any(one.previous or one.next for one in load_samples(tmp_path, ["phe_sich"]))


# Slices of one's own


def test_own_slices_and_what_follows_from_their_labels(tmp_path):
    write_table(
        tmp_path / "own" / "labels.csv",
        ["file", "patient", *CLASSES, "mask", "window"],
        ("a/1.dcm", "P1", "", 1, 0, "", "", "", "a/1_mask.png", ""),
        ("a/2.png", "P1", "", 0, 0, 0, 0, 0, "", "80/200"),
        ("b/1.png", "P2", 0, "", "", "", "", "", "", ""),
        ("b/2.png", "P2", "", 0, 0, "", "", "", "", ""),
        ("b/3.png", "P2", 1, "", "", "", "", "", "", ""),
    )
    bleeds, free, said_free, open_question, somewhere = load_samples(tmp_path, ["own"])
    assert unknown(bleeds.labels) == [1, 1, 0, None, None, None]
    assert unknown(free.labels) == unknown(said_free.labels) == [0] * 6
    assert unknown(open_question.labels) == [None, 0, 0, None, None, None]
    assert unknown(somewhere.labels) == [1, None, None, None, None, None]
    assert [one.blood_free for one in (bleeds, free, said_free, open_question)] == [False, True, True, False]
    assert bleeds.mask == tmp_path / "own" / "a" / "1_mask.png"
    assert (free.window, bleeds.window) == (Window(80, 200), BRAIN)
    assert (bleeds.group, somewhere.key) == ("own/P1", "own/b/3.png")


def test_own_slices_are_neighbours_by_number_within_patient_and_series(tmp_path):
    rows = [("P1", "s", 2), ("P1", "s", 1), ("P1", "t", 3), ("P2", "s", 3), ("P2", "s", 4), ("P2", "s", "")]
    write_table(
        tmp_path / "own" / "labels.csv",
        ["file", "patient", "series", "slice"],
        *((f"{line}.png", *row) for line, row in enumerate(rows)),
    )
    for line in range(len(rows)):
        write_picture(tmp_path / "own" / f"{line}.png")
    found = [(files(one.previous), files(one.next)) for one in load_samples(tmp_path, ["own"])]
    assert found == [(["1.png"], []), ([], ["0.png"]), ([], []), ([], ["4.png"]), (["3.png"], []), ([], [])]


def test_own_dicom_without_numbers_is_ordered_by_position_and_kept_to_its_patient(tmp_path):
    phantom = make_phantom(slices=2, rows=64, columns=64, spacing_mm=3.5)
    for patient in ("P1", "P2"):  # the same UIDs twice
        low, high = write_dicom_series(phantom, tmp_path / "own" / patient)
        low.rename(low.with_name("z.dcm"))
        high.rename(high.with_name("a.dcm"))
    table = tmp_path / "own" / "labels.csv"
    write_table(table, ["file", "patient"], *((f"{p}/{name}.dcm", p) for p in ("P1", "P2") for name in "az"))
    samples = load_samples(tmp_path, ["own"])
    assert [(files(one.previous), files(one.next)) for one in samples] == [(["z.dcm"], []), ([], ["a.dcm"])] * 2
    for one in samples:
        assert {path.parent.name for path in (*one.previous, *one.next)} == {one.patient}
        assert one.window is None  # DICOM states Hounsfield units
        assert one.scan().calibrated


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([("a.png", "P1", "one", "")], "line 2: a slice is a whole number, not 'one'"),
        ([("a.png", "P1", 1, ""), ("b.png", "P1", 1, "")], "Two slices of patient P1 have the number 1"),
        ([("a.png", "P1", 1, ""), ("b.png", "P1", 2, "40/120")], "line 3: patient P1 has slices in several windows"),
    ],
)
def test_own_numbers_with_faults_are_refused(tmp_path, rows, sentence):
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / "own" / name)
    write_table(tmp_path / "own" / "labels.csv", ["file", "patient", "slice", "window"], *rows)
    with pytest.raises(BadData, match=sentence):
        load_samples(tmp_path, ["own"])


def test_own_tables_may_leave_columns_out(tmp_path):
    write_table(tmp_path / "own" / "labels.csv", ["file", "patient", "any"], ("1.dcm", "P1", 1))
    (one,) = load_samples(tmp_path, ["own"])
    assert unknown(one.labels) == [1, None, None, None, None, None]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("", "P1", 1, "", ""), "line 2: `file` and `patient` are needed"),
        (("1.dcm", "", 1, "", ""), "line 2: `file` and `patient` are needed"),
        (("1.dcm", "P1", 2, "", ""), "line 2: a label is 0, 1 or empty, not '2'"),
        (("1.dcm", "P1", 0, 1, ""), "line 2: `any` contradicts the subtypes"),
        (("1.dcm", "P1", 1, "", "wide"), "line 2: A window is written LEVEL/WIDTH"),
    ],
)
def test_own_tables_with_faults_are_refused(tmp_path, row, sentence):
    write_table(tmp_path / "own" / "labels.csv", ["file", "patient", "any", "epidural", "window"], row)
    with pytest.raises(BadData, match=sentence):
        load_samples(tmp_path, ["own"])


# What is wrong


@pytest.mark.parametrize("name", ["ct_ich", "rsna"])
def test_a_folder_of_neither_layout_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(BadData, match=r"neither labels\.csv nor"):
        load_samples(tmp_path, [name])


def test_missing_folders_sets_and_tables_are_named(tmp_path):
    with pytest.raises(BadData, match="no data folder"):
        load_samples(tmp_path / "nowhere", ["rsna"])
    with pytest.raises(BadData, match=r"no folder rsna; docs/how-to/data\.md"):
        load_samples(tmp_path, ["rsna"])
    with pytest.raises(BadData, match="no data set 'cq500'; there are ct_ich, phe_sich, rsna"):
        load_samples(tmp_path, ["cq500"])
    (tmp_path / "ct_ich" / "Patients_CT").mkdir(parents=True)
    with pytest.raises(BadData, match=r"no hemorrhage_diagnosis\.csv"):
        load_samples(tmp_path, ["ct_ich"])
    (tmp_path / "rsna" / "stage_2_train").mkdir(parents=True)
    with pytest.raises(BadData, match=r"no table .*stage_2_train\.csv"):
        load_samples(tmp_path, ["rsna"])
    (tmp_path / "empty.csv").write_text("ID,Label\n")
    with pytest.raises(BadData, match="is empty"):
        read_table(tmp_path / "empty.csv")


@pytest.mark.parametrize(
    ("name", "lacks"), [("ct_ich", "label_trusted"), ("phe_sich", "beside_positive"), ("rsna", "study")]
)
def test_a_table_that_lacks_a_column_is_named(tmp_path, name, lacks):
    (tmp_path / name / "images").mkdir(parents=True)
    columns = dict.fromkeys(("file", "patient", "slice", "mask", "label_trusted", "beside_positive", *CLASSES), "0")
    columns.pop(lacks, None)
    (tmp_path / name / "labels.csv").write_text(f"{','.join(columns)}\n{','.join(columns.values())}\n")
    (tmp_path / name / "boxes.csv").write_text("file,class,x0,y0,x1,y1\n0,epidural,1,2,3,4\n")
    with pytest.raises(BadData, match=f"A table of .*{name} cannot be understood: KeyError, '{lacks}'"):
        load_samples(tmp_path, [name])


@pytest.mark.parametrize(
    "change", [{"any": "0"}, {"epidural": "2"}, {"subdural": ""}, {"epidural": "0", "any": "1"}, {"any": "nan"}]
)
def test_labels_that_contradict_themselves_are_refused(change):
    row = dict.fromkeys(CLASSES, "0") | {"any": "1", "epidural": "1"}
    assert subtype_labels(row) == (1, 1, 0, 0, 0, 0)
    with pytest.raises(BadData):
        subtype_labels(row | change)


def test_a_key_does_not_depend_on_where_the_data_lies(tmp_path):
    labels = (UNKNOWN,) * 6
    one = Sample("rsna", "p", tmp_path / "a" / "images" / "x.webp", labels, BRAIN)
    two = Sample("rsna", "p", tmp_path / "b" / "images" / "x.webp", labels, BRAIN)
    assert one.key == two.key == "rsna/images/x.webp"


# Real data


def test_the_real_ct_ich_has_what_its_description_says(data_folder):
    # 2,501 slices of 82 patients and 96 masks; patient 49 has 33 of the slices and one of the masks.
    samples = load_samples(data_folder, ["ct_ich"])
    assert len(samples) == 2501 - 33
    assert len({one.group for one in samples}) == 82 - 1
    assert "ct_ich/49" not in {one.group for one in samples}
    assert sum(one.mask is not None for one in samples) == 96 - 1
    assert len({one.group for one in samples if one.mask}) == 26 - 1
    assert all(one.labels[0] == 1 for one in samples if one.mask)
    assert len({one.key for one in samples}) == len(samples)


def test_the_real_ct_ich_slices_lie_between_the_slices_of_their_numbers(data_folder):
    samples = load_samples(data_folder, ["ct_ich"])
    by_name = {one.image.name: one for one in samples}
    middle = by_name["052_10.jpg"]
    assert (files(middle.previous[:2]), files(middle.next[:2])) == (
        ["052_09.jpg", "052_08.jpg"],
        ["052_11.jpg", "052_12.jpg"],
    )
    assert sum(not one.previous for one in samples) == sum(not one.next for one in samples) == 82 - 1
    for one in samples:  # files are named PPP_NN.jpg
        assert {path.name[:3] for path in (*one.previous, *one.next)} == {one.image.name[:3]}


def test_the_real_rsna_and_phe_sich_have_what_their_descriptions_say(data_folder):
    rsna = load_samples(data_folder, ["rsna"])
    assert len(rsna) == 3364
    assert sum(one.labels[1] for one in rsna) == 13  # epidural is rare
    assert max(Counter(one.group for one in rsna).values()) > 1
    phe = load_samples(data_folder, ["phe_sich"])
    assert sum(one.labels[0] == 1 for one in phe) == 712
    assert sum(one.mask is not None for one in phe) == 712 - 19  # 19 pseudo masks are doubtful
    assert all(one.boxes for one in phe if one.labels[0] == 1)


def test_real_slices_and_masks_are_on_one_grid(data_folder):
    for name, side in (("ct_ich", 650), ("phe_sich", 320)):
        sample = next(one for one in load_samples(data_folder, [name]) if one.mask)
        assert sample.scan().hu.shape == (1, side, side)
        assert 10 < (sample.target(side, side) == BLOOD).sum() < side * side / 4
