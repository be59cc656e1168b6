-- Whose client an id at a provider is; asked at every registration.
CREATE INDEX oauth_clients_client_id ON oauth_clients (identity_provider_id, client_id);
