//! The gateway double as a process, as `docker-compose.yml` starts it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

/// Ends with the test.
struct Double(Child);

impl Drop for Double {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn it_takes_the_secret_of_the_file_and_has_two_apis() {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    writeln!(secret, "of-the-file").unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_portico-gateway-double"))
        .arg("127.0.0.1:0")
        .arg(secret.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut double = Double(child);
    let mut url = String::new();
    let output = double.0.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut url).unwrap();
    let url = url.trim();

    let http = portico_sandbox::outgoing::http_client().unwrap();
    let apis = |secret: &'static str| {
        let request = http.get(format!("{url}/tyk/apis"));
        request.header("x-tyk-authorization", secret).send()
    };
    let apis_of_others = apis("another").await.unwrap();
    assert_eq!(apis_of_others.status(), 403);
    let listed = apis("of-the-file").await.unwrap();
    let listed: Vec<serde_json::Value> =
        serde_json::from_slice(&listed.bytes().await.unwrap()).unwrap();
    let mut ids: Vec<&str> = listed
        .iter()
        .map(|api| api["api_id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["noop", "orders", "payments"]);
    let without_token = http.get(format!("{url}/payments/")).send().await.unwrap();
    assert_eq!(without_token.status(), 400);
}
