#!/usr/bin/env bash
# A cancelled workflow does not stop what runs in AWS: says so, and how to look and how to stop.
set -euo pipefail

region=$(cut -d: -f4 <<< "$EXECUTION")
echo "::warning title=The execution goes on::Cancelling this workflow did not stop it: $URL"
cat >> "$GITHUB_STEP_SUMMARY" << TEXT
### The execution goes on
This workflow was cancelled; [the execution]($URL) in AWS was not. Re-run this job to follow it again: it takes up the
execution that runs, and starts no second one. Or look at it from a shell:

    aws stepfunctions describe-execution --region $region --execution-arn $EXECUTION

To stop it and to have everything put back, which is safe at any moment:

    aws stepfunctions stop-execution --region $region --execution-arn $EXECUTION
TEXT
