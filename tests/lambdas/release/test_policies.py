from __future__ import annotations

from lambdas.release.policies import Identity


def test_the_names_of_the_contract_follow_from_application_and_environment() -> None:
    identity = Identity("v3-backend", "dev", "v3-backend-dev-releases")
    assert identity.tag_parameter == "/v3-backend/dev/compute/currentImageTag"
    assert identity.images_path == "/v3-backend/dev/images/"
    assert identity.services_path == "/v3-backend/dev/services/"
