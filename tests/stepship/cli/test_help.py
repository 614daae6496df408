"""Every command says how it is used, with an example that is one."""

import re
import shlex
from typing import Any

import pytest
import typer

from stepship.cli.main import app

COMMAND: Any = typer.main.get_command(app)


def commands() -> dict[str, Any]:
    found = {}
    for name, command in COMMAND.commands.items():
        if command.hidden:
            continue
        below = getattr(command, "commands", None)
        found.update({f"{name} {each}": below[each] for each in below} if below else {name: command})
    return found


COMMANDS = commands()
EXAMPLES = [
    (name, example)
    for name, command in COMMANDS.items()
    for example in re.findall(r"\*\*Example\*\*: `([^`]*)`", command.help)
]


def test_the_commands() -> None:
    assert sorted(COMMANDS) == [
        *("approve", "demo", "deploy", "explain", "history"),
        *("infra deploy", "infra destroy", "infra plan", "infra status"),
        *("pause", "plan", "reject", "resume", "rollback", "simulate", "status", "stop", "watch"),
    ]


def test_the_words_of_before_still_work_and_are_not_shown() -> None:
    line = COMMAND.commands["line"]
    assert line.hidden
    aliases = {"stop": "pause", "start": "resume"}
    assert {name: each.callback.__wrapped__ for name, each in line.commands.items()} == {
        old: COMMAND.commands[new].callback.__wrapped__ for old, new in aliases.items()
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_an_example_of_itself(name: str) -> None:
    mine = [example for each, example in EXAMPLES if each == name]
    assert mine
    assert all(example.startswith(f"stepship {name}") for example in mine)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_each_example_is_understood(name: str, example: str) -> None:
    words = shlex.split(example.partition(" | ")[0])
    arguments = words[1 + len(name.split()) :]
    COMMANDS[name].make_context(name, arguments).close()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("demo", "simulate")])
def test_each_command_for_aws_takes_the_same_options(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {"--env", "-e", "--app", "--json"} <= options


def test_the_options_come_from_environment_variables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPSHIP_ENV", "staging")
    monkeypatch.setenv("STEPSHIP_APP", "shop")
    with COMMANDS["status"].make_context("status", []) as context:
        assert (context.params["environment"], context.params["application"]) == ("staging", "shop")


def test_shell_completion_is_offered() -> None:
    options = {option for parameter in COMMAND.params for option in parameter.opts}
    assert {"--install-completion", "--show-completion"} <= options
