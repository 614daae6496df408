"""A view that remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from stepship.infra.layout import StackStage, Step
from stepship.infra.rollout import Result


@dataclass
class Recorder:
    """Keeps kind and text of each event."""

    events: list[tuple[str, str]] = field(default_factory=list)

    def of(self, kind: str) -> list[str]:
        return [text for each, text in self.events if each == kind]

    def stage(self, stage: StackStage) -> None:
        self.events.append(("stage", stage.name))

    def begun(self, step: Step) -> None:
        self.events.append(("begun", step.part))

    def line(self, step: Step, text: str) -> None:
        self.events.append(("line", f"{step.part}: {text}"))

    def ended(self, step: Step, result: Result) -> None:
        self.events.append(("ended", f"{step.part}: {result.outcome}: {result.reason}"))

    def say(self, text: str) -> None:
        self.events.append(("say", text))

    def tick(self) -> None:
        self.events.append(("tick", ""))

    def close(self) -> None:
        self.events.append(("close", ""))
