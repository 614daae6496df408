"""A GitHub runner for one step: its shell, its environment, and stand-ins for the commands that reach out.

``stepship`` is a stand-in too, unless ``Runner.installed`` is set. A test that wants to know what a step's command does
types its words in a simulated environment (``Result.typed_in``): a process for each would take a second.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from unittest.mock import patch

from botocore.loaders import Loader
from botocore.model import ServiceModel

from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.stepship.conftest import Desk
from tests.stepship.github_log import commands
from tests.workflows.workflow import ROOT, Step

COMMANDS = ("aws", "docker", "make", "git", "gh", "curl", "npm", "cdk", "stepship")
IN_THE_CHECKOUT = ("node_modules/.bin/cdk", ".venv/bin/zizmor", ".venv/bin/uv", ".venv/bin/npm")

UNEXPECTED = 97
"""What a stand-in exits with when the test gave it no answer."""

STAND_IN = f"""#!{sys.executable} -IS
import json, pathlib, sys
folder = pathlib.Path(__file__).resolve().parent
command = sys.argv[0].rsplit("/", 1)[-1]
with (folder / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps([command, *sys.argv[1:]]) + "\\n")
answers = json.loads((folder / "answers.json").read_text())
for answer in answers:
    if answer["times"] != 0 and all(word in [command, *sys.argv[1:]] for word in answer["words"]):
        answer["times"] -= 1
        (folder / "answers.json").write_text(json.dumps(answers))
        sys.stdout.write(answer["output"])
        sys.stderr.write(answer["error"])
        sys.exit(answer["code"])
sys.stderr.write(f"no answer for {{command}} {{sys.argv[1:]}}\\n")
sys.exit({UNEXPECTED})
"""

SPARSE = f"""
import sys
from importlib.machinery import PathFinder
class Sparse:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {sorted(path.name for path in ROOT.iterdir() if (path / "__init__.py").exists())}:
            return PathFinder.find_spec(name, path or [{{folder!r}}]) or sys.exit(f"not checked out: {{{{name}}}}")
sys.meta_path.insert(0, Sparse)
"""
"""Lets Python find what is ours in the checkout alone, and not where it is installed."""

INSTALLED = f"#!{sys.executable}\n{SPARSE}\nfrom stepship.cli.__main__ import main\nmain()\n"

SHELL = ("--noprofile", "--norc", "-eo", "pipefail")
"""What GitHub runs for ``shell: bash``."""

ANNOTATION = re.compile(r"::(error|warning|notice) title=([^:]*)::(.*)")


@dataclass(frozen=True)
class Annotation:
    level: str
    title: str
    text: str


@dataclass(frozen=True)
class Result:
    """What a step left behind; ``calls`` are the arguments of the stand-ins, in order."""

    code: int
    log: str
    files: Mapping[str, Path]
    environment: Mapping[str, str]
    calls: tuple[tuple[str, ...], ...]

    @property
    def outputs(self) -> dict[str, str]:
        return _outputs(self.files["GITHUB_OUTPUT"].read_text(encoding="utf-8"))

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.files["GITHUB_PATH"].read_text(encoding="utf-8").split())

    @property
    def summary(self) -> str:
        return self.files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        found = [match for line in commands(self.log) if (match := ANNOTATION.fullmatch(line))]
        return tuple(Annotation(each[1], _unescaped(each[2]), _unescaped(each[3])) for each in found)

    def typed_in(self, simulated: SimulatedEnvironment, **environment: str) -> Result:
        """Type the one call of ``stepship`` in a simulated environment, with what the step had around it."""
        ((_, *words),) = self.calls_of("stepship")
        environ = {**self.environment, **environment}
        # typer reads the real environment.
        with patch.dict(os.environ, {name: environ[name] for name in environ if name.startswith("STEPSHIP_")}):
            typed = Desk(simulated, environ).type(*words)
        return replace(self, code=typed.exit_code, log=typed.stdout + typed.stderr)

    @property
    def error(self) -> Annotation:
        """The one error of a step that failed."""
        (error,) = (each for each in self.annotations if each.level == "error")
        return error

    def calls_of(self, *words: str) -> list[tuple[str, ...]]:
        return [call for call in self.calls if call[: len(words)] == words]


@dataclass
class Runner:
    """Runs steps in ``folder``, each in a checkout of its own.

    Attributes
    ----------
    installed
        Whether ``stepship`` is the real one, which finds of ours what the job has checked out and nothing else.
    """

    folder: Path
    answers: list[dict[str, object]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    checkouts: int = 0
    installed: bool = False

    def answer(self, *words: str, output: object = "", error: str = "", code: int = 0, times: int = -1) -> Runner:
        """Let a command that has these words among its arguments answer; each answer is used up after ``times``."""
        text = output if isinstance(output, str) else json.dumps(output)
        self.answers.append({"words": words, "output": text, "error": error, "code": code, "times": times})
        return self

    def run(self, step: Step, values: Mapping[str, str], **environment: str) -> Result:
        """Run a step.

        Parameters
        ----------
        values
            Expression to value, such as ``inputs.environment``: what GitHub would fill in.
        **environment
            Further variables, as earlier steps or GitHub itself set them.
        """
        work = self._checkout(step)
        tools, temp = work.parent / "tools", work.parent / "temp"
        files = {name: temp / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")}
        for file in files.values():
            file.touch()
        script = temp / "step.sh"
        script.write_text(step.run, encoding="utf-8")
        inherited = {
            "PATH": os.pathsep.join([str(tools), "/usr/bin", "/bin"]),
            "HOME": str(temp),
            "LANG": "C.UTF-8",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": "octocat",
            "GITHUB_TRIGGERING_ACTOR": "octocat",
            "GITHUB_SHA": "6f1c5d2e8a9b4c7d3e2f1a0b9c8d7e6f5a4b3c2d",
            "GITHUB_RUN_ID": "19876543210",
            "GITHUB_RUN_ATTEMPT": "1",
            "RUNNER_TEMP": str(temp),
            **{name: str(file) for name, file in files.items()},
        }
        full = {**inherited, **self.environment, **step.environment(values), **environment}
        done = subprocess.run(
            [shutil.which("bash") or "bash", *SHELL, str(script)],
            cwd=work,
            env=full,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        result = Result(done.returncode, done.stdout, files, full, _calls(tools / "calls.jsonl"))
        assert "no answer for" not in result.log, result.log
        for call in result.calls_of("aws"):
            check_aws_call(call)
        return result

    def _checkout(self, step: Step) -> Path:
        """Lay out what the step finds: what its job has checked out, and the tools that earlier steps installed."""
        self.checkouts += 1
        base = self.folder / str(self.checkouts)
        work, tools = base / "work", base / "tools"
        for folder in (work, tools, base / "temp"):
            folder.mkdir(parents=True)
        for name in step.checkout:
            shown = (".github",) if name == "." else (name,)
            for each in shown:
                (work / each).parent.mkdir(parents=True, exist_ok=True)
                (work / each).symlink_to(ROOT / each)
        stand_in = tools / "stand-in"
        stand_in.write_text(STAND_IN, encoding="utf-8")
        stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
        (tools / "answers.json").write_text(json.dumps(self.answers), encoding="utf-8")
        for command in COMMANDS:
            (tools / command).symlink_to(stand_in)
        if self.installed:
            (tools / "stepship").unlink()
            (tools / "stepship").write_text(INSTALLED.format(folder=str(work)), encoding="utf-8")
            (tools / "stepship").chmod(0o755)
        for path in IN_THE_CHECKOUT:
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).symlink_to(stand_in)
        (tools / "python3").symlink_to(sys.executable)
        return work

    def files(self) -> set[str]:
        """Name every file that is there, to find one that nobody should have made."""
        return {path.name for path in self.folder.rglob("*")}


def check_aws_call(call: Sequence[str]) -> None:
    """Hold a call of the AWS CLI against the API: service, operation and options must exist."""
    _, service, operation, *rest = call
    options = {word.split("=")[0] for word in rest if word.startswith("--")}
    known = _options(service, operation)
    assert options <= known, f"aws {service} {operation} has no {', '.join(sorted(options - known))}"


@cache
def _options(service: str, operation: str) -> frozenset[str]:
    name = "".join(word.capitalize() for word in operation.split("-"))
    model = _model(service).operation_model(name)
    members = {_kebab(member) for member in (model.input_shape.members if model.input_shape else {})}
    of_the_cli = {"--query", "--output", "--region", "--max-items"}
    return frozenset({f"--{member}" for member in members} | {f"--no-{member}" for member in members} | of_the_cli)


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def _outputs(text: str) -> dict[str, str]:
    """Read outputs as GitHub does: ``name=value``, or a value between two delimiters."""
    found, at = {}, 0
    while at < len(text):
        line = re.compile(r"([a-z-]+)=(.*)\n").match(text, at)
        block = re.compile(r"([a-z-]+)<<(\S+)\n(.*?)\n\2\n", re.DOTALL).match(text, at)
        match = line or block
        assert match, f"no output: {text[at:]}"
        found[match[1]] = match[match.re.groups]
        at = match.end()
    return found


def _calls(file: Path) -> tuple[tuple[str, ...], ...]:
    if not file.exists():
        return ()
    return tuple(tuple(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines())


def _unescaped(text: str) -> str:
    for code, character in (("%0A", "\n"), ("%0D", "\r"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, character)
    return text
