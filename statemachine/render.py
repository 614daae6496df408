"""Render the definition to ``deployment.asl.json``, and draw it: ``python -m statemachine.render``.

The committed file is what a reviewer reads, the simulator runs and the validators check. It is rendered
for ``dev`` in account 123456789012, us-east-1; a test compares it with the synthesised template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from statemachine.node import use_packaged_node

use_packaged_node()

import aws_cdk as cdk  # noqa: E402
from aws_cdk import aws_lambda as lambda_  # noqa: E402
from aws_cdk import aws_stepfunctions as sfn  # noqa: E402

import config  # noqa: E402
from statemachine.definition import deployment_flow  # noqa: E402
from statemachine.graph import mermaid, with_diagram  # noqa: E402
from statemachine.steps import STEPS  # noqa: E402

DEFINITION_FILE = Path(__file__).with_name("deployment.asl.json")
DRAWN_IN = (
    Path(__file__).with_name("README.md"),
    Path(__file__).parents[1] / "docs" / "explanation" / "architecture.md",
)
"""The pages with the diagram."""
ACCOUNT, REGION = "123456789012", "us-east-1"
PSEUDO_PARAMETERS = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT}


def render(environment: str = "dev") -> dict[str, Any]:
    """Return the definition of an environment as a JSON object, with the ARNs written out.

    Raises
    ------
    config.ConfigError
        The environment's file cannot be used.
    """
    settings = config.load(environment)
    stack = cdk.Stack(cdk.App(), "Render")
    functions: dict[Any, lambda_.IFunction] = {
        step: lambda_.Function.from_function_arn(
            stack, f"{step.handler}-function", function_arn(step.function_name(settings.identity))
        )
        for step in STEPS
    }
    flow = deployment_flow(stack, functions, scan_wait_seconds=settings.image.scan_wait_seconds)
    graph = sfn.StateGraph(flow.start_state, "deployment")
    graph.timeout = cdk.Duration.seconds(settings.machine.timeout_seconds)
    rendered: dict[str, Any] = written_out(stack.resolve(graph.to_graph_json()))
    return rendered


def function_arn(name: str) -> str:
    """Return the ARN that a function has in the rendered file."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def written_out(value: Any, arns: Mapping[str, str] | None = None) -> Any:
    """Replace the CloudFormation expressions in a JSON value by text.

    Parameters
    ----------
    value
        A JSON value with ``Ref``, ``Fn::GetAtt`` and ``Fn::Join`` in it.
    arns
        The ARN of every resource that an ``Fn::GetAtt`` asks for, by logical id.
    """
    match value:
        case {"Ref": str(name)}:
            return PSEUDO_PARAMETERS[name]
        case {"Fn::GetAtt": [str(resource), "Arn"]}:
            return (arns or {})[resource]
        case {"Fn::Join": [str(separator), list(parts)]}:
            return separator.join(written_out(part, arns) for part in parts)
        case dict():
            return {key: written_out(item, arns) for key, item in value.items()}
        case list():
            return [written_out(item, arns) for item in value]
        case _:
            return value


def main() -> None:
    """Write the committed file, and its diagram into the pages that have it."""
    definition = render()
    DEFINITION_FILE.write_text(json.dumps(definition, indent=2) + "\n", encoding="utf-8")
    for page in DRAWN_IN:
        page.write_text(with_diagram(page.read_text(encoding="utf-8"), mermaid(definition)), encoding="utf-8")
    print(f"wrote {DEFINITION_FILE.name} and the diagram in {', '.join(page.name for page in DRAWN_IN)}")


if __name__ == "__main__":
    main()
