//! Ready-made curl commands, for a POSIX shell.

/// What a request for a token needs.
pub(super) struct Token<'a> {
    pub(super) endpoint: &'a str,
    pub(super) client_id: &'a str,
    /// Or a word that stands for it.
    pub(super) client_secret: &'a str,
    /// RFC 7591 section 2, `token_endpoint_auth_method`.
    pub(super) auth_method: &'a str,
    pub(super) grant_types: &'a [String],
    /// For the authorization code grant.
    pub(super) redirect_url: &'a str,
    pub(super) scopes: &'a [String],
    /// Empty at most providers.
    pub(super) audience: &'a str,
}

impl Token<'_> {
    /// Whether the client can get a token without a person (RFC 6749 section 4.4).
    pub(super) fn is_for_machines(&self) -> bool {
        self.grant_types
            .iter()
            .any(|grant| grant == "client_credentials")
    }

    /// The command that gets a token: with client credentials where the client may, otherwise in exchange for an
    /// authorization code (RFC 6749 sections 4.4.2 and 4.1.3).
    ///
    /// # Errors
    /// What works instead, for people: there is no command for this client.
    pub(super) fn command(&self) -> Result<String, String> {
        let mut lines = vec![format!("curl {}", quoted(self.endpoint))];
        lines.extend(self.authentication()?);
        let mut data = |name: &str, value: &str| {
            lines.push(format!(
                "--data-urlencode {}",
                quoted(&format!("{name}={value}"))
            ));
        };
        let with_code = self
            .grant_types
            .iter()
            .any(|grant| grant == "authorization_code");
        match (self.is_for_machines(), with_code) {
            (true, _) => {
                data("grant_type", "client_credentials");
                data("scope", &self.scopes.join(" "));
                if !self.audience.is_empty() {
                    data("audience", self.audience);
                }
            }
            (false, true) => {
                data("grant_type", "authorization_code");
                data("code", "AUTHORIZATION_CODE");
                data("redirect_uri", self.redirect_url);
            }
            (false, false) => {
                let grants = self.grant_types.join(", ");
                return Err(format!(
                    "The identity provider allows this client the grant types {grants} only; get tokens with an OAuth \
                     library that supports them."
                ));
            }
        }
        Ok(lines.join(" \\\n  "))
    }

    /// RFC 6749 section 2.3.1, RFC 7523 section 2.2.
    fn authentication(&self) -> Result<Vec<String>, String> {
        let data = |name: &str, value: &str| {
            format!("--data-urlencode {}", quoted(&format!("{name}={value}")))
        };
        match self.auth_method {
            // A client without authentication gets no token by client credentials (RFC 6749 section 4.4).
            "none" if self.is_for_machines() => Err(
                "The identity provider registered this client without authentication, so it cannot use client \
                 credentials. Ask an admin for another client type."
                    .to_owned(),
            ),
            "none" => Ok(vec![data("client_id", self.client_id)]),
            "client_secret_post" => Ok(vec![
                data("client_id", self.client_id),
                data("client_secret", self.client_secret),
            ]),
            "" | "client_secret_basic" => {
                // Both halves are form-encoded before they become the user and password of HTTP Basic.
                let encode = |text: &str| -> String {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = format!("{}:{}", encode(self.client_id), encode(self.client_secret));
                Ok(vec![format!("-u {}", quoted(&pair))])
            }
            "client_secret_jwt" => Err(
                "This client authenticates with a JWT that is signed with the client secret (client_secret_jwt, RFC \
                 7523); get tokens with an OAuth library that supports it."
                    .to_owned(),
            ),
            other => Err(format!(
                "This client authenticates by {other}, with a key that is not known to this portal; get tokens with an \
                 OAuth library that supports it."
            )),
        }
    }
}

/// The command that calls an API with a token in the shell's variable `ACCESS_TOKEN`.
pub(super) fn call(url: &str) -> String {
    format!(
        "curl {} \\\n  -H \"Authorization: Bearer $ACCESS_TOKEN\"",
        quoted(url)
    )
}

/// The command that calls an API with a key, which stands in the header as it is. Without one it comes from the
/// shell's variable `API_KEY`.
pub(super) fn call_with_key(url: &str, header: &str, key: Option<&str>) -> String {
    let header = match key {
        Some(key) => quoted(&format!("{header}: {key}")),
        None => format!("\"{header}: $API_KEY\""),
    };
    format!("curl {} \\\n  -H {header}", quoted(url))
}

/// As one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token<'a>(
        auth_method: &'a str,
        grant_types: &'a [String],
        scopes: &'a [String],
    ) -> Token<'a> {
        Token {
            endpoint: "https://idp.example/token",
            client_id: "client",
            client_secret: "s/e+c'ret",
            auth_method,
            grant_types,
            redirect_url: "https://shop.example/cb",
            scopes,
            audience: "",
        }
    }

    #[test]
    fn a_token_by_client_credentials() {
        let grants = ["client_credentials".to_owned()];
        let scopes = ["product_payments".to_owned(), "free_plan".to_owned()];
        assert_eq!(
            token("client_secret_basic", &grants, &scopes)
                .command()
                .unwrap(),
            "curl 'https://idp.example/token' \\\n  -u 'client:s%2Fe%2Bc%27ret' \\\n  \
             --data-urlencode 'grant_type=client_credentials' \\\n  \
             --data-urlencode 'scope=product_payments free_plan'"
        );
        let for_an_api = Token {
            audience: "https://api.example/",
            ..token("client_secret_basic", &grants, &scopes)
        };
        let command = for_an_api.command().unwrap();
        assert!(
            command.ends_with("--data-urlencode 'audience=https://api.example/'"),
            "{command}"
        );
        let post = token("client_secret_post", &grants, &scopes)
            .command()
            .unwrap();
        assert!(
            post.contains("--data-urlencode 'client_secret=s/e+c'\\''ret'"),
            "{post}"
        );
        assert!(!post.contains("-u "), "{post}");
    }

    #[test]
    fn a_token_for_a_person() {
        let grants = ["authorization_code".to_owned()];
        let command = token("none", &grants, &[]).command().unwrap();
        assert!(
            command.contains("'client_id=client'") && !command.contains("ret'"),
            "{command}"
        );
        assert!(
            command.contains("'redirect_uri=https://shop.example/cb'"),
            "{command}"
        );
    }

    #[test]
    fn where_no_command_can_work_there_are_words() {
        let machine = ["client_credentials".to_owned()];
        let device = ["urn:ietf:params:oauth:grant-type:device_code".to_owned()];
        for (method, grants, words) in [
            ("none", &machine, "without authentication"),
            (
                "client_secret_jwt",
                &machine,
                "signed with the client secret",
            ),
            ("private_key_jwt", &machine, "private_key_jwt, with a key"),
            ("tls_client_auth", &machine, "tls_client_auth, with a key"),
            ("client_secret_basic", &device, "device_code only"),
        ] {
            let instead = token(method, grants, &[]).command().unwrap_err();
            assert!(instead.contains(words), "{method}: {instead}");
        }
    }

    #[test]
    fn a_key_stands_in_the_header_without_a_scheme() {
        assert_eq!(
            call_with_key("https://gateway.example/weather/", "Authorization", None),
            "curl 'https://gateway.example/weather/' \\\n  -H \"Authorization: $API_KEY\""
        );
        assert_eq!(
            call_with_key("https://a/", "Authorization", Some("k'1")),
            "curl 'https://a/' \\\n  -H 'Authorization: k'\\''1'"
        );
    }

    #[test]
    fn nothing_escapes_from_the_quotes() {
        assert_eq!(
            call("https://a/';rm -rf ~'"),
            "curl 'https://a/'\\'';rm -rf ~'\\''' \\\n  -H \"Authorization: Bearer $ACCESS_TOKEN\""
        );
    }
}
