"""What texts of a request must look like, and how that is said in words."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

NAME = r"^[^\x00-\x1f\x7f/\\]+$"
LINE = r"^[^\x00-\x1f\x7f]*$"
ID = r"^[0-9a-f]{24}$"
PLACE = r"^(\d{1,12}\.\d{1,9}-)?[0-9a-f]{24}$"
IN_WORDS = {
    NAME: "must be one line without a slash",
    LINE: "must be one line",
    ID: "is no id, which has 24 characters of 0 to 9 and a to f",
    PLACE: "is neither the id of a job nor the `next` of a page",
}
"""What a text that does not fit a pattern lacks."""


def address_parts(address: str) -> SplitResult:
    """Return the parts of an address, all of them empty where it is malformed, as ``http://[`` is."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")
