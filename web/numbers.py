"""Numbers in addresses, as the history gives them to studies and jobs.

In: a part of an address. Out: an integer that every database can look for; for any other there is no such address.
"""

from werkzeug.routing import IntegerConverter

MOST_DIGITS = 9
LARGEST_NUMBER = 10**MOST_DIGITS - 1  # below 2**31, where PostgreSQL's integer columns end


class NumberConverter(IntegerConverter):
    """`<number:...>` in a route. A pattern refuses what is too large: a converter's limit would make it a 405."""

    regex = f"[0-9]{{1,{MOST_DIGITS}}}"
