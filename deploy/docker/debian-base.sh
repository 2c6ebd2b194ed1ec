#!/usr/bin/env bash
# Make a base image from Debian packages, for machines that reach no image registry: BASE=localhost/aisle-base:bookworm
#
# Called by   hand, as root; then BASE=localhost/aisle-base:bookworm make images
# Needs       debootstrap, podman
# Out         Debian 12 with Python 3.11 and without manuals, translations and package lists
set -euo pipefail
source "$(dirname "$0")/engine.sh"
[ "$ENGINE" = podman ] || { echo "needs podman, buildah and no docker daemon" >&2; exit 3; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root"
chroot "$root" sh -c 'apt-get clean; rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
  /usr/share/doc/* /usr/share/info/* /usr/share/locale/* /usr/share/man/*'
tar -C "$root" -c . | podman import - localhost/aisle-base:bookworm
