"""``cdk synth`` as a person sees it: no warning that nobody has explained, and an error in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import config
from tests.stacks.synthesis import ROOT

OBSOLETE = {
    "@aws-cdk/aws-kms:defaultKeyPolicies",
    "@aws-cdk/aws-s3:grantWriteWithoutAcl",
    "@aws-cdk/core:enableStackNameDuplicates",
}
"""Flags that the CDK's command line leaves out when it counts (``OBSOLETE_FLAGS`` of aws-cdk 2.1148.1)."""


DECLINED = {
    "@aws-cdk/aws-efs:denyAnonymousAccess": "the file system of the search has a policy of its own, which says more",
    "@aws-cdk/aws-efs:mountTargetOrderInsensitiveLogicalId": "mount targets that stand would be made again",
    "@aws-cdk/aws-ecs:removeDefaultDeploymentAlarm": "services that stand would be updated for nothing",
    "@aws-cdk/aws-ecs:removeEmptyLoadBalancers": "services that stand would be updated for nothing",
    "@aws-cdk/core:enableAdditionalMetadataCollection": "what is built here is nobody else's business",
    "@aws-cdk/core:explicitStackTags": "a stack has the tags of its resources, and gives them to what has no Tags",
    "@aws-cdk/core:target-partitions": "GovCloud too",
    "@aws-cdk/core:validateAgainstDefaultRules": "its lists can be older than AWS; a test sees that it finds nothing",
}
"""Flags that are not as the CDK recommends, and why. All others are: they change no template that there is."""


def synthesise(output: Path, context: dict[str, Any], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the app as the CDK does."""
    given = {**json.loads((ROOT / "cdk.json").read_text())["context"], "aws:cdk:bundling-stacks": [], **context}
    return subprocess.run(
        [sys.executable, "cdk_app.py"],
        cwd=ROOT,
        env={**os.environ, "CDK_OUTDIR": str(output), "CDK_CONTEXT_JSON": json.dumps(given), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a synthesis with all of the CDK's validation leaves behind; production has most in it."""
    output = tmp_path_factory.mktemp("cdk.out")
    done = synthesise(output, {"environment": "production"}, CDK_VALIDATION="true")
    assert (done.returncode, done.stderr) == (0, "")
    return output


def test_the_validation_finds_nothing_that_is_not_acknowledged(clean: Path) -> None:
    report = json.loads((clean / "validation-report.json").read_text())
    assert report["pluginReports"]
    found = [
        (rule["ruleName"], place["constructPath"])
        for plugin in report["pluginReports"]
        for rule in plugin["violations"]
        for place in rule["violatingConstructs"]
    ]
    assert found == []


def test_every_feature_flag_is_decided_in_cdk_json(clean: Path) -> None:
    manifest = json.loads((clean / "manifest.json").read_text())
    flags = manifest["artifacts"]["aws-cdk-lib/feature-flag-report"]["properties"]["flags"]
    assert flags
    open_ones = [
        name
        for name, flag in flags.items()
        if name not in OBSOLETE
        and "userValue" not in flag
        and flag.get("unconfiguredBehavesLike", {}).get("v2", False) != flag["recommendedValue"]
    ]
    assert open_ones == [], "new with this CDK: take the recommended value where it leaves the templates alone"
    others = {
        name
        for name, flag in flags.items()
        if flag.get("userValue", flag["recommendedValue"]) != flag["recommendedValue"]
    }
    assert others == set(DECLINED)


@pytest.mark.parametrize(
    ("context", "changed", "message"),
    [
        ({"environment": "nosuch"}, ("", ""), "does not exist; the environments are: dev"),
        ({"environment": ""}, ("", ""), "context: environment is empty; give one of dev, or leave it out for all"),
        ({}, ("failed_tasks = 2", "failed_tasks = 0"), "[circuit_breaker] failed_tasks is 0; give "),
        ({}, ("[dynamodb]\n# Whether", "[dynamodb]\nenabled = false\n# Whether"), "file is not TOML"),
        ({"imageTag": "v1 beta"}, ("", ""), "imageTag"),
        (
            {},
            ("application's items.\nenabled = true\n", "application's items.\nenabled = false\n"),
            "dev: api-gateway ([api_gateway]) needs lambda: give [functions] enabled = true",
        ),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(
    context: dict[str, str],
    changed: tuple[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import cdk_app

    text = (config.FOLDER / "dev.toml").read_text(encoding="utf-8")
    assert changed[0] in text
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "dev.toml").write_text(text.replace(*changed, 1), encoding="utf-8")
    monkeypatch.setattr(cdk_app, "build", partial(cdk_app.build, {"config": str(folder), **context}))
    with pytest.raises(SystemExit) as ended:
        cdk_app.main()
    # Python shows a text on stderr, without a traceback, and exits with 1.
    assert isinstance(ended.value.code, str)
    assert message in ended.value.code
