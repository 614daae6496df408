"""Start the emulator with what it lacks: ``python -m tests.e2e.launcher``, in the emulator's own environment.

Fills tables of the emulator's modules and wraps a few of its functions, then hands over to its ``main``. What is
added, and why, is in README.md. Ends itself and all that it started when its standard input is closed: whoever
started it may die in any way, and no process is left.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from ministack import app
from ministack.core.iam_evaluator import pin_request_origin
from ministack.core.responses import error_response_json
from ministack.services import cloudformation, cloudfront, ecr, ecs, eventbridge, lambda_svc, stepfunctions
from ministack.services.cloudformation import changesets

from tests.e2e import authorisation, resources
from tests.e2e.containers import Engine

STEADY_SECONDS = 0.5
"""How long a task must live until the emulated ECS counts it; containers that crash do so earlier."""

Answer = tuple[int, dict[str, str], bytes]
Data = dict[str, Any]


def main() -> None:
    """Add, and run until the end of the standard input."""
    resources.register()
    authorisation.add()
    ecs._docker = Engine()
    ecs._ECS_DEPLOYMENT_STEADY_DELAY = STEADY_SECONDS
    ecr._put_image = tell_about_push(ecr._put_image)
    ecr._describe_images = refuse_missing(ecr._describe_images)
    ecr.handle_request = know_no_scan(ecr.handle_request)
    lambda_svc._execute_function_warm = name_error(lambda_svc._execute_function_warm)
    stepfunctions._call_lambda = fail_the_callback(stepfunctions._call_lambda)
    changesets._deploy_stack_async = describe(changesets._deploy_stack_async)
    cloudfront._serve_s3_origin = encrypt(cloudfront._serve_s3_origin)
    threading.Thread(target=end_with_parent, daemon=True).start()
    app.main()


def end_with_parent() -> None:
    """Kill the whole process group, this process included, when nobody holds the other end of the pipe."""
    sys.stdin.read()
    shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def tell_about_push(put_image: Callable[[Data], Answer]) -> Callable[[Data], Answer]:
    """Send the event that ECR sends after a push (ECR User Guide, "Amazon ECR events and EventBridge")."""

    def put_and_tell(data: Data) -> Answer:
        answer = put_image(data)
        if answer[0] == 200 and data.get("imageTag"):
            detail = {
                "result": "SUCCESS",
                "repository-name": data["repositoryName"],
                "image-digest": json.loads(answer[2])["image"]["imageId"]["imageDigest"],
                "action-type": "PUSH",
                "image-tag": data["imageTag"],
            }
            entry = {"Source": "aws.ecr", "DetailType": "ECR Image Action", "Detail": json.dumps(detail)}
            eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
        return answer

    return put_and_tell


def refuse_missing(describe_images: Callable[[Data], Answer]) -> Callable[[Data], Answer]:
    """Answer as ECR does when one of the images that were asked for is not there."""

    def describe(data: Data) -> Answer:
        asked = data.get("imageIds") or []
        for image in asked:
            if data["repositoryName"] in ecr._repositories and ecr._find_image(data["repositoryName"], image) is None:
                refused: Answer = error_response_json(
                    "ImageNotFoundException", f"The image with imageId {image} does not exist", 400
                )
                return refused
        return describe_images(data)

    return describe


def know_no_scan(handle: Callable[..., Awaitable[Answer]]) -> Callable[..., Awaitable[Answer]]:
    """Answer DescribeImageScanFindings, which the emulator does not have: no image was ever scanned."""

    async def handle_or_refuse(method: str, path: str, headers: Data, body: bytes, query_params: Data) -> Answer:
        if headers.get("x-amz-target", "").endswith(".DescribeImageScanFindings"):
            refused: Answer = error_response_json("ScanNotFoundException", "Image scan does not exist", 400)
            return refused
        return await handle(method, path, headers, body, query_params)

    return handle_or_refuse


def name_error(execute: Callable[..., Data]) -> Callable[..., Data]:
    """Give a failed function's answer the class of its exception, which is what a Catch compares.

    The emulator says ``Runtime.HandlerError`` for all of them; the class stands in the traceback, which ends in
    ``<qualified name>: <message>``.
    """

    def execute_and_name(*args: Any) -> Data:
        result = execute(*args)
        body = result.get("body")
        if result.get("error") and isinstance(body, dict) and body.get("errorType") == "Runtime.HandlerError":
            trace = result.get("log", "").rstrip("\n")
            before = trace.removesuffix(f": {body['errorMessage']}".rstrip())
            qualified = before.rsplit("\n", 1)[-1]
            if before != trace and qualified.replace(".", "").replace("_", "").isalnum():
                body["errorType"] = qualified.rsplit(".", 1)[-1]
        return result

    return execute_and_name


def fail_the_callback(call: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """End a task that waits for its token when its function has failed; the emulator would wait on."""

    def call_or_fail(function: str, event: Any) -> Any:
        try:
            return call(function, event)
        except stepfunctions._ExecutionError as error:
            given = json.dumps(event)
            for token, waiting in list(stepfunctions._task_tokens.items()):
                if token in given:
                    waiting["error"] = {"Error": error.error, "Cause": error.cause}
                    waiting["event"].set()
            raise

    return call_or_fail


def describe(deploy: Callable[..., Any]) -> Callable[..., Any]:
    """Let a stack that a change set makes say what its template says that it is."""

    def describe_and_deploy(name: str, stack_id: str, template: Data, *args: Any, **more: Any) -> Any:
        cloudformation._stacks[name]["Description"] = template.get("Description", "")
        return deploy(name, stack_id, template, *args, **more)

    return describe_and_deploy


def encrypt(serve: Callable[..., Answer]) -> Callable[..., Answer]:
    """Let CloudFront come to a bucket by TLS, as it does, whose policy may refuse anybody who comes without."""

    def serve_encrypted(*args: Any) -> Answer:
        # A thread of its own with a context of its own: nobody else's request is taken for encrypted.
        pin_request_origin("127.0.0.1", secure_transport=True)
        return serve(*args)

    return serve_encrypted


if __name__ == "__main__":
    main()
