#!/usr/bin/env bash
# Says which variable is missing, before a role with half a name gives a riddle.
set -euo pipefail

for name in AWS_ACCOUNT_ID AWS_REGION; do
  if [ -z "${!name:-}" ]; then
    echo "::error title=$name is not set::Set the variable $name in the GitHub environment $GITHUB_ENVIRONMENT" \
      "or in the repository: Settings > Secrets and variables > Actions > Variables."
    exit 1
  fi
done
