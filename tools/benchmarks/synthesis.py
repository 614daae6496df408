"""How long ``cdk synth`` takes for one environment, and which stack takes it.

Run by itself (``python -m tools.benchmarks.synthesis``) it prints the figures as JSON: the benchmark starts it in a
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
from tools.benchmarks.document import table
from tools.benchmarks.machine import measured_here

ENVIRONMENT = "dev"


def section() -> str:
    """Measure, and return the Markdown."""
    begin = time.monotonic()
    plain, validated = measure(validation=False), measure(validation=True)
    rows = [
        ["all, with CloudFormation validation (`make synth`)", f"{validated['total']:.1f}"],
        ["all, without (tests)", f"{plain['total']:.1f}"],
        ["of it, import of the CDK", f"{plain['import']:.1f}"],
        *([f"of it, {part}", f"{seconds:.2f}"] for part, seconds in plain["stacks"].items()),
        ["of it, templates and cdk-nag", f"{plain['synth']:.1f}"],
    ]
    measured = measured_here(time.monotonic() - begin)
    title = f"`cdk synth` of all stacks of `{ENVIRONMENT}`, in a process of its own."
    return "\n\n".join(["## Synthesis", measured, title, table(["part", "s"], rows)])


def measure(*, validation: bool) -> dict[str, Any]:
    """Return seconds: ``import``, ``stacks`` (name to seconds), ``synth`` and ``total``.

    Parameters
    ----------
    validation
        With CloudFormation validation, as ``make synth`` runs it, or without, as the tests do.
    """
    environment = {**os.environ, "CDK_VALIDATION": str(validation).lower()}
    answer = subprocess.run(
        [sys.executable, "-m", "tools.benchmarks.synthesis"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
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
    from cdk_app import kinds  # noqa: PLC0415 (the same)
    from stacks.stages import chosen, parts  # noqa: PLC0415 (the same)

    imported = time.perf_counter()
    settings = config.load(ENVIRONMENT)
    app = cdk.App()
    stacks: dict[str, float] = {}
    by_part = kinds()
    for part in parts(chosen(settings)):
        before = time.perf_counter()
        by_part[part](app, settings=settings)
        stacks[part] = time.perf_counter() - before
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    built = time.perf_counter()
    app.synth()
    end = time.perf_counter()
    figures = {"import": imported - begin, "stacks": stacks, "synth": end - built, "total": end - begin}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
