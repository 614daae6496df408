"""How long ``cdk synth`` takes for one environment, and which stack takes it.

Run by itself (``python -m benchmarks.synthesis``) it prints the figures as JSON: the benchmark starts it in a
process of its own, because importing the CDK is a part of what a person waits for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

from statemachine.node import use_packaged_node

ENVIRONMENT = "dev"


def measure(*, validation: bool) -> dict[str, Any]:
    """Return seconds: ``import``, ``stacks`` (name to seconds), ``synth`` and ``total``.

    Parameters
    ----------
    validation
        With CloudFormation validation, as ``make synth`` runs it, or without, as the tests do.
    """
    environment = {**os.environ, "CDK_VALIDATION": str(validation).lower()}
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.synthesis"], env=environment, check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Synthesise one environment and print how long its parts took."""
    use_packaged_node()
    begin = time.perf_counter()
    import aws_cdk as cdk  # noqa: PLC0415 (importing it is measured)
    from cdk_nag import AwsSolutionsChecks  # noqa: PLC0415 (the same)

    import config  # noqa: PLC0415 (the same)
    from stacks.stages import NEEDS  # noqa: PLC0415 (the same)

    imported = time.perf_counter()
    settings = config.load(ENVIRONMENT)
    app = cdk.App()
    stacks: dict[str, float] = {}
    for kind in NEEDS:
        before = time.perf_counter()
        kind(app, settings=settings)
        stacks[kind.PART] = time.perf_counter() - before
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    built = time.perf_counter()
    app.synth()
    end = time.perf_counter()
    figures = {"import": imported - begin, "stacks": stacks, "synth": end - built, "total": end - begin}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
