"""Who writes artifacts may do all that CodePipeline and CodeBuild do with the bucket and its key."""

from __future__ import annotations

import pytest

import config
from tests.stacks.delivery.test_pipelines import PARTS, roles, template_of
from tests.stacks.synthesis import Template, allowed_on

CALLS = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("environment", config.environments())
def test_what_the_services_do_with_artifacts_is_allowed(
    environment: str, part: str, app_templates: dict[str, Template]
) -> None:
    template = template_of(app_templates, environment, part)
    writers = set()
    for name, each in roles(template).items():
        artifacts = {arn for arn in allowed_on(each, "s3:GetObjectVersion") if "/cache/" not in arn}
        for call in CALLS if artifacts else ():
            assert allowed_on(each, call), (name, call)
        # A connection uploads the sources with an ACL.
        assert allowed_on(each, "s3:PutObjectAcl") == allowed_on(each, "s3:PutObject") & artifacts
        if allowed_on(each, "s3:PutObjectAcl"):
            writers.add(name.removeprefix("Delivery").rpartition("Role")[0])
    assert writers == {"", "SourceAction", *(["Synth"] if part == "cicd" else [])}
