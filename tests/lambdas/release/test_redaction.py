from lambdas.release.redaction import SHORTEST, without_values


def test_the_value_of_an_environment_variable_becomes_its_name() -> None:
    values = {"DATABASE_URL": "postgres://user:hunter22@db", "PASSWORD": "hunter22"}
    lines = ("cannot reach postgres://user:hunter22@db", "hunter22 was refused, hunter22", "bye")
    assert without_values(lines, values) == (
        "cannot reach ${DATABASE_URL}",
        "${PASSWORD} was refused, ${PASSWORD}",
        "bye",
    )


def test_a_short_value_stays_where_it_is() -> None:
    assert without_values(("port 8080",), {"PORT": "8080", "NOTHING": ""}) == ("port 8080",)
    assert without_values(("x" * SHORTEST,), {"X": "x" * SHORTEST}) == ("${X}",)
