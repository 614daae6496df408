#!/usr/bin/env bash
# Fails when a file holds what looks like a key: AWS, GitHub, Slack, private keys, passwords in addresses and others.
# Which strings look random is not asked: hashes of packages and of commits do, and pinning is what we want.
set -euo pipefail
folders=("$@")
[ "${#folders[@]}" -gt 0 ] || folders=(.)
find "${folders[@]}" -type d \( -name .git -o -name .venv -o -name node_modules -o -name cdk.out -o -name build -o -name '.*_cache' \) \
  -prune -o -type f ! -name '*.lock' ! -name 'package-lock.json' -print0 |
  xargs -0 .venv/bin/detect-secrets-hook \
    --disable-plugin Base64HighEntropyString --disable-plugin HexHighEntropyString --disable-plugin KeywordDetector \
    --exclude-secrets "^hunter22$"
