from itertools import combinations

from hemoscope.labels import ANY, CLASSES, COLOURS, SUBTYPES


def test_any_comes_first_and_the_subtypes_follow_in_alphabetical_order():
    assert CLASSES == ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
    assert (ANY, *SUBTYPES) == CLASSES


def test_every_class_has_its_own_colour():
    assert set(COLOURS) == set(CLASSES)
    assert all(0 <= part <= 255 for colour in COLOURS.values() for part in colour)
    nearest = min(
        sum((a - b) ** 2 for a, b in zip(COLOURS[one], COLOURS[other], strict=True)) ** 0.5
        for one, other in combinations(CLASSES, 2)
    )
    assert nearest > 60
