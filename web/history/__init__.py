"""The history: studies that were sent, kept in a folder, and what was read in them, kept in a database.

`opening.History` is the door; it loads SQLAlchemy when it is first opened, so that a server starts as fast as before.
docs/reference/history.md describes what is kept, docs/decisions/0013-history.md why so.
"""
