//! The HTTP client of the sandbox's own calls.

/// A client for plain HTTP on this machine: no proxy, no redirects, and no guard
/// against private addresses, which are all there is here.
#[expect(
    clippy::disallowed_methods,
    reason = "the guarded client refuses loopback, where the whole sandbox lives"
)]
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    // A second installation is refused; the first one serves as well.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    reqwest::Client::builder()
        .no_proxy()
        // Without TLS the machine's certificates need not be read, which takes longer than all the rest.
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .build()
}
