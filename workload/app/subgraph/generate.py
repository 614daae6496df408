"""Generate the typed client of each subgraph: ``python -m app.subgraph.generate --schema repository``.

The Dockerfile and the tests both come through here. It needs ariadne-codegen (``workload/app/requirements-build.lock``)
and writes ``<output>/<chain>/``. The API keys are read from files, as BuildKit mounts them, and reach the generator
in its environment: they are in no argument, no URL and no generated file, and no message shows them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from app.chains import CHAINS, GATEWAY, KEY, NO_KEY, Chain

HERE = Path(__file__).parent
OUTPUT = HERE.parent / "generated"
SECRETS = Path("/run/secrets")
"""Where BuildKit mounts ``--mount=type=secret,id=…``."""

AUTHORIZATION = "SUBGRAPH_AUTHORIZATION"
INTROSPECTION_TIMEOUT_SECONDS = 30
GENERATOR_TIMEOUT_SECONDS = 120

CONFIG = """\
[tool.ariadne-codegen]
{source}
queries_path = "{queries}"
target_package_name = "{chain}"
target_package_path = "{output}"
async_client = false
multipart_uploads = false
include_comments = "none"
include_all_inputs = false
include_all_enums = false
include_typename = false

# A decimal number stays the text that it came as: a float would lose digits of somebody's money.
[tool.ariadne-codegen.scalars.BigDecimal]
type = "str"

[tool.ariadne-codegen.scalars.Bytes]
type = "str"
"""


class GenerationFailed(Exception):
    """There is no client; the message says what to do and holds no key."""


def read_key(chain: Chain, secrets: Path) -> str:
    """Read the API key of a chain from the file that bears the secret's name.

    Raises
    ------
    GenerationFailed
        It is not there, is empty, or cannot be a key.
    """
    path = secrets / chain.secret
    try:
        key = path.read_text().strip()
    except OSError as error:
        raise GenerationFailed(
            f"{chain.name}: there is no build secret {chain.secret} at {path}; "
            f"build with --secret id={chain.secret},… or with --build-arg SCHEMA=repository"
        ) from error
    if key in NO_KEY:
        raise GenerationFailed(f"{chain.name}: the build secret {chain.secret} is empty or not set")
    if not KEY.fullmatch(key):
        raise GenerationFailed(f"{chain.name}: the build secret {chain.secret} holds what cannot be an API key")
    return key


def generate(chain: Chain, output: Path, *, gateway: str = GATEWAY, key: str | None = None) -> None:
    """Generate the client of one chain.

    Parameters
    ----------
    chain
        Its name becomes the package's.
    output
        The folder of the packages.
    gateway, key
        With a key the schema is asked of the subgraph; without, it is the one in the repository.

    Raises
    ------
    GenerationFailed
        The generator's last word, without the key.
    """
    if key is None:
        source = f'schema_path = "{(HERE / "schema" / f"{chain.name}.graphql").as_posix()}"'
    else:
        source = (
            f'remote_schema_url = "{chain.url(gateway)}"\n'
            f'remote_schema_headers = {{ Authorization = "${AUTHORIZATION}" }}\n'
            f"remote_schema_timeout = {INTROSPECTION_TIMEOUT_SECONDS}"
        )
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "client.toml"
        config.write_text(
            CONFIG.format(
                source=source,
                queries=(HERE / "queries.graphql").as_posix(),
                chain=chain.name,
                output=output.resolve().as_posix(),
            )
        )
        done = subprocess.run(
            [sys.executable, "-m", "ariadne_codegen", "--config", str(config)],
            env={**os.environ, AUTHORIZATION: f"Bearer {key or ''}"},
            capture_output=True,
            text=True,
            timeout=GENERATOR_TIMEOUT_SECONDS,
            check=False,
        )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        said = said.replace(key, "***") if key else said
        where = chain.url(gateway) if key else f"app/subgraph/schema/{chain.name}.graphql"
        raise GenerationFailed(f"{chain.name}: no client from {where}; the generator says: {said}")


def main(arguments: list[str] | None = None) -> int:
    """Generate all clients; 1 and one line on stderr when that fails."""
    parser = argparse.ArgumentParser(prog="python -m app.subgraph.generate", description="Generate the typed clients.")
    parser.add_argument("--schema", choices=("network", "repository"), required=True)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--secrets", type=Path, default=SECRETS, help="folder of the files with the API keys")
    parser.add_argument("--gateway", default=GATEWAY)
    options = parser.parse_args(arguments)
    try:
        for chain in CHAINS.values():
            key = read_key(chain, options.secrets) if options.schema == "network" else None
            generate(chain, options.output, gateway=options.gateway, key=key)
        (options.output / "__init__.py").write_text(
            '"""Generated by workload/app/subgraph/generate.py; do not edit."""\n'
        )
    except (GenerationFailed, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"no client was generated: {error}\n")
        return 1
    sys.stdout.write(f"generated {', '.join(CHAINS)} from the schema of the {options.schema}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
