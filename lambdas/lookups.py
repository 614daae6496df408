"""Whether what a task definition names is there: each thing looked up once, in the region and account of its ARN.

What cannot be looked up is no reason to refuse a deployment, only to say so: SKIP, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

from lambdas.dependencies import Dependencies
from lambdas.release.errors import AccessDenied, StepshipError
from lambdas.release.preflight import (
    ARN_PARTS,
    Check,
    Home,
    Look,
    Result,
    check_found,
    judge_found_role,
    judge_role,
    look,
)
from lambdas.release.task_definition import LogGroup, TaskDefinition
from lambdas.release.wording import shorten

T = TypeVar("T", bound=Hashable)

DENIED = "this function may not look it up"
OUTSIDE = f"{DENIED}: it is outside of [permissions] secret_prefix, or in another region"
NO_FILES = f"{DENIED}: that would take the right to read it (s3:GetObject), which is not granted"
SECRETS_MANAGER_IN_SSM = "/aws/reference/secretsmanager/"
"""A parameter that stands for a secret: GetParameters would have to decrypt it."""


class Lookups:
    """Looks things up and remembers what it has seen."""

    def __init__(self, dependencies: Dependencies, home: Home) -> None:
        self._dependencies, self._home = dependencies, home
        self._broken: dict[tuple[str, str], Look] = {}

    def checks(self, subjects: Mapping[str, TaskDefinition]) -> list[Check]:
        """Check everything that the tasks of these definitions need, by the name of who needs it."""
        definitions = subjects.values()
        roles = _each(self._role, (d.role_arns for d in definitions))
        groups = _each(self._group, (d.log_groups for d in definitions))
        secrets = self._secrets(_all(d.secret_references for d in definitions))
        credentials = _each(self._secret, (d.registry_credentials for d in definitions))
        files = _each(self._file, (d.environment_files for d in definitions))
        checks: list[Check] = []
        for subject, one in subjects.items():
            checks += check_found(subject, "role exists", {name: roles[name] for name in one.role_arns})
            named = {self._label(group): groups[group] for group in one.log_groups}
            checks += check_found(subject, "log group exists", named)
            checks += check_found(subject, "secret exists", {name: secrets[name] for name in one.secret_references})
            found = {name: credentials[name] for name in one.registry_credentials}
            checks += check_found(subject, "registry credentials exist", found)
            checks += check_found(
                subject, "environment file exists", {name: files[name] for name in one.environment_files}
            )
        return checks

    def _role(self, reference: str) -> Look:
        judged = judge_role(reference, self._home)
        if judged is not None:
            return judged
        try:
            arn = self._dependencies.roles.arn(reference.rsplit("/", 1)[-1])
        except AccessDenied:
            return Look(Result.FAIL, f"may not be looked at, and so not be passed to tasks: {self._home.widen}")
        return judge_found_role(reference, arn, self._home)

    def _label(self, group: LogGroup) -> str:
        return group.name if group.region in (None, self._home.region) else f"{group.name} in {group.region}"

    def _group(self, group: LogGroup) -> Look:
        logs, region = self._dependencies.logs, group.region or self._home.region
        if region == self._home.region:
            return look(exists=logs.group_exists(group.name), unseen=DENIED)
        return self._abroad("logs", region, lambda: logs.in_region(region).group_exists(group.name))

    def _secret(self, reference: str) -> Look:
        """Look up a secret of Secrets Manager, by its ARN or by its name in the own region."""
        secrets, region, account = self._dependencies.secrets, *self._place(reference)
        if (elsewhere := self._home.elsewhere(account)) is not None:
            return Look(Result.SKIP, elsewhere)
        if region == self._home.region:
            return look(exists=secrets.exists(reference), unseen=OUTSIDE)
        return self._abroad("secretsmanager", region, lambda: secrets.in_region(region).exists(reference))

    def _secrets(self, references: Iterable[str]) -> dict[str, Look]:
        """Look up secrets of containers: ARNs of Secrets Manager there, everything else in Parameter Store."""
        found: dict[str, Look] = {}
        here: list[str] = []
        for reference in references:
            region, account = self._place(reference)
            if ":secretsmanager:" in reference:
                found[reference] = self._secret(reference)
            elif (elsewhere := self._home.elsewhere(account)) is not None:
                found[reference] = Look(Result.SKIP, elsewhere)
            elif SECRETS_MANAGER_IN_SSM in f"/{reference.rpartition(':parameter/')[2].lstrip('/')}":
                found[reference] = Look(Result.SKIP, "it stands for a secret, which would have to be decrypted")
            elif region == self._home.region:
                here.append(reference)
            else:
                found[reference] = self._parameter_abroad(reference, region)
        if here:
            # Ten a call.
            seen = self._dependencies.parameters.exist(here)
            found.update({reference: look(exists=exists, unseen=OUTSIDE) for reference, exists in seen.items()})
        return found

    def _parameter_abroad(self, reference: str, region: str) -> Look:
        parameters = self._dependencies.parameters
        return self._abroad("ssm", region, lambda: parameters.in_region(region).exist([reference])[reference])

    def _file(self, arn: str) -> Look:
        try:
            return look(exists=self._dependencies.objects.exists(arn), unseen=NO_FILES)
        except StepshipError as error:
            return Look(Result.SKIP, f"it could not be looked up: {shorten(str(error), 200)}")

    def _abroad(self, service: str, region: str, ask: Callable[[], bool | None]) -> Look:
        """Look something up in another region; one that does not answer is asked once."""
        if (service, region) in self._broken:
            return self._broken[service, region]
        try:
            return look(exists=ask(), unseen=f"{DENIED}: it is in {region}")
        except StepshipError as error:
            broken = Look(Result.SKIP, f"{region} does not tell: {shorten(str(error), 200)}")
            self._broken[service, region] = broken
            return broken

    def _place(self, reference: str) -> tuple[str, str]:
        """Return region and account of an ARN; the own region, and no account, for a name."""
        parts = reference.split(":", ARN_PARTS - 1)
        if not reference.startswith("arn:") or len(parts) < ARN_PARTS:
            return self._home.region, ""
        return parts[3] or self._home.region, parts[4]


def _all(groups: Iterable[tuple[T, ...]]) -> list[T]:
    """Flatten, each once, in order."""
    return list(dict.fromkeys(item for group in groups for item in group))


def _each(find: Callable[[T], Look], groups: Iterable[tuple[T, ...]]) -> dict[T, Look]:
    return {item: find(item) for item in _all(groups)}
