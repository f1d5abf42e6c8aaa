"""Pasted bleeds: another patient's blood where it would lie here, as dense against the brain, its truth beside it."""

import cv2
import numpy as np
import pytest

from hemoscope.errors import BadData
from hemoscope.phantom import Bleed, make_phantom
from hemoscope.scan import BRAIN, Scan
from training.datasets.pasting import KINDS, SOURCE, kind_of, paste_bleed, pasted_samples
from training.datasets.sample import BLOOD, NO_BLOOD, UNKNOWN, Sample
from training.datasets.synthesis import FAINTEST_HU, find_head

SIDE = 256
NONE = (0.0,) * 6


def slice_of(phantom, index):
    return Scan(phantom.scan.hu[index : index + 1], calibrated=True)


def made(bleeds=(), **settings):
    return make_phantom(
        bleeds=list(bleeds), slices=7, rows=SIDE, columns=SIDE, spacing_mm=0.9, slice_spacing_mm=16, noise_hu=2,
        **{"seed": 1} | settings,
    )  # fmt: skip


@pytest.fixture(scope="module", params=["epidural", "intraparenchymal", "subdural"])
def donor(request):
    """(kind, slice, mask) of the phantom's slice with most of a bleed of 30 ml."""
    phantom = made([Bleed(request.param, 30)], seed=2)
    index = int((phantom.labels > 0).sum(axis=(1, 2)).argmax())
    return request.param, slice_of(phantom, index), phantom.labels[index] > 0


@pytest.fixture(scope="module")
def host():
    return find_head(slice_of(made(), 3))


def pasted(host, donor, seeds=range(12)):
    kind, scan, mask = donor
    head = find_head(scan)
    found = [paste_bleed(host, head, mask, kind, np.random.default_rng(seed)) for seed in seeds]
    return head, [one for one in found if one is not None]


def test_a_pasted_bleed_is_inside_the_skull_and_brighter_than_what_was_there(host, donor):
    _, bleeds = pasted(host, donor)
    assert len(bleeds) >= 8
    for hu, blood in bleeds:
        assert not blood[~host.inside].any()
        assert (hu - host.hu)[blood].mean() >= FAINTEST_HU
        far = cv2.dilate(blood.astype(np.uint8), np.ones((41, 41), np.uint8)) == 0
        assert np.abs(hu - host.hu)[far].max() < 0.5


def test_it_is_as_large_and_as_far_from_the_skull_as_it_was(host, donor):
    kind, _, mask = donor
    head, bleeds = pasted(host, donor)
    inside = mask & head.inside  # without what lies in the skull's own blur
    before, depth = inside.sum() / head.mm**2, head.depth_mm[inside].min()
    for _, blood in bleeds:
        assert blood.sum() / host.mm**2 == pytest.approx(before, rel=0.4)
        if kind != "intraparenchymal":
            assert host.depth_mm[blood].min() == pytest.approx(depth, abs=2.5)


def test_it_is_as_much_denser_than_the_brain_as_it_was(host, donor):
    _, scan, mask = donor
    head, bleeds = pasted(host, donor)
    before = np.median(scan.hu[0][mask & head.inside]) - head.brain_hu
    for hu, blood in bleeds:
        assert np.median(hu[blood]) - host.brain_hu == pytest.approx(before, abs=9)  # thin ones lose some at the rim


def test_it_lies_on_either_side(host, donor):
    middle = np.nonzero(host.inside)[1].mean()
    sides = {bool(np.nonzero(blood)[1].mean() > middle) for _, blood in pasted(host, donor)[1]}
    assert sides == {False, True}


@pytest.fixture
def samples(tmp_path):
    """A host, and a donor of each kind that can be pasted, as pictures of the brain window."""

    def write(name, hu):
        grey = np.rint(np.clip((hu - BRAIN.lowest_hu) / BRAIN.width, 0, 1) * 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / name), grey)
        return tmp_path / name

    found = [Sample("rsna", "1", write("host.png", made().scan.hu[3]), NONE, BRAIN, blood_free=True)]
    for place, kind in ((1, "epidural"), (2, "intraparenchymal"), (5, "subdural")):
        phantom = made([Bleed(kind, 40)], seed=place)
        index = int((phantom.labels > 0).sum(axis=(1, 2)).argmax())
        mask = tmp_path / f"mask_{kind}.png"
        cv2.imwrite(str(mask), (phantom.labels[index] > 0).astype(np.uint8) * 255)
        labels = tuple(float(number in (0, place)) for number in range(6))
        found.append(Sample("ct_ich", kind, write(f"{kind}.png", phantom.scan.hu[index]), labels, BRAIN, mask))
    return found


def test_every_kind_is_pasted_as_often_and_labelled_as_its_donor(samples):
    found = pasted_samples(samples, 9, seed=3)
    assert [kind_of(one.donor) for one in found] == list(KINDS) * 3
    for one in found:
        assert one.labels == one.donor.labels
        assert (one.source, one.group) == (SOURCE, "pasted/rsna/1")
        scan, target = one.scan(), one.target(SIDE, SIDE)
        assert set(np.unique(target)) == {NO_BLOOD, BLOOD}
        assert BRAIN.lowest_hu <= scan.hu.min() and scan.hu.max() <= BRAIN.highest_hu
        assert ((one.candidates(target) > 0) == (target == BLOOD)).all()
    assert len({one.key for one in found}) == 9


def test_the_same_seed_pastes_the_same(samples):
    one, two = (pasted_samples(samples, 4, seed=3) for _ in range(2))
    assert one == two
    assert np.array_equal(one[0].scan().hu, two[0].scan().hu)


def test_what_cannot_be_pasted_is_no_donor(samples):
    _, epidural, *_ = samples
    assert kind_of(epidural) == "epidural"
    both = Sample("ct_ich", "9", epidural.image, (1.0, 1.0, 0.0, 0.0, 0.0, 1.0), BRAIN, epidural.mask)
    ventricles = Sample("ct_ich", "9", epidural.image, (1.0, 0.0, 0.0, 1.0, 0.0, 0.0), BRAIN, epidural.mask)
    unmasked = Sample("ct_ich", "9", epidural.image, epidural.labels, BRAIN)
    assert [kind_of(one) for one in (both, ventricles, unmasked, samples[0])] == ["", "", "", ""]
    parenchymal = (1.0, UNKNOWN, 1.0, UNKNOWN, UNKNOWN, UNKNOWN)
    assert kind_of(Sample("phe_sich", "9", epidural.image, parenchymal, BRAIN, epidural.mask)) == "intraparenchymal"


def test_without_donors_or_hosts_nothing_is_pasted(samples):
    assert pasted_samples(samples[:1], 5, seed=1) == []
    assert pasted_samples(samples[1:], 5, seed=1) == []


def test_pasting_between_neighbours_is_refused(samples):
    (one,) = pasted_samples(samples, 1, seed=1)
    with pytest.raises(BadData, match="made one by one"):
        one.in_context(1)
