"""Build the image without docker, and prove what it promises: ``python -m tools.image.check``, as root.

One line per check; the exit code is 0 when all of them hold. The key files are random canaries, and everything that
the build leaves behind is searched for them: every layer of every stage, configs, histories, names.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.image.base import prepare_base
from tools.image.buildah import Buildah, CheckFailed, Mount, install_tools, last_words, say
from tools.image.pip_access import machine_settings, mounts, read_settings
from tools.image.search import PushedImage, hits, read_layout

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"
SECRETS = ("thegraph_balancer", "thegraph_fantom")
IMAGE = "v3-backend:check"
USER = "10001:10001"
ONLY = ("opt/venv/", "srv/app/", "srv/database/")
BUILD_ONLY = (
    "ariadne_codegen",
    "site-packages/pip/",
    "site-packages/ruff",
    ".graphql",
    "app/subgraph/",
    ".lock",
)
MAX_MEGABYTES = 80
"""What the image may add to its base: 68 MB when this was written, most of it SQLAlchemy and psycopg's libraries."""

START_SECONDS, STOP_SECONDS = 15, 10

PLANTED = """\
FROM {image}
USER 0
RUN --mount=type=secret,id=thegraph_balancer cat /run/secrets/thegraph_balancer > /planted
RUN rm /planted
RUN --mount=type=secret,id=thegraph_fantom printf 'key=%s' "$(cat /run/secrets/thegraph_fantom)" | base64 > /encoded
ARG PLANTED
ENV PLANTED=${{PLANTED}}
"""
"""How keys get into images: a file that a later layer deletes, an encoded one, an argument that becomes a variable."""


@dataclass(frozen=True)
class Bench:
    """What the checks work with.

    Attributes
    ----------
    buildah
        With an empty store of its own.
    folder
        For files; it is deleted at the end.
    keys
        The secrets' files.
    mounts
        What pip needs in a step.
    git_sha
        A random one.
    """

    buildah: Buildah
    folder: Path
    keys: tuple[Path, ...]
    mounts: list[Mount]
    git_sha: str

    @property
    def canaries(self) -> list[str]:
        """What is in the secrets' files."""
        return [path.read_text() for path in self.keys]

    def build(self, keys: tuple[Path, ...], target: str | None = None) -> subprocess.CompletedProcess[str]:
        """Build the image with the schemas of the repository."""
        return self.buildah.build(
            ROOT,
            DOCKERFILE,
            IMAGE,
            secrets=keys,
            arguments=["SCHEMA=repository", f"GIT_SHA={self.git_sha}", "BUILT_AT=2026-01-01T00:00:00Z"],
            mounts=self.mounts,
            target=target,
        )


def main() -> int:
    """Run all checks; return the exit code."""
    started = time.monotonic()
    try:
        install_tools(os.geteuid())
        _, base_store = prepare_base(DOCKERFILE)
        # A short path: the run-time files of a container lie below it.
        with tempfile.TemporaryDirectory(prefix="image-check-", dir="/var/tmp") as name:
            folder = Path(name)
            buildah = Buildah(folder / "store", base_store)
            try:
                check_image(_bench(buildah, folder))
            finally:
                subprocess.run(buildah.command("rm", "--all"), capture_output=True, check=False)
    except (CheckFailed, subprocess.TimeoutExpired) as error:
        say(f"FAIL  {error}")
        return 1
    say(f"all checks passed in {time.monotonic() - started:.0f} s")
    return 0


def check_image(bench: Bench) -> None:
    """Run the checks in an order in which each one uses what the one before has built.

    A step that failed is in no cache. So the builds that lack a secret come first, and the one that succeeds shares
    all their steps but that one.
    """
    for missing in bench.keys:
        with checked(f"a build without {missing.name} fails and says so"):
            check_missing_secret(bench, missing)
    with checked("the image builds from the schemas in the repository"):
        done = bench.build(bench.keys)
        if done.returncode:
            raise CheckFailed(f"the build failed: {last_words(done)}")
    with checked("no layer, config or history of any stage holds a key"):
        check_no_secret(bench, done)
    with checked("the same search finds keys that were planted") as note:
        note(check_search_finds(bench))
    layout = bench.folder / "layout"
    with checked("it is small, has labels, a user, and nothing of the build") as note:
        bench.buildah.run("push", "--quiet", IMAGE, f"oci:{layout}")
        note(check_content(read_layout(layout), bench.git_sha))
    container = bench.buildah.run("from", "--pull-never", IMAGE)
    with checked("every role can be imported, and botocore knows its services"):
        check_imports(bench.buildah, container)
    with checked("the api serves as a user that is not root, and SIGTERM ends it with 0") as note:
        note(check_api(bench.buildah, container, bench.git_sha))
    with checked("it has written nothing outside /tmp"):
        check_nothing_written(bench.buildah, container)


def check_missing_secret(bench: Bench, missing: Path) -> None:
    """Build without one secret."""
    done = bench.build(tuple(key for key in bench.keys if key != missing), target="client")
    if done.returncode == 0:
        raise CheckFailed(f"the build succeeded without the secret {missing.name}")
    said = (done.stdout + done.stderr).strip().splitlines()
    if not any(missing.name in line and "secret" in line.lower() for line in said[-3:]):
        raise CheckFailed(f"the build failed, but its end does not name the secret {missing.name}: {last_words(done)}")


def check_no_secret(bench: Bench, build: subprocess.CompletedProcess[str]) -> None:
    """Search the store, which holds every layer of every stage, and what the build has printed."""
    if not any(bench.buildah.root.rglob("site-packages/ariadne_codegen")):
        raise CheckFailed("the stage with the generator is not where the search looks")
    found = hits(bench.buildah.root, bench.canaries)
    if found:
        raise CheckFailed(f"a key is in what the build left behind: {', '.join(found[:5])}")
    if any(canary in build.stdout + build.stderr for canary in bench.canaries):
        raise CheckFailed("the build has printed a key")


def check_search_finds(bench: Bench) -> str:
    """Plant the keys in another image, and search that one in the same way."""
    dockerfile = bench.folder / "Planted"
    dockerfile.write_text(PLANTED.format(image=f"localhost/{IMAGE}"))
    empty = bench.folder / "empty"
    empty.mkdir()
    done = bench.buildah.build(
        empty, dockerfile, "planted", secrets=bench.keys, arguments=[f"PLANTED={bench.canaries[1]}"]
    )
    if done.returncode:
        raise CheckFailed(f"the image with planted keys cannot be built: {last_words(done)}")
    found = hits(bench.buildah.root, bench.canaries)
    for place, what in {
        "/planted": "a file that a later layer deletes",
        "/encoded": "base64",
        "overlay-images/": "an image's config",
    }.items():
        if not any(place in path for path in found):
            raise CheckFailed(f"the search misses a key in {what}")
    return f"{len(found)} places"


def check_content(image: PushedImage, git_sha: str) -> str:
    """Look at the image as a registry would get it."""
    labels = image.config.get("Labels")
    revision = labels.get("org.opencontainers.image.revision") if isinstance(labels, dict) else None
    if revision != git_sha:
        raise CheckFailed(f"the label org.opencontainers.image.revision is {revision}, not the git SHA {git_sha}")
    if image.config.get("User") != USER:
        raise CheckFailed(f"the image's user is {image.config.get('User')}, not {USER}")
    own = {path: size for layer in image.layers[1:] for path, size in layer.files.items()}
    stray = [path for path in own if not path.startswith(ONLY)]
    if stray:
        raise CheckFailed(f"the image has files outside {' and '.join(ONLY)}: {', '.join(stray[:5])}")
    left = [path for path in own if any(part in path for part in BUILD_ONLY)]
    if left:
        raise CheckFailed(f"the image has files that only the build needs: {', '.join(left[:5])}")
    megabytes = sum(own.values()) / 1e6
    if megabytes > MAX_MEGABYTES:
        raise CheckFailed(f"the image adds {megabytes:.0f} MB to its base; {MAX_MEGABYTES} MB are allowed")
    packed = sum(layer.packed_bytes for layer in image.layers[1:]) / 1e6
    base = sum(image.layers[0].files.values()) / 1e6
    return f"{megabytes:.1f} MB, {packed:.1f} MB packed, on a base of {base:.0f} MB"


def check_imports(buildah: Buildah, container: str) -> None:
    """Import what the roles import, as the image's user."""
    code = (
        "import app.api, app.worker, app.scheduler, app.migrate, database.migrate, database.files; "
        "from app.aws import client_of; [client_of(service, 'eu-central-1') for service in ('dynamodb', 'sqs')]; "
        "print(min(len(app.migrate.load()), len(database.files.load())))"
    )
    if int(buildah.run("run", "--isolation=chroot", container, "--", "python", "-c", code)) < 1:
        raise CheckFailed("the image has no migrations")
    if "usage: python -m app" not in buildah.run(
        "run", "--isolation=chroot", container, "--", "python", "-m", "app", "--help"
    ):
        raise CheckFailed("python -m app --help does not say how to use it")


def check_api(buildah: Buildah, container: str, git_sha: str) -> str:
    """Start the api, ask it, ask the container's health check, and end it."""
    port = _free_port()
    environment = {
        "APP_ENVIRONMENT": "check",
        "AWS_REGION": "eu-central-1",
        "POOLS_TABLE": "pools",
        "PORT": str(port),
        "DRAIN_SECONDS": "1",
    }
    options = [f"--env={name}={value}" for name, value in environment.items()]
    command = buildah.command("run", "--isolation=chroot", *options, container, "--", "python", "-m", "app", "api")
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            health = _ask(f"http://127.0.0.1:{port}/health", running)
            start_seconds = time.monotonic() - started
            version = _ask(f"http://127.0.0.1:{port}/version", running)
            api = _the_api(running.pid)
            user = Path(f"/proc/{api}").stat()
            buildah.run("run", "--isolation=chroot", container, "--", "python", "-m", "app", "health")
            os.kill(api, signal.SIGTERM)
            told = time.monotonic()
            output = running.communicate(timeout=STOP_SECONDS)[0]
        except subprocess.TimeoutExpired as error:
            raise CheckFailed(f"the api still runs {STOP_SECONDS} s after SIGTERM") from error
        finally:
            if running.poll() is None:
                _end(running)
    if f"{user.st_uid}:{user.st_gid}" != USER:
        raise CheckFailed(f"the api runs as {user.st_uid}:{user.st_gid}, not as {USER}")
    if health != {"status": "ok"} or version.get("gitSha") != git_sha:
        raise CheckFailed(f"the api answers {health} and {version}")
    if running.returncode:
        raise CheckFailed(f"the api exited with {running.returncode} on SIGTERM: {output}")
    return f"up after {start_seconds:.1f} s, down after {time.monotonic() - told:.1f} s"


def check_nothing_written(buildah: Buildah, container: str) -> None:
    """Look for files of the image's user."""
    root = Path(buildah.run("mount", container))
    uid = int(USER.partition(":")[0])
    written = [
        path for path in root.rglob("*") if path.lstat().st_uid == uid and path.relative_to(root).parts[0] != "tmp"
    ]
    if written:
        raise CheckFailed(f"the application wrote where ECS does not let it: {', '.join(map(str, written[:5]))}")


@contextmanager
def checked(what: str) -> Iterator[Callable[[str], None]]:
    """Print one line when the block ends well: the time that it took, what it proves, and a note."""
    started = time.monotonic()
    notes: list[str] = []
    try:
        yield notes.append
    except CheckFailed as error:
        raise CheckFailed(f"{what}: {error}") from error
    note = f" ({'; '.join(notes)})" if notes else ""
    say(f"OK {time.monotonic() - started:6.1f} s  {what}{note}")


def _bench(buildah: Buildah, folder: Path) -> Bench:
    keys = folder / "keys"
    keys.mkdir()
    for name in SECRETS:
        (keys / name).write_text(secrets.token_hex(16))
    return Bench(
        buildah=buildah,
        folder=folder,
        keys=tuple(keys / name for name in SECRETS),
        mounts=mounts(read_settings(machine_settings(), os.environ), folder),
        git_sha=secrets.token_hex(20),
    )


def _ask(url: str, running: subprocess.Popen[str]) -> dict[str, str]:
    give_up_at = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 (127.0.0.1)
                return dict(json.load(answer))
        except OSError as error:
            if time.monotonic() > give_up_at or running.poll() is not None:
                output = ""
                if running.poll() is not None and running.stdout:
                    output = running.stdout.read()
                raise CheckFailed(f"the api does not answer {url}: {error}; {output}") from error
            time.sleep(0.1)


def _the_api(pid: int) -> int:
    """Find the application among the processes that buildah has started, which pass no signals on."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    queue = [pid]
    while queue:
        each = queue.pop()
        if Path(f"/proc/{each}/exe").resolve().name.startswith("python"):
            return each
        queue += children.get(each, [])
    raise CheckFailed("the api's process is not to be found")


def _end(running: subprocess.Popen[str]) -> None:
    """Kill what a failed check has left running."""
    try:
        os.kill(_the_api(running.pid), signal.SIGKILL)
    except (CheckFailed, ProcessLookupError):
        running.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
