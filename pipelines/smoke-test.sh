#!/usr/bin/env bash
# Compare what SITE_URL answers with workload/frontend/site, file by file.
set -euo pipefail
got=$(mktemp -d)
trap 'rm -rf "$got"' EXIT
fetch() {
  curl --fail --silent --show-error --retry 5 --retry-all-errors --max-time 20 \
    --dump-header "$got/headers" --output "$got/file" "$SITE_URL/$1"
}
while IFS= read -r file; do
  fetch "$file"
  cmp "$got/file" "workload/frontend/site/$file"
  echo "$SITE_URL/$file is what it should be"
done < <(cd workload/frontend/site && find . -type f -printf '%P\n' | sort)
fetch ""
cmp "$got/file" workload/frontend/site/index.html
for header in content-security-policy strict-transport-security x-content-type-options; do
  grep -qi "^$header:" "$got/headers" || { echo "$SITE_URL/ has no header $header" >&2; exit 1; }
done
