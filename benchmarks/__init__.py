"""Measurements of the installed product. They print; nothing imports them."""
