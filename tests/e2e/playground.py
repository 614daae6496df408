"""An emulated account to play in: all stacks but the pipelines' deployed, four images pushed, the first one running.

``make emulator`` starts it and prints what to type; Ctrl-C ends it, and nothing is left.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path

import config
from tests.e2e.cloud import ACCOUNT, REGION, Cloud
from tests.e2e.emulator import Emulator
from tests.e2e.images import Behavior
from tests.e2e.infrastructure import ENVIRONMENT, LEFT_OUT, WHOLE, config_folder, deploy_stacks, synthesise

IMAGES: dict[str, tuple[str, Behavior]] = {
    "v1": ("good; runs already", {}),
    "v2": ("good", {}),
    "v3": (
        "its worker crashes at start",
        {"worker": {"exit_code": 1, "seconds": 0.4, "logs": ["starting worker", "KeyError: 'QUEUE_URL'"]}},
    ),
    "v4": ("its migration fails", {"migrate": {"exit_code": 1, "seconds": 0.4, "logs": ["column exists already"]}}),
}
"""Tag to what it is and how it behaves."""

TRY = """
Ready. In another terminal, in this folder:

  export AWS_ENDPOINT_URL={url} AWS_REGION={region} AWS_DEFAULT_REGION={region}
  export AWS_ACCESS_KEY_ID={account} AWS_SECRET_ACCESS_KEY=emulated STEPSHIP_ENV={environment}

  .venv/bin/stepship status
  .venv/bin/stepship deploy v2        # good: exit code 0
  .venv/bin/stepship deploy v3        # crashes, is explained and rolled back: exit code 3
  .venv/bin/stepship deploy v4        # its migration fails, no service moves: exit code 3
  .venv/bin/stepship plan v2
  .venv/bin/stepship history
  .venv/bin/stepship rollback
  .venv/bin/stepship infra status --context config={config}
  .venv/bin/stepship infra plan --context config={config}
  .venv/bin/stepship infra deploy --context config={config}
  .venv/e2e/bin/aws stepfunctions start-execution --state-machine-arn {machine} --input '{{"imageTag": "v1"}}'

{config} is a copy of config/ without what cannot be emulated ({off}); change it there, and deploy.
Ctrl-C here ends it.
"""


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Start the emulator, deploy, and wait for Ctrl-C."""
    # Whoever starts it in the background of a script has it ignore Ctrl-C, and its children too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stepship-emulator-") as name:
        folder = Path(name)
        settings = config_folder(folder / "config", WHOLE)
        try:
            with Emulator(folder) as emulator:
                cloud = Cloud(emulator.url, config.load(ENVIRONMENT, settings))
                say(f"an emulated AWS answers at {emulator.url}")
                synthesise(cloud, settings, folder / "stacks")
                say(f"{time.monotonic() - begin:4.0f} s  the stacks are synthesised; bootstrapping and deploying them")
                cloud.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", str(folder / "stacks"))
                deploy_stacks(cloud, folder / "stacks", "--all")
                say(f"{time.monotonic() - begin:4.0f} s  the stacks are deployed, on placeholders; deploying code")
                for tag, (what, behavior) in IMAGES.items():
                    cloud.push(tag, behavior)
                    say(f"        pushed {tag}: {what}")
                ended = cloud.deploy(imageTag="v1", reason="the first release")
                say(f"{time.monotonic() - begin:4.0f} s  v1: {ended['status']}")
                say(
                    TRY.format(
                        url=emulator.url,
                        region=REGION,
                        account=ACCOUNT,
                        environment=ENVIRONMENT,
                        machine=cloud.machine,
                        config=settings,
                        off=", ".join(f"[{section}]" for section in LEFT_OUT),
                    )
                )
                while True:
                    time.sleep(3600)
        except KeyboardInterrupt:
            say("ended; nothing is left of it")


if __name__ == "__main__":
    main()
