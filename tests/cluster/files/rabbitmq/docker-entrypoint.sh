#!/bin/sh
# The same manners as the published image: as root, become the broker's own user.
set -eu
if [ "$(id -u)" = 0 ] && [ "${1:-}" = rabbitmq-server ]; then
  chown -R rabbitmq:rabbitmq /var/lib/rabbitmq
  exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$@"
fi
exec "$@"
