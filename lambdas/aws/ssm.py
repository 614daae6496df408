"""Systems Manager Parameter Store: the service catalog, the current tag, the pinned images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from lambdas.aws.gateway import Gateway, batches
from lambdas.release.errors import AccessDenied, StepshipError

GET_LIMIT = 10
"""Names per GetParameters (SSM API Reference)."""


class _Gone(StepshipError):
    """The parameter is not there; stays inside this module."""


class ParameterStore(Gateway):
    """Parameters by name."""

    service: ClassVar[str] = "ssm"

    def below(self, path: str) -> dict[str, str]:
        """Return all parameters directly below a path, by full name."""
        found = {}
        for page in self.pages("get_parameters_by_path", "NextToken", Path=path.rstrip("/")):
            found.update({p["Name"]: p["Value"] for p in page["Parameters"]})
        return found

    def get(self, names: Sequence[str]) -> dict[str, str | None]:
        """Return the values; None for a parameter that does not exist."""
        found: dict[str, str | None] = dict.fromkeys(names)
        for batch in batches(sorted(found), GET_LIMIT):
            answer = self.call("get_parameters", Names=batch)
            values = {p["Name"]: p["Value"] for p in answer["Parameters"]}
            # A version or a label that was asked for, `name:3`, comes back beside the name, as `Selector`.
            found.update({name: values.get(name, values.get(name.partition(":")[0])) for name in batch})
        return found

    def exist(self, references: Sequence[str]) -> dict[str, bool | None]:
        """Whether each parameter, by name or ARN, exists; None when this function may not look.

        No value leaves this method, and SecureStrings are not decrypted.
        """
        names = {reference: _name(reference) for reference in references}
        try:
            values = self.get(list(names.values()))
        except AccessDenied:
            if len(references) == 1:
                return dict.fromkeys(references)
            # One that may not be asked for refuses the whole call.
            return {one: found for each in references for one, found in self.exist([each]).items()}
        return {reference: values[name] is not None for reference, name in names.items()}

    def set_all(self, wanted: Mapping[str, str | None]) -> list[str]:
        """Give parameters these values, None meaning that there is no such parameter.

        What is right already is left alone, so a repeat writes nothing.

        Returns
        -------
        list
            The names that were written.
        """
        wrong = self.differing(wanted)
        for name in wrong:
            value = wanted[name]
            if value is None:
                self.delete(name)
            else:
                self.put(name, value)
        return wrong

    def differing(self, wanted: Mapping[str, str | None]) -> list[str]:
        """Return the names of those that have another value; None means that there is no such parameter."""
        current = self.get(list(wanted))
        return [name for name, value in wanted.items() if current[name] != value]

    def put(self, name: str, value: str) -> None:
        """Create or overwrite a String parameter. Writing the same value twice is harmless."""
        self.call("put_parameter", Name=name, Value=value, Type="String", Overwrite=True)

    def delete(self, name: str) -> None:
        """Delete a parameter; one that is not there is fine."""
        try:
            self.call("delete_parameter", known={"ParameterNotFound": _Gone}, Name=name)
        except _Gone:
            return


def _name(reference: str) -> str:
    """Return a parameter's name: ``arn:aws:ssm:…:parameter/a/b`` is ``/a/b``, ``…:parameter/a`` is ``a``."""
    if not reference.startswith("arn:"):
        return reference
    name = reference.split(":parameter/", 1)[-1]
    return f"/{name}" if "/" in name else name
