#!/bin/sh
# For each service a schema, and a role that reads and writes its rows and can make nothing; no role sees another's
# schema. The tables are made by `portico migrate`, as the owner who runs this, once. The image of PostgreSQL does it at
# its first start. Passwords are in files: $SECRETS/<service>_database_password.
set -eu
for service in catalog access_request registration gateway notification accounts; do
    password=$(cat "${SECRETS:-/run/secrets}/${service}_database_password")
    psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
        -v role="portico_$service" -v password="$password" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE SCHEMA :"role";
GRANT USAGE ON SCHEMA :"role" TO :"role";
ALTER DEFAULT PRIVILEGES IN SCHEMA :"role" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"role";
SQL
done
