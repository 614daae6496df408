#!/usr/bin/env bash
# A cancelled workflow does not stop what runs in AWS: says so, and how to follow and how to stop it.
set -euo pipefail

name=${EXECUTION##*:}
echo "::warning title=The execution goes on::Cancelling this workflow did not stop it: $URL"
cat >> "$GITHUB_STEP_SUMMARY" << TEXT
### The execution goes on
This workflow was cancelled; [the execution]($URL) in AWS was not. Re-run this job to follow it again: it takes up the
execution that runs, and starts no second one. Or follow it from a shell:

    stepship watch $name --env $STEPSHIP_ENV

To stop it and to have everything rolled back, which is safe at any moment:

    stepship stop $name --env $STEPSHIP_ENV
TEXT
