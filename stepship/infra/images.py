"""Images that parameters still name, and that no repository has any more: found before a stack is made of them.

The parameters outlive their stack, and the repository does; whoever deletes the repository by hand and deploys again
gets services whose image cannot be pulled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from config import EnvironmentConfig
from lambdas.aws.ecr import ImageRegistry
from lambdas.aws.ssm import ParameterStore
from lambdas.release.errors import RepositoryNotFound

SEEDS = "bootstrap"
"""The part that creates the parameters, with a placeholder, where there are none."""

IN_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<repository>[^@:]+)"
    r"@(?P<digest>sha256:[0-9a-f]{64})"
)


def gone(images: Mapping[str, str], exists: Callable[[str, str], bool], account: str, region: str) -> dict[str, str]:
    """Return the parameters whose image is in no repository any more, with what they name.

    Parameters
    ----------
    images
        Parameter to image, as code deploys write it.
    exists
        Whether a repository has a digest; raises ``RepositoryNotFound`` when there is no such repository.
    account, region
        Where this looks; an image of another registry of ECR, or of no ECR at all, is not judged.
    """
    answers: dict[tuple[str, str], bool] = {}
    found = {}
    for name, image in sorted(images.items()):
        parts = IN_ECR.fullmatch(image)
        if parts is None or (parts["account"], parts["region"]) != (account, region):
            continue
        key = (parts["repository"], parts["digest"])
        if key not in answers:
            try:
                answers[key] = exists(*key)
            except RepositoryNotFound:
                answers[key] = False
        if not answers[key]:
            found[name] = image
    return found


class NamedImages:
    """The images that the parameters of an environment name, in the registry of an account."""

    def __init__(self, settings: EnvironmentConfig, account: str) -> None:
        self._identity, self._account = settings.identity, account
        self._parameters, self._registry = ParameterStore(), ImageRegistry()

    def gone(self) -> dict[str, str]:
        """Return the parameters whose image is gone."""
        images = self._parameters.below(self._identity.images_path)
        region = str(self._registry.client.meta.region_name)
        return gone(images, self._exists, self._account, region)

    def _exists(self, repository: str, digest: str) -> bool:
        return self._registry.status(repository, digest) is not None

    def forget(self, names: Mapping[str, str]) -> None:
        """Delete parameters, and the one with the tag that the images had."""
        for name in (*names, self._identity.tag_parameter):
            self._parameters.delete(name)
