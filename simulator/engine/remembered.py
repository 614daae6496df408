"""What moto and botocore work out again for every call, worked out once: a third of the time of a simulated call.

None of it changes an answer. The seams are held while a world is active, and restored:

===================================== ================================================================================
seam                                  why
===================================== ================================================================================
``responses.method_names_from_class`` moto lists the methods of its class for every call
``AttributePicker.get_possible_keys`` moto tries the same names for a member of an answer every time that it writes one
``RequestSigner.sign``                moto checks no signature
``UserAgentString.to_string``         botocore builds a user agent twice for every call, and nobody reads it
``_parse_timestamp_with_tzinfo``      botocore asks for the time zone for each timestamp, and the same come again
``BaseBackend.urls``                  moto puts together again which addresses a backend has
``responses.gen_amzn_requestid_long`` moto draws 52 random letters for each answer, and nobody reads them
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
from moto.core.base_backend import BaseBackend
from moto.core.serialize import XFormedAttributePicker
from moto.core.utils import method_names_from_class

USER_AGENT = REQUEST_ID = "simulated"

_parse_timestamp = lru_cache(maxsize=4096)(botocore.utils._parse_timestamp_with_tzinfo)  # noqa: SLF001 (a seam)

_possible_keys: Callable[[Any, Any], Iterator[str]] = XFormedAttributePicker.get_possible_keys
_urls: Callable[[BaseBackend], dict[str, Any]] = BaseBackend.urls.fget  # type: ignore[attr-defined]  # a property


def _request_id(headers: dict[str, Any]) -> str:
    headers["x-amzn-requestid"] = REQUEST_ID
    return REQUEST_ID


@contextmanager
def installed() -> Iterator[None]:
    """Hold the seams for the ``with`` block."""
    remembered: dict[tuple[Any, ...], tuple[str, ...]] = {}
    addresses: dict[type, dict[str, Any]] = {}

    def urls(backend: BaseBackend) -> dict[str, Any]:
        kind = type(backend)
        if kind not in addresses:
            addresses[kind] = _urls(backend)
        return addresses[kind]

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
        seams.enter_context(patch.object(responses, "gen_amzn_requestid_long", _request_id))
        seams.enter_context(patch.object(BaseBackend, "urls", property(urls)))
        seams.enter_context(patch.object(XFormedAttributePicker, "get_possible_keys", possible_keys))
        seams.enter_context(patch.object(RequestSigner, "sign", lambda *_a, **_k: None))
        seams.enter_context(patch.object(botocore.utils, "_parse_timestamp_with_tzinfo", _parse_timestamp))
        seams.enter_context(patch.object(UserAgentString, "to_string", lambda _self: USER_AGENT))
        yield
