#!/usr/bin/env bash
# Writes requirements/*.lock from pyproject.toml: every version with its hashes, no address of any index.
# --universal, because a lock made for one Python version lacks what another needs under --require-hashes.
set -euo pipefail
cd "$(dirname "$0")/../.."

uv_home=$(mktemp -d)
trap 'rm -rf "$uv_home"' EXIT
if command -v uv > /dev/null; then
  uv=$(command -v uv)
else
  "${PYTHON:-python3}" -m venv "$uv_home/venv"
  "$uv_home/venv/bin/pip" install --quiet --disable-pip-version-check uv
  uv="$uv_home/venv/bin/uv"
fi
# uv does not read pip's configuration; a mirror set there serves here too, and leaves no trace in the result.
index=$("${PYTHON:-python3}" -m pip config get global.index-url 2> /dev/null || true)
if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}" ]; then export UV_DEFAULT_INDEX="$index"; fi

lock() {
  local file="requirements/$1.lock"
  shift
  echo "$file"
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --no-header "${@/#/--extra=}" --output-file "$file" pyproject.toml
}

mkdir -p requirements
lock cpu cpu
lock distributed cpu postgres s3
lock gpu gpu postgres s3
lock dev cpu postgres s3 dev
if grep -nE 'https?://|--index-url|--find-links' requirements/*.lock; then
  echo "an address got into a lock file" >&2
  exit 1
fi
