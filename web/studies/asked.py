"""What an address asks of the worklist, for the JSON API: a filter, a page, and how many studies a page has.

In: the query of a request. Out: checked values; a wrong one is an error that says what was expected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, get_args

from hemoscope.errors import BadRequest
from hemoscope.findings import Finding

if TYPE_CHECKING:
    from web.history.worklist import Filter

FINDINGS = (*get_args(Finding), "not_read")
TRUTHS = {"true": True, "false": False}
LARGEST_PAGE = 10**9


@dataclass(frozen=True)
class Asked:
    """Which part of the worklist is wanted; pages count from 1."""

    filter: "Filter"
    page: int
    rows_a_page: int


def asked_of(query: Mapping[str, str]) -> Asked:
    """Read the query; what it does not name filters nothing.

    Raises:
        BadRequest: for a value that cannot be read.
    """
    from web.history.worklist import LONGEST_TEXT, MOST_ROWS, ROWS_A_PAGE, Filter

    text = query.get("text", "")
    if len(text) > LONGEST_TEXT:
        raise BadRequest(f"text has at most {LONGEST_TEXT} letters; got {len(text)}.")
    finding: Any = _choice(query, "finding", FINDINGS)  # one of them, or None
    unread = _choice(query, "unread", tuple(TRUTHS))
    wanted = Filter(
        finding=finding,
        unread=None if unread is None else TRUTHS[unread],
        first_date=_date(query, "first_date"),
        last_date=_date(query, "last_date"),
        text=text,
    )
    return Asked(wanted, _count(query, "page", 1, LARGEST_PAGE), _count(query, "rows", ROWS_A_PAGE, MOST_ROWS))


def _choice(query: Mapping[str, str], name: str, choices: Sequence[str]) -> str | None:
    value = query.get(name)
    if value is not None and value not in choices:
        raise BadRequest(f"{name} is one of {', '.join(choices)}; got {value[:64]!r}.")
    return value


def _date(query: Mapping[str, str], name: str) -> date | None:
    value = query.get(name)
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise BadRequest(f"{name} is a date such as 2026-11-22; got {value[:64]!r}.") from None


def _count(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    value = query.get(name, str(default))
    digits = value.isascii() and value.isdigit() and len(value) <= len(str(most))
    if not digits or not 1 <= int(value) <= most:
        raise BadRequest(f"{name} is a number from 1 to {most}; got {value[:64]!r}.")
    return int(value)
