#!/usr/bin/env bash
# Push the built images to a registry and write their digests into k8s/overlays/prod/images.
#
# Called by   make pin-images REPOSITORY=registry.example/aisle TAG=1.0 (images built under the same two names)
# In          names of images, all that are built if none
# Out         k8s/overlays/prod/images/kustomization.yaml: commit it; what runs is then a matter of record
# Errors      exit code 3 without an engine; the engine's own where the registry refuses
set -euo pipefail
cd "$(dirname "$0")/../.."
source deploy/docker/engine.sh
[ -n "$ENGINE" ] || { echo "neither a docker daemon nor podman and buildah are here" >&2; exit 3; }
: "${REPOSITORY:?such as registry.example/aisle}" "${TAG:?such as 1.0}"
target=k8s/overlays/prod/images/kustomization.yaml
[ $# -gt 0 ] || set -- gateway feature ranking training

for name in "$@"; do
  image=$REPOSITORY/$name:$TAG
  "$ENGINE" push "$image"
  digest=$("$ENGINE" image inspect --format '{{index .RepoDigests 0}}' "$image" | sed 's/.*@//')
  sed -i -E "s#^  - \{name: aisle/$name, .*#  - {name: aisle/$name, newName: $REPOSITORY/$name, digest: \"$digest\"}#" "$target"
done
grep digest "$target"
