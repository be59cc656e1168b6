#!/bin/sh
# Everything in containers, with one command: makes keys and passwords where there are none, builds, starts, seeds.
#   sh deploy/compose/up.sh
set -eu
cd "$(dirname "$0")/../.."
sh deploy/compose/secrets.sh
# Compose reads the files of its secrets before it starts a container, so none of them can make them.
docker compose up --build --detach
docker compose logs --follow seed
code=$(docker compose ps --all --format '{{.ExitCode}}' seed)
[ "$code" = 0 ] || { echo "the portal runs, but was not seeded: see above" >&2; exit 1; }
echo "http://localhost:3000: admin@example.org, password $(cat deploy/compose/secrets/admin_password)"
echo "mail http://localhost:8025, traces http://localhost:16686, Keycloak http://localhost:8080, gateway http://localhost:3011"
