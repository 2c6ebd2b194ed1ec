#!/usr/bin/env bash
# Build the images of the services with docker, or with buildah where no docker daemon answers.
#
# Called by   make images; by hand: deploy/docker/build.sh gateway feature
# In          names of services (all if none), or ranking-gpu; from the environment:
#               BASE       image to build on (the Dockerfile's default if empty)
#               REPOSITORY, TAG   localhost/aisle and dev if empty: localhost/aisle/gateway:dev
#               PIP_CONF, PIP_CA  files handed to pip as secrets: they are in no layer
#               PIP_INDEX_URL, PIP_EXTRA_INDEX_URL   such as an index with CPU builds of torch for the training image
#               BUILD_OPTIONS     more options of the engine, such as --volume
# Out         the images in the engine's store, and a line for each with its size
# Errors      exit code 3 when there is neither docker nor buildah
set -euo pipefail
cd "$(dirname "$0")/../.."
source deploy/docker/engine.sh
[ -n "$ENGINE" ] || { echo "skipped: neither a docker daemon nor podman and buildah are here" >&2; exit 3; }

build() {
  local name=$1 service=${1%-gpu} base=${BASE:-} options=()
  if [ "$name" != "$service" ]; then
    options+=(--build-arg "EXTRA=$name")
  fi
  [ -z "$base" ] || options+=(--build-arg "BASE=$base")
  [ -z "${PIP_CONF:-}" ] || options+=(--secret "id=pip.conf,src=$PIP_CONF")
  [ -z "${PIP_CA:-}" ] || options+=(--secret "id=ca.crt,src=$PIP_CA")
  for index in PIP_INDEX_URL PIP_EXTRA_INDEX_URL; do
    [ -z "${!index:-}" ] || options+=(--build-arg "$index=${!index}")
  done
  options+=(--build-arg "REVISION=$(git rev-parse HEAD)" --build-arg "VERSION=${TAG:-dev}")
  # shellcheck disable=SC2206 # several options in one variable
  options+=(${BUILD_OPTIONS:-} --file "deploy/docker/$service/Dockerfile" --tag "${REPOSITORY:-localhost/aisle}/$name:${TAG:-dev}" .)
  if [ "$ENGINE" = docker ]; then
    docker build "${options[@]}"
  else
    buildah bud --isolation chroot --network host --format docker "${options[@]}"
  fi
}

[ $# -gt 0 ] || set -- gateway feature ranking training
for name in "$@"; do build "$name"; done
for name in "$@"; do
  "$ENGINE" image inspect --format "{{index .RepoTags 0}} {{.Size}}" "${REPOSITORY:-localhost/aisle}/$name:${TAG:-dev}" |
    awk '{ printf "%s %.0f MB\n", $1, $2 / 1e6 }'
done
