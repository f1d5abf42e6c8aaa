"""The six classes: order, names, abbreviations and colours. The only list of them.

In: nothing. Out: constants. Every array with a class axis in this project uses this order.
"""

ANY = "any"
SUBTYPES = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
CLASSES = (ANY, *SUBTYPES)

# Okabe and Ito's palette: the six stay distinct under the common forms of colour blindness
# (Okabe M, Ito K. Color Universal Design, 2008). RGB, 0..255.
COLOURS: dict[str, tuple[int, int, int]] = {
    "any": (230, 159, 0),
    "epidural": (0, 158, 115),
    "intraparenchymal": (213, 94, 0),
    "intraventricular": (86, 180, 233),
    "subarachnoid": (240, 228, 66),
    "subdural": (204, 121, 167),
}
