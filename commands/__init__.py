"""Commands of `hemoscope` that have a module of their own; `cli.py` joins them."""
