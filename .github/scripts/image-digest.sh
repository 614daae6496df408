#!/usr/bin/env bash
# Prints the digest of a tag in the repository $APP. Exits with 3 when there is no such image.
set -euo pipefail
export LC_ALL=C AWS_PAGER=

tag=$1
if ! [[ $tag =~ ^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$ ]]; then
  echo "::error title=Not a tag::An image tag has letters, digits, '_', '.' and '-', at most 128; for example" \
    "sha- and the commit." >&2
  exit 2
fi

errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
if ! digest=$(aws ecr describe-images --repository-name "$APP" --image-ids "imageTag=$tag" \
  --query 'imageDetails[0].imageDigest' --output text 2> "$errors"); then
  if grep -q ImageNotFoundException "$errors"; then
    exit 3
  fi
  echo "::error title=The image could not be looked up::$(tr '\n' ' ' < "$errors")" >&2
  exit 1
fi
case $digest in
  sha256:*) echo "$digest" ;;
  *) exit 3 ;;
esac
