"""The command line types here too: its history is paged as AWS pages it, and AWS may refuse it something."""

from tests.stepship.conftest import history_in_pages, refuse  # noqa: F401 (fixtures)
