"""What can go wrong, by the names that logs and answers carry.

::

    ItemError
    ├── BadItem      what a caller sends is no item, or its id is none: 400
    ├── NoSuchItem   there is no item of that id: 404
    └── Busy         table or queue does not take it now; worth another try: 503
"""

from __future__ import annotations


class ItemError(Exception):
    """Base of all; nobody raises it itself.

    Attributes
    ----------
    STATUS
        What the API answers (RFC 9110).
    """

    STATUS: int


class BadItem(ItemError):
    """What a caller sends is no item, or its id is none."""

    STATUS = 400


class NoSuchItem(ItemError):
    """There is no item of that id."""

    STATUS = 404


class Busy(ItemError):
    """Table or queue does not take it now; worth another try."""

    STATUS = 503
