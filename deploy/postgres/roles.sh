#!/bin/sh
# A role for each service, which reads and writes the rows of its own schema and can create nothing; no role sees
# another's schema. `portico migrate` creates the tables afterwards, as the owner who runs this. The PostgreSQL image
# runs it at its first start. Passwords are in files: $SECRETS/<service>_database_password. It may be run again: roles
# and schemas that are there stay, and passwords are set.
#
#   sh deploy/postgres/roles.sh                   roles and their schemas, for a new database
#   ROLES_ONLY=yes sh deploy/postgres/roles.sh    before pg_restore: a dump has the schemas, but no roles
#
# The server is that of psql (PGHOST, PGPORT); the owner is $POSTGRES_USER, the database $POSTGRES_DB.
set -eu
for service in catalog access_request registration gateway notification accounts; do
    password=$(cat "${SECRETS:-/run/secrets}/${service}_database_password")
    psql -v ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
        -v role="portico_$service" -v password="$password" -v roles_only="${ROLES_ONLY:-no}" <<'SQL'
SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN PASSWORD :'password';
\if :roles_only
\else
CREATE SCHEMA IF NOT EXISTS :"role";
GRANT USAGE ON SCHEMA :"role" TO :"role";
ALTER DEFAULT PRIVILEGES IN SCHEMA :"role" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"role";
\endif
SQL
done
