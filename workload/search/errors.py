"""What can go wrong, by the names that logs and answers carry.

::

    SearchError
    ├── SearchUnavailable   no answer, or none in time; the server is starting or overloaded: worth another try
    ├── KeyRefused          the server wants another API key, also after it was fetched again
    ├── NotIndexed          there is no such collection, alias or document
    ├── RequestRefused      the server says that the request itself is wrong
    ├── BadMessage          what came through the queue is no message of ours
    └── BadQuery            what a caller asks for is not possible
"""

from __future__ import annotations


class SearchError(Exception):
    """Base of all; nobody raises it itself."""


class SearchUnavailable(SearchError):
    """No answer, or none in time; worth another try."""


class KeyRefused(SearchError):
    """The server wants another API key, also after it was fetched again."""


class NotIndexed(SearchError):
    """There is no such collection, alias or document."""


class RequestRefused(SearchError):
    """The server says that the request itself is wrong."""


class BadMessage(SearchError):
    """What came through the queue is no message of ours."""


class BadQuery(SearchError):
    """What a caller asks for is not possible."""
