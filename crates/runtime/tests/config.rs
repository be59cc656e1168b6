//! The configuration as an operator meets it.

#[cfg(test)]
mod config {
    use std::path::Path;
    use std::time::Duration;

    use portico_runtime::ServiceName;
    use portico_runtime::config::{
        Config, ConfigError, ConfigErrors, LogFormat, OwnSettings, Signup,
    };

    const KEK: &str = "3q2+78r+ur4BAgMEBQYHCAkKCwwNDg8QERITFBUWFxg=";
    const OLD: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

    fn variables(given: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        Config::from_parts(None, given.iter().copied())
    }

    fn file(text: &str) -> Result<Config, ConfigErrors> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portico.toml");
        std::fs::write(&path, text).unwrap();
        Config::from_parts(Some(&path), [("", ""); 0])
    }

    fn wrong(result: Result<Config, ConfigErrors>) -> Vec<ConfigError> {
        result.expect_err("it is wrong").0
    }

    fn keys(result: Result<Config, ConfigErrors>) -> Vec<String> {
        wrong(result).into_iter().map(|error| error.key).collect()
    }

    #[test]
    fn nothing_given_is_enough() {
        let config = variables(&[]).unwrap();
        assert_eq!(config.data_dir(), Path::new("./data"));
        assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(config.grpc.listen.to_string(), "127.0.0.1:3001");
        assert_eq!(config.public_url.as_str(), "http://127.0.0.1:3000/");
        assert_eq!(config.signup, Signup::Open);
        assert_eq!(config.outgoing.max_body, 1 << 20);
        assert!(config.database_url().is_none() && config.nats.is_none());
    }

    /// A message that is forgotten must not come again from the bus.
    #[test]
    fn messages_are_remembered_longer_than_the_bus_has_them() {
        let with = |age, messages| {
            variables(&[
                ("PORTICO_NATS_MAX_AGE", age),
                ("PORTICO_RETENTION_MESSAGES", messages),
            ])
        };
        let config = with("29d", "30d").unwrap();
        let days = |days: u64| Duration::from_hours(24 * days);
        assert_eq!(config.retention.store.messages, days(30));
        assert_eq!(config.retention.store.bus * 2, days(29));
        assert_eq!(keys(with("30d", "30d")), ["retention.messages"]);
        assert_eq!(keys(with("0s", "30d")), ["nats.max_age"]);
    }

    #[test]
    fn the_fixed_names_work() {
        let config = variables(&[
            ("PORTICO_DATA_DIR", "/srv/portico"),
            ("PORTICO_LISTEN", "0.0.0.0:80"),
            ("PORTICO_GRPC_LISTEN", "[::]:81"),
            ("PORTICO_ADMIN_EMAIL", "admin@example.org"),
            ("PORTICO_ADMIN_PASSWORD", "12345678"),
            ("PORTICO_SMTP_URL", "smtp://mail:25"),
            ("PORTICO_MAIL_FROM", "portal@example.org"),
            ("PORTICO_DATABASE_URL", "postgres://u:p@db/portico"),
            ("PORTICO_NATS_URL", "nats://nats:4222"),
            ("PORTICO_KEK", KEK),
            (
                "PORTICO_ALLOW_PRIVATE_ADDRESSES",
                "localhost, 10.0.0.0/8,idp:8443",
            ),
            ("PORTICO_SIGNUP", "closed"),
            ("PORTICO_PUBLIC_URL", "https://portal.example.org"),
            ("HOME", "/root"),
        ])
        .unwrap();
        assert_eq!(config.data_dir, Path::new("/srv/portico"));
        assert_eq!(config.listen.port(), 80);
        assert_eq!(config.grpc.listen.port(), 81);
        let admin = config.admin.unwrap();
        assert_eq!(admin.email.expose(), "admin@example.org");
        assert_eq!(admin.password.expose(), "12345678");
        assert_eq!(config.mail.smtp_url.unwrap().expose(), "smtp://mail:25");
        assert_eq!(config.mail.from, "portal@example.org");
        let database = config.database_url.unwrap();
        assert_eq!(database.expose(), "postgres://u:p@db/portico");
        assert_eq!(config.nats.unwrap().url.expose(), "nats://nats:4222");
        assert!(config.kek.is_some());
        let allow = config.outgoing.allow;
        assert!(allow.has_name("localhost", 80) && allow.has_name("idp", 8443));
        assert!(allow.has_address("10.9.8.7".parse().unwrap(), 443));
        assert_eq!(config.signup, Signup::Closed);
        assert_eq!(config.public_url.as_str(), "https://portal.example.org/");
    }

    #[test]
    fn variables_win_over_the_file_and_the_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portico.toml");
        let text = "listen = '127.0.0.1:1'\nsignup = 'approval'\n[log]\nformat = 'json'\n";
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let config = variables(&[
            ("PORTICO_CONFIG", path),
            ("PORTICO_LISTEN", "127.0.0.1:2"),
            ("PORTICO_SIGNUP", ""),
        ])
        .unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.signup, Signup::Approval);
        assert_eq!(config.log.format, LogFormat::Json);
        assert_eq!(config.log.level, "info");
        let shown = config.print_masked();
        assert!(shown.contains("listen = \"127.0.0.1:2\"  # PORTICO_LISTEN\n"));
        assert!(shown.contains(&format!("log.format = \"json\"  # {path}\n")));
        assert!(shown.contains("log.level = \"info\"  # default\n"));
    }

    #[test]
    fn the_manual_is_a_valid_file() {
        file(include_str!("../src/config.default.toml")).unwrap();
    }

    #[test]
    fn all_problems_are_told_at_once_with_their_source() {
        let errors = wrong(variables(&[
            ("PORTICO_LISTEN", "everywhere"),
            ("PORTICO_SIGNUP", "perhaps"),
            ("PORTICO_RETRY_MAX_ATTEMPTS", "many"),
            ("PORTICO_SESSION_LIFETIME", "soon"),
            ("PORTICO_ALLOW_PRIVATE_ADDRESSES", "10.0.0.0/8,*"),
            ("PORTICO_LISTENN", "127.0.0.1:1"),
        ]));
        let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "PORTICO_LISTENN: there is no such key; config.default.toml has all of them; did you mean PORTICO_LISTEN? (PORTICO_LISTENN)",
                "listen: must be an address and port such as 127.0.0.1:3000 (PORTICO_LISTEN)",
                "allow_private_addresses: \"*\": must be a host, host:port, address, address:port or network such as 10.0.0.0/8 (PORTICO_ALLOW_PRIVATE_ADDRESSES)",
                "signup: must be one of open, approval, closed (PORTICO_SIGNUP)",
                "session.lifetime: must be a duration such as 500ms, 30s, 5m, 12h or 14d (PORTICO_SESSION_LIFETIME)",
                "retry.max_attempts: must be a whole number from 1 to 4294967295 (PORTICO_RETRY_MAX_ATTEMPTS)",
            ]
            .map(str::to_owned)
            .to_vec()
            .as_slice()
        );
        let all = ConfigErrors(errors).to_string();
        assert!(all.starts_with("the configuration has 6 problems:\n- PORTICO_LISTENN"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_was_meant() {
        for (variable, value, words) in [
            ("PORTICO_LOG_LEVEL", "inof", "did you mean info?"),
            ("PORTICO_LOG_LEVEL", "info,debgu", "did you mean debug?"),
            (
                "PORTICO_LOG_LEVEL",
                "info,sqlx",
                "must be error, warn, info",
            ),
            (
                "PORTICO_LOG_LEVEL",
                "info,sqlx=wran",
                "must be error, warn, info",
            ),
            (
                "portico_smtp_url",
                "smtp://mail:25",
                "did you mean PORTICO_SMTP_URL?",
            ),
            (
                "Portico_Listen",
                "127.0.0.1:1",
                "did you mean PORTICO_LISTEN?",
            ),
            (
                "portico_smtp_url_file",
                "/x",
                "did you mean PORTICO_SMTP_URL_FILE?",
            ),
            (
                "PORTICO_LOGLEVEL",
                "info",
                "did you mean PORTICO_LOG_LEVEL?",
            ),
            ("PORTICO_SMTP_PORT", "25", "there is no such key"),
            ("PORTICO_SMTP_URL", "smtp://host\nsmtp", "must be one line"),
        ] {
            let errors = wrong(variables(&[(variable, value)]));
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(
                errors[0].message.contains(words),
                "{variable}: {}",
                errors[0]
            );
        }
        for level in ["info", "WARN", "info,sqlx=warn,portico_edge=trace", "off"] {
            variables(&[("PORTICO_LOG_LEVEL", level)]).unwrap();
        }
    }

    #[test]
    fn a_file_of_a_secret_holds_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("smtp");
        for (text, right) in [
            ("smtp://host:25\n", true),
            ("smtp://host\nsmtp:25\n", false),
        ] {
            std::fs::write(&path, text).unwrap();
            let given = variables(&[("PORTICO_SMTP_URL_FILE", path.to_str().unwrap())]);
            assert_eq!(given.is_ok(), right, "{text}");
        }
    }

    #[test]
    fn what_a_command_has_itself_cannot_be_configured() {
        let own = OwnSettings {
            command: "portico demo",
            defaults: vec![
                ("listen", "127.0.0.1:9".to_owned()),
                ("log.level", "error".to_owned()),
            ],
            fixed: vec![("data_dir", "/tmp/own".to_owned())],
            known: Vec::new(),
        };
        let given = |given: &[(&str, &str)]| Config::with_own(None, given.iter().copied(), &own);
        let config = given(&[("PORTICO_LISTEN", "127.0.0.1:34999")]).unwrap();
        assert_eq!(config.listen.port(), 34_999);
        assert_eq!(
            (config.log.level.as_str(), config.data_dir()),
            ("error", Path::new("/tmp/own"))
        );
        assert_eq!(given(&[]).unwrap().listen.port(), 9);
        let errors = wrong(given(&[("PORTICO_DATA_DIR", "/srv/portico")]));
        assert_eq!(
            errors[0].to_string(),
            "data_dir: cannot be set for `portico demo`, which has its own (PORTICO_DATA_DIR)"
        );
        let known = OwnSettings {
            known: vec![("listen", "127.0.0.1:12345".to_owned())],
            ..own
        };
        let config = Config::with_own(None, [("PORTICO_LISTEN", "127.0.0.1:0")], &known).unwrap();
        assert_eq!(config.public_url.as_str(), "http://127.0.0.1:12345/");
    }

    #[test]
    fn a_file_can_be_checked_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portico.toml");
        assert!(Config::check_file(&path).is_err(), "it is not there");
        for (text, right) in [
            ("listen = 'x'", true),
            ("lisen = 'x'", false),
            ("nonsense", false),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Config::check_file(&path).is_ok(), right, "{text}");
        }
    }

    #[test]
    fn unknown_keys_and_wrong_kinds_in_a_file_are_refused() {
        let errors = keys(file(
            "listenn = 'a'\nlog = 'info'\nlisten = 1\n[smtp]\nhost = 'a'\n[unknown]\na = 1\n[signup]\na = 1\n",
        ));
        let mut errors: Vec<_> = errors.iter().map(String::as_str).collect();
        errors.sort_unstable();
        assert_eq!(
            errors,
            ["listen", "listenn", "log", "signup", "smtp.host", "unknown"]
        );
    }

    #[test]
    fn a_file_that_is_missing_or_no_toml_is_refused_without_quoting_it() {
        let missing = Path::new("/nowhere/portico.toml");
        assert_eq!(
            keys(Config::from_parts(Some(missing), [("", ""); 0])),
            ["/nowhere/portico.toml"]
        );
        let errors = wrong(file("kek = hunter2 hunter2"));
        assert_eq!(errors.len(), 1);
        assert!(
            errors[0].message.starts_with("is not TOML: "),
            "{}",
            errors[0]
        );
        assert!(errors[0].message.contains("line 1"), "{}", errors[0]);
        assert!(!errors[0].to_string().contains("hunter2"), "{}", errors[0]);
    }

    #[test]
    fn kubernetes_service_links_are_not_for_us() {
        variables(&[
            ("PORTICO_SERVICE_HOST", "10.0.0.1"),
            ("PORTICO_PORT", "tcp://10.0.0.1:3000"),
            ("PORTICO_PORT_3000_TCP_ADDR", "10.0.0.1"),
        ])
        .unwrap();
    }

    #[test]
    fn what_belongs_together_is_checked_together() {
        for (given, key) in [
            (("PORTICO_ADMIN_EMAIL", "a@example.org"), "admin.password"),
            (("PORTICO_ADMIN_PASSWORD", "12345678"), "admin.email"),
            (("PORTICO_SESSION_IDLE", "13h"), "session.idle"),
            (
                ("PORTICO_CONNECTIONS_MAX", "10"),
                "connections.max_per_address",
            ),
            (("PORTICO_RETRY_FIRST_DELAY", "1h"), "retry.first_delay"),
            (("PORTICO_DATABASE_URL", "mysql://db/a"), "database.url"),
            (("PORTICO_NATS_URL", "http://nats"), "nats.url"),
            (("PORTICO_SMTP_URL", "mail"), "smtp.url"),
            (("PORTICO_MAIL_FROM", "nobody"), "mail.from"),
            (("PORTICO_MAIL_FROM", "A\r\nBcc: b <a@b>"), "mail.from"),
            (("PORTICO_PUBLIC_URL", "https://a/path"), "public_url"),
            (("PORTICO_PUBLIC_URL", "ftp://a"), "public_url"),
            (("PORTICO_THEME_DIR", "/nowhere"), "theme_dir"),
            (("PORTICO_KEK", "c2hvcnQ="), "kek"),
            (("PORTICO_KEK_FILE", "/nowhere"), "kek_file"),
            (("PORTICO_KEK_PREVIOUS", "AAAA"), "kek_previous"),
            (("PORTICO_LOG_LEVEL", "info,=="), "log.level"),
            (
                ("PORTICO_OUTGOING_ALLOWED_PORTS", "0"),
                "outgoing.allowed_ports",
            ),
        ] {
            assert_eq!(keys(variables(&[given])), [key], "{given:?}");
        }
        let one_of_a_pair = [("PORTICO_GRPC_TLS_CERT_FILE", "/etc/hostname")];
        assert_eq!(keys(variables(&one_of_a_pair)), ["grpc.tls_key_file"]);
        let both = [("PORTICO_KEK", KEK), ("PORTICO_KEK_FILE", "/nowhere")];
        assert_eq!(keys(variables(&both)), ["kek_file"]);
    }

    #[test]
    fn what_is_hardly_meant_is_warned_of() {
        for (given, keys) in [
            (&[][..], &[][..]),
            (&[("PORTICO_PUBLIC_URL", "http://localhost:3000")], &[]),
            (&[("PORTICO_LISTEN", "0.0.0.0:3000")], &["public_url"]),
            (&[("PORTICO_LISTEN", "192.0.2.1:3000")], &["public_url"]),
            (
                &[("PORTICO_PUBLIC_URL", "http://portal.example.org")],
                &["public_url"],
            ),
            (
                &[("PORTICO_PUBLIC_URL", "https://portal.example.org")],
                &["http.trusted_proxies"],
            ),
            (
                &[
                    ("PORTICO_PUBLIC_URL", "https://portal.example.org"),
                    ("PORTICO_LISTEN", "0.0.0.0:3000"),
                    ("PORTICO_HTTP_TRUSTED_PROXIES", "10.0.0.0/8"),
                ],
                &[],
            ),
            (
                &[("PORTICO_HTTP_TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0")],
                &["http.trusted_proxies"],
            ),
            (
                &[("PORTICO_ALLOW_PRIVATE_ADDRESSES", "::/0")],
                &["allow_private_addresses"],
            ),
            (
                &[
                    ("PORTICO_ATTEMPTS_WINDOW", "1ms"),
                    ("PORTICO_ATTEMPTS_SIGN_UP_WINDOW", "999ms"),
                ],
                &["attempts.window", "attempts.sign_up_window"],
            ),
        ] {
            let warnings = variables(given).unwrap().warnings();
            let about = warnings
                .iter()
                .filter_map(|text| text.split([':', ' ']).next());
            assert_eq!(about.collect::<Vec<_>>(), keys, "{given:?}");
        }
    }

    #[test]
    fn a_mail_password_goes_in_clear_only_where_that_is_said() {
        let with = |url: &str, more: &[(&str, &str)]| {
            let given = [("PORTICO_SMTP_URL", url)];
            variables(&[&given, more].concat())
        };
        for refused in [
            "smtp://user:canary@mail.example.org",
            "smtp://user:canary@mail.example.org:587?tls=opportunistic",
            "smtp://user:canary@192.0.2.1",
        ] {
            let errors = wrong(with(refused, &[]));
            assert_eq!(errors[0].key, "smtp.url", "{refused}");
            assert!(!errors[0].to_string().contains("canary"));
            assert!(with(refused, &[("PORTICO_SMTP_PASSWORD_IN_CLEAR", "yes")]).is_ok());
        }
        for taken in [
            "smtps://user:canary@mail.example.org",
            "smtp://user:canary@mail.example.org:587?tls=required",
            "smtp://user:canary@localhost:1025",
            "smtp://user:canary@127.0.0.1:1025",
            "smtp://user:canary@[::1]:1025",
            "smtp://mail.example.org",
        ] {
            assert!(with(taken, &[]).is_ok(), "{taken}");
        }
    }

    #[test]
    fn what_commands_take_from_the_environment_is_no_mistake() {
        let session = [
            ("PORTICO_URL", "https://portal.example.org"),
            ("PORTICO_TOKEN", "an-admin's"),
        ];
        assert!(variables(&session).is_ok());
        assert_eq!(keys(variables(&[("PORTICO_URLS", "x")])), ["PORTICO_URLS"]);
    }

    #[test]
    fn a_secret_is_never_shown() {
        let old = format!("{OLD},{OLD}");
        let config = variables(&[
            ("PORTICO_ADMIN_EMAIL", "admin@example.org"),
            ("PORTICO_ADMIN_PASSWORD", "canary-password"),
            ("PORTICO_SMTP_URL", "smtps://u:canary@mail?canary"),
            ("PORTICO_DATABASE_URL", "postgres://u:canary@db/portico"),
            ("PORTICO_NATS_URL", "nats://canary@nats:4222"),
            ("PORTICO_OUTGOING_PROXY", "http://u:canary@proxy"),
            ("PORTICO_KEK", KEK),
            ("PORTICO_KEK_PREVIOUS", &old),
        ])
        .unwrap();
        let shown = format!("{} {config:?}", config.print_masked());
        for secret in ["canary", &KEK[..8], &OLD[..8]] {
            assert!(!shown.contains(secret), "{secret}");
        }
        assert!(shown.contains("database.url = \"postgres://u:***@db/portico\""));
        assert!(shown.contains("kek_previous = [\"***\", \"***\"]"));
        assert!(shown.contains("kek = \"***\"  # PORTICO_KEK\n"));

        let told = wrong(variables(&[
            ("PORTICO_ADMIN_EMAIL", "a@example.org"),
            ("PORTICO_ADMIN_PASSWORD", "canary"),
            ("PORTICO_DATABASE_URL", "canary"),
            ("PORTICO_KEK", "canary"),
        ]));
        assert_eq!(told.len(), 3);
        assert!(!ConfigErrors(told).to_string().contains("canary"));
    }

    #[test]
    fn secrets_can_be_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "postgres://u:p@db/portico\n").unwrap();
        let path = path.to_str().unwrap();
        let config = variables(&[("PORTICO_DATABASE_URL_FILE", path)]).unwrap();
        assert_eq!(
            config.database_url.unwrap().expose(),
            "postgres://u:p@db/portico"
        );
        let list = folder.path().join("list");
        std::fs::write(&list, format!("{KEK}\n{OLD}\n")).unwrap();
        let list = list.to_str().unwrap();
        let config = variables(&[("PORTICO_KEK_PREVIOUS_FILE", list)]).unwrap();
        assert_eq!(config.kek_previous.len(), 2);
        assert_eq!(
            keys(variables(&[("PORTICO_DATABASE_URL_FILE", "/nowhere")])),
            ["PORTICO_DATABASE_URL_FILE"]
        );
        assert_eq!(
            keys(variables(&[("PORTICO_LISTEN_FILE", path)])),
            ["PORTICO_LISTEN_FILE"]
        );
    }

    #[test]
    fn the_key_is_the_given_one_or_one_in_the_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let data = [("PORTICO_DATA_DIR", folder.path().to_str().unwrap())];
        let (made, generated) = variables(&data).unwrap().kek_ring().unwrap();
        assert!(generated);
        let (again, generated) = variables(&data).unwrap().kek_ring().unwrap();
        assert!(!generated);
        assert_eq!(made.active().id(), again.active().id());

        let path = folder.path().join("own");
        std::fs::write(&path, KEK).unwrap();
        let own = [
            ("PORTICO_KEK_FILE", path.to_str().unwrap()),
            ("PORTICO_KEK_PREVIOUS", OLD),
        ];
        let (ring, generated) = variables(&own).unwrap().kek_ring().unwrap();
        assert!(!generated);
        let old = portico_vault::Kek::from_base64(OLD).unwrap();
        assert!(ring.find(old.id()).is_some());
        assert_ne!(ring.active().id(), made.active().id());
    }

    #[test]
    fn identity_keys_and_the_tolerance_of_clocks_are_checked() {
        let key = "PORTICO_SERVICES_IDENTITY_KEY_PREVIOUS";
        let both = format!("{KEK},{OLD}");
        let config = variables(&[(key, &both)]).unwrap();
        assert_eq!(config.services.identity_key_previous.len(), 2);
        assert!(!config.print_masked().contains(KEK));
        for (given, wrong) in [
            ((key, "canary"), "services.identity_key_previous"),
            (("PORTICO_CLOCK_TOLERANCE", "1500ms"), "clock.tolerance"),
            (("PORTICO_TLS_RELOAD_INTERVAL", "0s"), "tls.reload_interval"),
        ] {
            assert_eq!(keys(variables(&[given])), [wrong]);
        }
    }

    #[test]
    fn what_has_changed_is_named_also_where_it_is_a_secret() {
        let before = variables(&[("PORTICO_KEK", KEK), ("PORTICO_LOG_LEVEL", "warn")]).unwrap();
        assert_eq!(before.changed_since(&before), Vec::<&str>::new());
        let after = variables(&[
            ("PORTICO_KEK", OLD),
            ("PORTICO_SESSION_IDLE", "3h"),
            ("PORTICO_LOG_LEVEL", "warn"),
        ])
        .unwrap();
        assert_eq!(after.changed_since(&before), ["kek", "session.idle"]);
    }

    #[test]
    fn separate_processes_need_what_they_share() {
        let missing = |own: &[ServiceName]| {
            let errors = variables(&[]).unwrap().check_separate(own).unwrap_err();
            let keys: Vec<String> = errors.0.into_iter().map(|error| error.key).collect();
            keys.join(" ")
        };
        assert_eq!(
            missing(&[ServiceName::Catalog]),
            "kek or kek_file database.url nats.url services.access_request services.registration \
             services.gateway services.notification services.accounts"
        );
        // The edge has no store and no bus.
        assert_eq!(
            missing(&[]),
            "kek or kek_file services.catalog services.access_request services.registration \
             services.gateway services.notification services.accounts"
        );
        let config = separate(&[]).unwrap();
        config.check_separate(&[ServiceName::Catalog]).unwrap();
        assert_eq!(config.services.addresses(ServiceName::Accounts).len(), 2);
        assert!(config.services.addresses(ServiceName::Catalog).is_empty());
    }

    fn separate(more: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        let mut given = vec![
            ("PORTICO_KEK", KEK),
            ("PORTICO_DATABASE_URL", "postgres://db/portico"),
            ("PORTICO_NATS_URL", "nats://nats"),
            (
                "PORTICO_SERVICES_ACCESS_REQUEST",
                "http://access-request:3002",
            ),
            ("PORTICO_SERVICES_REGISTRATION", "http://registration:3002"),
            ("PORTICO_SERVICES_GATEWAY", "http://gateway:3002"),
            ("PORTICO_SERVICES_NOTIFICATION", "http://notification:3002"),
            (
                "PORTICO_SERVICES_ACCOUNTS",
                "http://10.0.0.1:3002,http://10.0.0.2:3002",
            ),
        ];
        given.extend(more);
        variables(&given)
    }

    #[test]
    fn addresses_of_services_are_origins_of_the_right_scheme() {
        let found = keys(separate(&[(
            "PORTICO_SERVICES_CATALOG",
            "http://catalog:3002/path",
        )]));
        assert_eq!(found, ["services.catalog"]);
        let config = separate(&[("PORTICO_SERVICES_CATALOG", "https://catalog:3002")]).unwrap();
        let errors = config.check_separate(&[]).unwrap_err();
        assert_eq!(errors.0[0].key, "services.catalog");
        assert!(
            errors.to_string().contains("must begin with http://"),
            "{errors}"
        );
    }

    #[test]
    fn mutual_tls_is_whole_or_not_there() {
        let fixture = |name: &str| format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        let (cert, key, ca) = (
            fixture("server.pem"),
            fixture("server-key.pem"),
            fixture("authority.pem"),
        );
        let all = [
            ("PORTICO_SERVICES_TLS_CERT_FILE", cert.as_str()),
            ("PORTICO_SERVICES_TLS_KEY_FILE", key.as_str()),
            ("PORTICO_SERVICES_TLS_CA_FILE", ca.as_str()),
        ];
        let config = separate(&all).unwrap();
        assert!(config.services.tls.is_some());
        // Addresses without TLS do not fit.
        assert_eq!(
            config
                .check_separate(&[ServiceName::Catalog])
                .unwrap_err()
                .0
                .len(),
            5
        );
        for (left_out, _) in all {
            let given: Vec<_> = all
                .into_iter()
                .filter(|(name, _)| *name != left_out)
                .collect();
            assert!(separate(&given).is_err(), "without {left_out}");
        }
    }

    #[test]
    fn readiness_may_say_no_for_no_time() {
        assert!(variables(&[]).unwrap().shutdown_notice.is_zero());
        let config = variables(&[("PORTICO_SHUTDOWN_NOTICE", "5s")]).unwrap();
        assert_eq!(config.shutdown_notice, Duration::from_secs(5));
        assert_eq!(
            keys(variables(&[("PORTICO_SHUTDOWN_NOTICE", "soon")])),
            ["shutdown.notice"]
        );
    }

    #[test]
    fn durations_are_read() {
        let config = variables(&[("PORTICO_SHUTDOWN_DEADLINE", "1500ms")]).unwrap();
        assert_eq!(config.shutdown_deadline, Duration::from_millis(1500));
    }
}
