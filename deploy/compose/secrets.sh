#!/bin/sh
# Makes what must not stand in docker-compose.yml, once: keys, passwords, and the certificates with which services
# prove to each other who they are. For trying; a company has its own authority and secret store.
#   sh deploy/compose/secrets.sh
set -eu
umask 077
cd "$(dirname "$0")"
if [ -e secrets/done ]; then
    for name in keycloak_password gateway_secret catalog_database_password; do
        [ -e "secrets/$name" ] || { echo "deploy/compose/secrets is of an older version: $name is missing; remove the folder" >&2; exit 1; }
    done
    echo "deploy/compose/secrets is there already; remove it to make everything anew (stored secrets are lost then)"
    exit 0
fi
mkdir -p secrets/tls
cd secrets

# Without a line end: some readers keep it.
random() { printf '%s' "$(openssl rand -hex 24)"; }
openssl rand -base64 32 > kek
openssl rand -base64 32 > identity_key
random > admin_password
random > postgres_password
random > keycloak_password
random > gateway_secret
printf 'postgres://portico:%s@postgres:5432/portico' "$(cat postgres_password)" > migrate_database_url
for service in catalog access-request registration gateway notification accounts; do
    name=$(printf '%s' "$service" | tr - _)
    password=$(random)
    printf '%s' "$password" > "${name}_database_password"
    # Begins with a letter, or the server would take it for a number.
    nats_password="p$(random)"
    printf 'NATS_%s_PASSWORD=%s\n' "$(printf '%s' "$name" | tr a-z A-Z)" "$nats_password" >> nats.env
    printf 'nats://%s:%s@nats:4222' "$service" "$nats_password" > "${name}_nats_url"
    printf 'postgres://portico_%s:%s@postgres:5432/portico' "$name" "$password" > "${name}_database_url"
done
printf 'NATS_OPERATOR_PASSWORD=p%s\n' "$(random)" >> nats.env

# One authority, and for each process a certificate that is good for serving and for calling.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=Portico services" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" \
    -keyout tls/authority-key.pem -out tls/authority.pem 2>/dev/null
for name in catalog access-request registration gateway notification accounts edge; do
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$name" \
        -keyout "tls/$name-key.pem" -out "tls/$name.csr" 2>/dev/null
    printf 'basicConstraints=CA:FALSE\nsubjectAltName=DNS:%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$name" \
        > "tls/$name.ext"
    openssl x509 -req -in "tls/$name.csr" -CA tls/authority.pem -CAkey tls/authority-key.pem -CAcreateserial \
        -days 825 -extfile "tls/$name.ext" -out "tls/$name.pem" 2>/dev/null
    rm "tls/$name.csr" "tls/$name.ext"
done
# The containers' user is not the one who runs this.
chmod 0644 ./*_url ./*_password kek identity_key gateway_secret tls/*.pem
chmod 0600 tls/authority-key.pem
touch done
echo "made deploy/compose/secrets; the admin's password is in admin_password"
