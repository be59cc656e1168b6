#!/bin/sh
# Fills an empty portal through its REST API, so that the flow can be clicked at once: the identity provider with an
# initial access token of Keycloak's, a client type, the gateway, two plans, two published products. Needs curl.
#   PORTAL, KEYCLOAK, GATEWAY: addresses; GATEWAY_PUBLIC: as people reach it; REALM: at Keycloak; ADMIN_EMAIL
#   SECRETS: folder with admin_password, keycloak_password, gateway_secret
set -eu
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
secret() { cat "$SECRETS/$1"; }

# post ADDRESS TOKEN BODY [curl's options]: what the options print; fails as the call fails.
post() {
    address=$1 token=$2 body=$3
    shift 3
    printf '%s' "$body" | curl --silent --show-error --fail-with-body --request POST \
        --header 'content-type: application/json' ${token:+--header "authorization: Bearer $token"} --data-binary @- \
        "$@" "$address"
}
# The address of what was made.
made() {
    post "$PORTAL/api/v1/$1" "$admin" "$2" --output "$answer" --write-out '%header{location}' ||
        { cat "$answer" >&2; exit 1; }
}
# member NAME: the first one of this name in a JSON text.
member() { grep -o "\"$1\" *: *\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

admin=$(post "$PORTAL/api/v1/session" "" \
    "{\"email\":\"$ADMIN_EMAIL\",\"password\":\"$(secret admin_password)\"}" | member token)
: "${admin:?the portal does not let the admin in}"
if curl --silent --show-error --fail --header "authorization: Bearer $admin" "$PORTAL/api/v1/products" |
    grep -q '"Orders API"'; then
    echo "the portal is seeded already"
    exit 0
fi

# Keycloak is slow to start.
curl --silent --show-error --fail --retry 120 --retry-delay 2 --retry-all-errors --output /dev/null \
    "$KEYCLOAK/realms/$REALM"
keycloak=$(curl --silent --show-error --fail --data grant_type=password --data client_id=admin-cli --data username=admin \
    --data-urlencode "password=$(secret keycloak_password)" "$KEYCLOAK/realms/master/protocol/openid-connect/token" |
    member access_token)
initial=$(post "$KEYCLOAK/admin/realms/$REALM/clients-initial-access" "$keycloak" '{"count":1000,"expiration":0}' |
    member token)
: "${initial:?Keycloak gives no initial access token}"

provider=$(made identity-providers "{\"name\":\"Keycloak\",\"type\":\"keycloak\",
    \"well_known_url\":\"$KEYCLOAK/realms/$REALM/.well-known/openid-configuration\",
    \"initial_access_token\":\"$initial\"}")
client_type=$(made "identity-providers/${provider##*/}/client-types" '{"name":"Backend service",
    "description":"A program without a user: client credentials with a secret.", "response_types":[],
    "grant_types":["client_credentials"], "token_endpoint_auth_method":"client_secret_basic"}')
made gateways "{\"name\":\"Gateway double\",\"type\":\"tyk\",\"url\":\"$GATEWAY\",
    \"secret\":\"$(secret gateway_secret)\",\"org_id\":\"sandbox\"}" >/dev/null
plan() {
    made plans "{\"name\":\"$1\",\"description\":\"$2\",\"scopes\":\"$3\",\"auto_approve\":false,
        \"rate\":{\"requests\":$4,\"per_seconds\":60},\"quota\":{\"requests\":$5,\"renews_every_seconds\":86400}}" >/dev/null
}
plan Free "For trying things out." free_plan 60 10000
plan Gold "For production." gold_plan 600 1000000
product() {
    product=$(made products "{\"name\":\"$1\",\"description\":\"$2\",\"dcr_enabled\":true,\"scopes\":\"product_$3\",
        \"client_type_ids\":[\"${client_type##*/}\"],\"visibility\":\"public\",\"tags\":[\"$3\"],
        \"apis\":[{\"api_id\":\"$3\",\"name\":\"$1\",\"url\":\"$GATEWAY_PUBLIC/$3/\"}]}")
    post "$PORTAL/api/v1/products/${product##*/}/publish" "$admin" '{}' >/dev/null
}
product "Payments API" "Take card and bank payments, and refund them." payments
product "Orders API" "Place orders and follow them." orders
echo "seeded: two products with two plans, behind Keycloak and the gateway double"
