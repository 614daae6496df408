"""Images as a registry keeps them, checked as a registry and a container engine check them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from tests.e2e.images import behavior_of
from tools.acceptance.world.images import CLEAN, PROGRAM, VULNERABLE, Image, build, push

CRASH: dict[str, dict[str, Any]] = {"worker": {"exit_code": 1, "logs": ["no queue"]}}


def opened(image: Image) -> tuple[dict[str, Any], dict[str, Any], tarfile.TarFile]:
    manifest = json.loads(image.manifest)
    config, layer = image.blobs
    return manifest, json.loads(config), tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer)))


def test_the_manifest_names_its_blobs_by_hash_and_size() -> None:
    image = build("v1", CRASH)
    manifest, config, _ = opened(image)

    named = [manifest["config"], *manifest["layers"]]
    assert [(each["digest"], each["size"]) for each in named] == [
        (f"sha256:{hashlib.sha256(blob).hexdigest()}", len(blob)) for blob in image.blobs
    ]
    unpacked = gzip.decompress(image.blobs[1])
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(unpacked).hexdigest()}"]
    assert (config["os"], config["architecture"]) == ("linux", "amd64")


def test_its_program_can_be_executed_by_somebody_who_is_not_root() -> None:
    _, config, layer = opened(build("v1"))

    assert config["config"]["Entrypoint"] == [f"/{PROGRAM}"]
    assert config["config"]["User"].split(":")[0] != "0"
    assert layer.getmember(PROGRAM).mode & 0o001
    assert set(layer.getnames()) == {PROGRAM, *CLEAN}


def test_the_emulator_reads_of_it_how_its_containers_behave() -> None:
    assert behavior_of(build("v1", CRASH).manifest) == CRASH


def test_another_name_is_another_digest_and_the_same_is_the_same() -> None:
    assert build("v1").manifest == build("v1").manifest
    assert build("v1").manifest != build("v2").manifest
    assert build("v1").manifest != build("v1", files=VULNERABLE).manifest


@pytest.mark.parametrize("there_already", [False, True])
def test_it_is_pushed_blob_by_blob_and_then_by_its_manifest(*, there_already: bool) -> None:
    image = build("v1")
    ecr = boto3.client("ecr", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(ecr) as stub:
        for blob in image.blobs:
            upload = "11111111-2222-3333-4444-555555555555"
            stub.add_response("initiate_layer_upload", {"uploadId": upload}, {"repositoryName": "shop"})
            part = {"partFirstByte": 0, "partLastByte": len(blob) - 1, "layerPartBlob": blob}
            stub.add_response("upload_layer_part", {}, {"repositoryName": "shop", "uploadId": upload, **part})
            if there_already:
                stub.add_client_error("complete_layer_upload", "LayerAlreadyExistsException")
            else:
                names = {"layerDigests": [f"sha256:{hashlib.sha256(blob).hexdigest()}"]}
                stub.add_response("complete_layer_upload", {}, {"repositoryName": "shop", "uploadId": upload, **names})
        stub.add_response(
            "put_image",
            {"image": {"imageId": {"imageDigest": "sha256:1"}}},
            {
                "repositoryName": "shop",
                "imageManifest": image.manifest,
                "imageManifestMediaType": ANY,
                "imageTag": "v1",
            },
        )

        assert push(ecr, "shop", "v1", image) == "sha256:1"
        stub.assert_no_pending_responses()
