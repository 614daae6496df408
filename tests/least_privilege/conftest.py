"""The steps of the workflows type here too, in a simulated AWS."""

from tests.stepship.conftest import history_in_pages, refuse, settings, simulated  # noqa: F401 (fixtures)
from tests.workflows.conftest import runner  # noqa: F401 (the same)
