//! Who may do what: every operation of the REST API, the gRPC services and the pages, by everybody, on what belongs to
//! somebody else. The table is `docs/integrate/authorization.md`, and an operation without a row in it fails.
//!
//! What the table may say at most is written down here as well, so that a renewed table cannot give anything away.

mod grpc;
mod internal;
mod pages;
mod people;
mod rest;

use std::{cmp::Reverse, collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use futures::future::join_all;

use self::people::{Person, Portal, Victim};

/// What somebody is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Done, or judged by what was sent.
    Yes,
    /// Must sign in.
    SignIn,
    /// Is told that it is not for them.
    Forbidden,
    /// Is told that there is no such thing.
    NotThere,
}

impl Outcome {
    fn of_http(status: u16) -> Self {
        match status {
            401 => Self::SignIn,
            403 => Self::Forbidden,
            404 => Self::NotThere,
            // A limit or an outage says nothing of who may.
            408 | 429 | 500.. => panic!("{status}"),
            _ => Self::Yes,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::SignIn => "sign in",
            Self::Forbidden => "no",
            Self::NotThere => "404",
        }
    }
}

/// An answer: what it means, and everything that it shows.
struct Answer {
    outcome: Outcome,
    text: String,
}

/// One thing that can be asked for.
#[derive(Debug, Clone)]
struct Operation {
    /// As in the table: `GET /api/v1/cart`.
    name: String,
    /// With the placeholders of what it is about, or a gRPC path.
    path: String,
    method: &'static str,
}

impl Operation {
    /// Whether it is about something that belongs to one person.
    fn is_personal(&self) -> bool {
        let personal = [
            "access-requests/{",
            "api-keys/{",
            "api-tokens/{",
            "applications/{",
            "oauth-clients/{",
            "users/{",
            "deliveries/{",
            "mails/{",
        ];
        personal.iter().any(|part| self.path.contains(part)) || grpc::is_personal(&self.path)
    }

    /// Whether it gives out a secret of a developer.
    fn shows_a_secret(&self) -> bool {
        let secrets = [
            "credentials",
            "/rotate",
            "/reveal",
            "/replace",
            "GetCredentials",
            "RotateCredentials",
            "RevealApiKey",
            "ReplaceApiKey",
        ];
        let ends = self.path.ends_with("old-secret");
        !ends && secrets.iter().any(|part| self.path.contains(part))
    }

    /// Reads first, what ends something last, and the session at the very end. Of each the parts before the whole, which
    /// takes them with it.
    fn turn(&self) -> u8 {
        let name = self.name.to_lowercase();
        let ends = [
            "delete", "erase", "revoke", "withdraw", "suspend", "drop", "old",
        ];
        // Logging in ends the session that there was.
        let session = [
            "logout",
            "post /login",
            "delete /api/v1/session",
            "deletesession",
        ];
        if session.iter().any(|word| name.contains(word)) {
            3
        } else if ends.iter().any(|word| name.contains(word)) {
            2
        } else {
            u8::from(self.method != "GET")
        }
    }
}

/// How a part of the portal is called.
trait Surface {
    /// Heading in the table.
    const TITLE: &'static str;

    async fn operations(portal: &Portal) -> Vec<Operation>;

    /// One call, in somebody's name, about what a victim has.
    async fn call(portal: &Portal, who: &Person, operation: &Operation, about: &Victim) -> Answer;
}

/// What visitors may do, in words of the table; everything else needs somebody who is signed in.
const PUBLIC: [&str; 19] = [
    "GET /api/v1/products",
    "GET /api/v1/products/{id}",
    "POST /api/v1/session",
    "POST /api/v1/users",
    "DELETE /api/v1/session",
    "AccountsService/CreateSession",
    "AccountsService/DeleteSession",
    "AccountsService/SignUp",
    "CatalogService/GetProduct",
    "CatalogService/ListProducts",
    "GET /",
    "GET /catalogue",
    "GET /catalogue/{id}",
    "GET /login",
    "POST /login",
    "POST /logout",
    "GET /signup",
    "POST /signup",
    "GET /static/{*path}",
];
/// What belongs to a session is no use of an API token: its outcomes may differ.
const OF_SESSIONS: [&str; 2] = ["DELETE /api/v1/session", "POST /logout"];

/// The outcomes of one operation.
#[derive(Debug, Clone, Copy)]
struct Row {
    visitor: Outcome,
    developer: Outcome,
    owner: Outcome,
    admin: Outcome,
}

type Rows = BTreeMap<String, Row>;

struct Matrix {
    portal: Portal,
    tables: Vec<(&'static str, Rows)>,
    /// What must not be, whatever the table says.
    wrong: Vec<String>,
}

impl Matrix {
    /// What outsiders get to see and do, then the owner.
    async fn explore<S: Surface>(&mut self) {
        let mut operations = S::operations(&self.portal).await;
        operations.sort_by_key(|operation| (operation.turn(), Reverse(operation.path.len())));
        let victim = self.portal.victim().await;
        let before = self.portal.everything_of(&victim).await;
        let mut rows = Rows::new();
        let outsiders = self.portal.outsiders().await;
        for operation in &operations {
            let row = self.outsiders::<S>(operation, &victim, &outsiders).await;
            rows.insert(operation.name.clone(), row);
        }
        let after = self.portal.everything_of(&victim).await;
        let title = S::TITLE;
        assert_eq!(after, before, "{title}: something of the victim's changed");
        for operation in &operations {
            let answer = S::call(&self.portal, &victim.person, operation, &victim).await;
            let row = rows.get_mut(&operation.name).unwrap();
            row.owner = answer.outcome;
            let hidden = operation.is_personal() && row.developer == Outcome::NotThere;
            let public = !grpc::is_internal(&operation.path);
            self.require(row.owner != Outcome::NotThere || !hidden || !public, || {
                let name = &operation.name;
                format!("{name}: not there for its owner, so that a 404 for others says nothing")
            });
        }
        self.tables.push((title, rows));
    }

    async fn outsiders<S: Surface>(
        &mut self,
        operation: &Operation,
        victim: &Victim,
        outsiders: &[Person; 4],
    ) -> Row {
        let name = operation.name.as_str();
        let mut outcomes = [Outcome::Yes; 4];
        for (outcome, who) in outcomes.iter_mut().zip(outsiders) {
            let answer = S::call(&self.portal, who, operation, victim).await;
            *outcome = answer.outcome;
            let shown = victim.shown_in(&answer.text);
            let shown = shown.filter(|_| answer.outcome == Outcome::Yes);
            self.require(shown.is_none(), || {
                format!("{name} shows {} {shown:?}: {}", who.name, answer.text)
            });
        }
        let [visitor, suspended, developer, token] = outcomes;
        let public = PUBLIC.contains(&name);
        self.require(visitor != Outcome::Yes || public, || {
            format!("{name}: a visitor may")
        });
        let as_visitor = suspended == visitor || suspended == Outcome::SignIn;
        self.require(as_visitor, || {
            format!("{name}: {suspended:?} for a suspended account")
        });
        let the_same = token == developer || OF_SESSIONS.contains(&name);
        self.require(the_same, || {
            format!("{name}: {token:?} with an API token, {developer:?} with a session")
        });
        let may = developer == Outcome::Yes && operation.is_personal();
        self.require(!may, || format!("{name}: somebody else may"));
        self.require(developer != Outcome::SignIn, || {
            format!("{name}: a session was of no use")
        });
        Row {
            visitor,
            developer,
            owner: developer,
            admin: developer,
        }
    }

    /// After everybody else, since it takes away what they need.
    async fn as_admin<S: Surface>(&mut self, victim: &Victim) {
        let mut operations = S::operations(&self.portal).await;
        operations.sort_by_key(|operation| (operation.turn(), Reverse(operation.path.len())));
        let admin = self.portal.admin().await;
        let at = self.tables.iter().position(|(title, _)| *title == S::TITLE);
        let mut rows = std::mem::take(&mut self.tables[at.unwrap()].1);
        for operation in &operations {
            let row = rows.get_mut(&operation.name).unwrap();
            let outcome = S::call(&self.portal, &admin, operation, victim)
                .await
                .outcome;
            // What is for admins only is for them also where what it is about is gone, or never was.
            let only_admins = row.developer == Outcome::Forbidden && outcome == Outcome::NotThere;
            row.admin = if only_admins { Outcome::Yes } else { outcome };
            let secret = operation.shows_a_secret() && operation.is_personal();
            self.require(!secret || row.admin != Outcome::Yes, || {
                format!("{}: an admin sees somebody's secret", operation.name)
            });
        }
        self.tables[at.unwrap()].1 = rows;
    }

    fn require(&mut self, right: bool, words: impl FnOnce() -> String) {
        if !right {
            self.wrong.push(words());
        }
    }

    fn document(&self) -> String {
        let mut text = String::from(HEAD);
        for (title, rows) in &self.tables {
            write!(
                text,
                "\n## {title}\n\n| operation | visitor | developer | owner | admin |\n|---|---|---|---|---|\n"
            )
            .unwrap();
            for (name, row) in rows {
                let cells = [row.visitor, row.developer, row.owner, row.admin];
                let cells = cells.map(Outcome::word).join(" | ");
                writeln!(text, "| `{name}` | {cells} |").unwrap();
            }
        }
        text
    }
}

const HEAD: &str = "# Who may do what

Every operation, and what it answers to whom. A test calls each of them in everybody's name and fails where this page says
something else, or has no row (`PORTICO_RENEW_MATRIX=1 cargo test -p portico --test authz_coverage` writes it anew).

| column | who |
|---|---|
| visitor | nobody is signed in. Whose account is suspended is answered the same, or told to sign in |
| developer | somebody else, about what belongs to the owner. An API token may what its user may, but not end a session |
| owner | a developer, about what is theirs |
| admin | an admin, about what belongs to a developer |

*yes*: done, or judged by what was sent; *sign in*: 401, gRPC `UNAUTHENTICATED`, the log-in page; *no*: 403,
`PERMISSION_DENIED`; *404*: `NOT_FOUND`, as if there were no such thing. Lists show what the caller may see.
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_do_what() {
    let portal = Portal::start().await;
    let mut matrix = Matrix {
        portal,
        tables: Vec::new(),
        wrong: Vec::new(),
    };
    matrix.explore::<rest::Rest>().await;
    matrix.explore::<grpc::Grpc>().await;
    matrix.explore::<pages::Pages>().await;
    // All before the first of them takes away what can be ordered.
    let victims = join_all((0..3).map(|_| matrix.portal.victim())).await;
    matrix.as_admin::<rest::Rest>(&victims[0]).await;
    matrix.as_admin::<grpc::Grpc>(&victims[1]).await;
    matrix.as_admin::<pages::Pages>(&victims[2]).await;
    assert!(matrix.wrong.is_empty(), "{:#?}", matrix.wrong);
    let document = matrix.document();
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/integrate/authorization.md");
    if std::env::var_os("PORTICO_RENEW_MATRIX").is_some() {
        fs::write(&file, &document).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    let differs = |one: &str, other: &str| -> Vec<String> {
        let lines = one
            .lines()
            .filter(|line| !other.lines().any(|known| known == *line));
        lines.map(str::to_owned).collect()
    };
    assert!(
        written == document,
        "docs/integrate/authorization.md says {:#?}, and it is {:#?}",
        differs(&written, &document),
        differs(&document, &written)
    );
    matrix.portal.stop().await;
}
