#!/usr/bin/env bash
# Print the secrets of a new install, each drawn at random: for .env of compose and for the Secret of Kubernetes.
#
# Called by   hand, once: (umask 077; deploy/docker/secrets.sh > .env)
# Out         NAME=value lines; run again it prints others, so keep what you have
# Empty       ALERT_WEBHOOK_URL: where alerts go is yours to say
set -euo pipefail
for name in POSTGRES_PASSWORD REDIS_PASSWORD AISLE_API_KEYS AISLE_INTERNAL_TOKEN GRAFANA_PASSWORD; do
  # Letters and digits only: the values stand in URLs.
  printf '%s=%s\n' "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
done
echo "ALERT_WEBHOOK_URL="
