"""What moto and botocore work out again for every call, worked out once: a third of the time of a simulated call.

None of it changes an answer. The seams are held while a world is active, and restored:

===================================== ================================================================================
seam                                  why
===================================== ================================================================================
``responses.method_names_from_class`` moto lists the methods of its class for every call
``AttributePicker.get_possible_keys`` moto tries the same names for a member of an answer every time that it writes one
``RequestSigner.sign``                moto checks no signature
``UserAgentString.to_string``         botocore builds a user agent twice for every call, and nobody reads it
``_parse_timestamp_with_tzinfo``      botocore asks for the time zone for each timestamp of an answer, and the same moments
                                      come again with every look
===================================== ================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache
from typing import Any
from unittest.mock import patch

import botocore.utils
from botocore.signers import RequestSigner
from botocore.useragent import UserAgentString
from moto.core import responses
from moto.core.serialize import XFormedAttributePicker
from moto.core.utils import method_names_from_class

USER_AGENT = "simulated"

_parse_timestamp = lru_cache(maxsize=4096)(botocore.utils._parse_timestamp_with_tzinfo)  # noqa: SLF001 (a seam)

_possible_keys: Callable[[Any, Any], Iterator[str]] = XFormedAttributePicker.get_possible_keys


@contextmanager
def installed() -> Iterator[None]:
    """Hold the seams for the ``with`` block."""
    remembered: dict[tuple[Any, ...], tuple[str, ...]] = {}

    def possible_keys(picker: Any, context: Any) -> tuple[str, ...]:
        # All that moto's alias providers look at.
        shape = context.shape
        parent = getattr(shape, "parent", None)
        about = (
            context.key,
            type(context.obj),
            context.service_model.service_name,
            getattr(shape, "name", None),
            getattr(parent, "name", None),
            tuple(picker.alias_providers),
            shape.serialization.get("name") if shape is not None else None,
        )
        found = remembered.get(about)
        if found is None:
            found = remembered[about] = tuple(_possible_keys(picker, context))
        return found

    with ExitStack() as seams:
        seams.enter_context(patch.object(responses, "method_names_from_class", cache(method_names_from_class)))
        seams.enter_context(patch.object(XFormedAttributePicker, "get_possible_keys", possible_keys))
        seams.enter_context(patch.object(RequestSigner, "sign", lambda *_a, **_k: None))
        seams.enter_context(patch.object(botocore.utils, "_parse_timestamp_with_tzinfo", _parse_timestamp))
        seams.enter_context(patch.object(UserAgentString, "to_string", lambda _self: USER_AGENT))
        yield
