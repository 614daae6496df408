"""Which environment a command is about, and what is said when nobody can know."""

from pathlib import Path

import pytest

from stepship.errors import CommandError
from stepship.target import Target, choose_target


def folder(tmp_path: Path, *environments: str, app: str = "shop") -> Path:
    (tmp_path / "config").mkdir()
    for name in environments:
        (tmp_path / "config" / f"{name}.toml").write_text(f'app = "{app}"\n')
    return tmp_path


def test_the_app_comes_from_the_config_of_the_environment(tmp_path: Path) -> None:
    assert choose_target(None, "dev", folder(tmp_path, "dev", "staging")) == Target("shop", "dev", "--env dev")


def test_one_config_is_the_environment(tmp_path: Path) -> None:
    assert choose_target(None, None, folder(tmp_path, "live")).environment == "live"


def test_what_is_given_goes_before_the_config_and_needs_none(tmp_path: Path) -> None:
    found = choose_target("other", "dev", tmp_path)
    assert found == Target("other", "dev", "--env dev --app other")
    assert found.identity.table == "other-dev-releases"
    assert found.machine == "other-dev-deploy"


@pytest.mark.parametrize(
    ("environments", "environment", "message"),
    [
        (("dev", "staging"), None, "which environment? give --env, or set STEPSHIP_ENV; config/ has dev, staging"),
        ((), None, "which environment? give --env, or set STEPSHIP_ENV; there is no config/ here"),
        (("dev",), "prod", "--env prod: there is no config/prod.toml here; config/ has dev. For an environment of"),
        ((), "prod", "which application? give --app, or set STEPSHIP_APP: config/prod.toml is not here"),
        (("dev",), "Prod!", "is no name of an environment"),
    ],
)
def test_what_is_missing_is_named_with_what_there_is(
    tmp_path: Path, environments: tuple[str, ...], environment: str | None, message: str
) -> None:
    with pytest.raises(CommandError) as caught:
        choose_target(None, environment, folder(tmp_path, *environments))
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_config_without_an_application_is_asked_for_it(tmp_path: Path) -> None:
    folder(tmp_path, "dev")
    (tmp_path / "config" / "dev.toml").write_text("")
    with pytest.raises(CommandError, match=r"which application\? .*: config/dev\.toml does not name it"):
        choose_target(None, "dev", tmp_path)


def test_a_config_that_is_no_toml_is_named(tmp_path: Path) -> None:
    folder(tmp_path, "dev")
    (tmp_path / "config" / "dev.toml").write_text("app = ")
    with pytest.raises(CommandError, match=r"config/dev\.toml is not TOML"):
        choose_target(None, "dev", tmp_path)
