"""A function's environment variables, as validated types.

Each section of the config that a step needs is one variable holding JSON; its type is the policy of the
same name in ``lambdas/release/policies.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from lambdas.release.policies import Identity, Policy

P = TypeVar("P", bound=Policy)


def variable(kind: type[Policy]) -> str:
    """Return the name of a section's environment variable, such as ``STEPSHIP_LOCK``."""
    return f"STEPSHIP_{kind.section.upper()}"


def read_policy(kind: type[P], environ: Mapping[str, str]) -> P:
    """Read one section.

    Raises
    ------
    KeyError
        The function was deployed without the variable.
    TypeError
        The variable holds another version's keys.
    """
    values = json.loads(environ[variable(kind)])
    for name, hint in get_type_hints(kind).items():
        if isinstance(values.get(name), list):
            make: Callable[..., Any] = get_args(hint)[0]
            values[name] = tuple(make(**each) if is_dataclass(make) else each for each in values[name])
    return kind(**values)


def dump_policy(policy: Policy) -> dict[str, str]:
    """Return the variable that ``read_policy`` understands."""
    return {variable(type(policy)): json.dumps(asdict(policy), sort_keys=True)}


def read_identity(environ: Mapping[str, str]) -> Identity:
    """Read ``STEPSHIP_APP``, ``STEPSHIP_ENVIRONMENT`` and ``STEPSHIP_TABLE``; KeyError when one is missing."""
    return Identity(environ["STEPSHIP_APP"], environ["STEPSHIP_ENVIRONMENT"], environ["STEPSHIP_TABLE"])


def dump_identity(identity: Identity) -> dict[str, str]:
    """Return the variables that ``read_identity`` understands."""
    return {
        "STEPSHIP_APP": identity.app,
        "STEPSHIP_ENVIRONMENT": identity.environment,
        "STEPSHIP_TABLE": identity.table,
    }
