# Which container engine this machine has; sourced by build.sh and debian-base.sh.
# Out   $ENGINE: docker (if its daemon answers), else podman with buildah, else empty

if docker info >/dev/null 2>&1; then
  ENGINE=docker
elif command -v podman >/dev/null && command -v buildah >/dev/null; then
  ENGINE=podman
  if [ ! -d /run/systemd/system ]; then
    export CONTAINERS_CONF="${CONTAINERS_CONF:-$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/containers.conf}"
  fi
else
  ENGINE=
fi
