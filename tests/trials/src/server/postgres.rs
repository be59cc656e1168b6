//! A real PostgreSQL server.
//!
//! The programs are taken from `PORTICO_POSTGRES_BIN`, else from the newest `/usr/lib/postgresql/*/bin`, else
//! from `PATH`. Root may not run them, so root's tests run them as `postgres` or `nobody`.

use std::{
    env, fs, io,
    io::Write as _,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use tokio::{sync::OnceCell, time::sleep};

/// How long the server may take to answer; recovery after a kill included.
const START_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Ports are taken by whoever comes first, so a start is tried again on another one.
const PORT_TRIES: u32 = 5;

/// Runs the server until standard input closes, which also happens when the test process dies in whatever way;
/// then stops it, and deletes the folder unless told to keep it. QUIT is what stops the server at once, but is ignored
/// until it has begun to start, when TERM is not.
const KEEPER: &str = r#"
folder=$1; shift
"$@" >"$folder/log" 2>&1 &
server=$!
read -r word
kill -TERM "$server" 2>/dev/null
kill -QUIT "$server" 2>/dev/null
wait "$server"
[ "$word" = keep ] || rm -rf -- "$folder"
"#;

/// A PostgreSQL server on a free port of 127.0.0.1 with its own data folder and trust authentication. Stopped,
/// and its data deleted, when dropped or when the test process ends.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    user: Option<(u32, u32)>,
    settings: Vec<String>,
    port: u16,
    keeper: Option<Child>,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts a server. Writes are not forced to the disk: what it commits survives [`Postgres::kill`], but not a
    /// power cut.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn start() -> Self {
        Self::start_with(&["fsync=off", "full_page_writes=off"]).await
    }

    /// As [`Postgres::start`] with these settings, such as `fsync=on`, instead.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub async fn start_with(settings: &[&str]) -> Self {
        let Some(programs) = programs() else {
            panic!("PostgreSQL is not installed");
        };
        match Self::launch(programs, settings).await {
            Ok(server) => server,
            Err(error) => panic!("PostgreSQL does not start: {error}"),
        }
    }

    /// An empty database on one server that the tests of this process share; its URL.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub async fn shared_database() -> String {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await.fresh_database().await
    }

    /// A server with these settings on data that `fill` puts into an empty folder, as after a restore. The files become
    /// the server's own user's.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub async fn start_on(settings: &[&str], fill: impl FnOnce(&Path)) -> Self {
        let Some(programs) = programs() else {
            panic!("PostgreSQL is not installed");
        };
        let started = async {
            let server = Self::prepare(programs, settings)?;
            fs::create_dir(server.data())?;
            fill(&server.data());
            if let Some((user, group)) = server.user {
                give(&server.data(), user, group)?;
            }
            server.listen().await
        };
        match started.await {
            Ok(server) => server,
            Err(error) => panic!("PostgreSQL does not start: {error}"),
        }
    }

    async fn launch(programs: PathBuf, settings: &[&str]) -> io::Result<Self> {
        let server = Self::prepare(programs, settings)?;
        server.initdb()?;
        server.listen().await
    }

    /// In a folder of its own, without data.
    fn prepare(programs: PathBuf, settings: &[&str]) -> io::Result<Self> {
        sqlx::any::install_default_drivers();
        let folder = tempfile::Builder::new()
            .prefix("portico-postgres-")
            .tempdir()?
            .keep();
        let server = Self {
            programs,
            folder,
            user: unprivileged_user()?,
            settings: settings.iter().map(ToString::to_string).collect(),
            port: 0,
            keeper: None,
            databases: AtomicU32::new(0),
        };
        if let Some((user, group)) = server.user {
            chown(&server.folder, Some(user), Some(group))?;
        }
        Ok(server)
    }

    /// Starts it on a free port.
    async fn listen(mut self) -> io::Result<Self> {
        let mut tries = 1;
        loop {
            // Bound for a moment only, to learn of a free port.
            self.port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            match self.spawn().await {
                Err(error) if tries < PORT_TRIES && error.kind() == io::ErrorKind::AddrInUse => {
                    tries += 1;
                }
                result => return result.map(|()| self),
            }
        }
    }

    /// What the programs of PostgreSQL, `deploy/postgres/roles.sh` and `portico` are told to reach it as its owner.
    #[must_use]
    pub fn client(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.port.to_string()),
            ("POSTGRES_USER", "postgres".to_owned()),
            ("PORTICO_DATABASE_URL", self.url()),
        ]
    }

    /// `postgres://postgres@127.0.0.1:port/postgres`; the same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of a new, empty database.
    ///
    /// # Panics
    /// When the server does not make it.
    pub async fn fresh_database(&self) -> String {
        let name = format!("fresh_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made = async {
            let mut connection = AnyConnection::connect(&self.url()).await?;
            let statement = AssertSqlSafe(format!("CREATE DATABASE {name}"));
            connection.execute(statement).await?;
            connection.close().await
        };
        match made.await {
            Ok(()) => self.url_of(&name),
            Err(error) => panic!("database not made: {error}"),
        }
    }

    /// Kills the server with SIGKILL, unless it is stopped already. Its data stays.
    ///
    /// # Errors
    /// When the process cannot be ended.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(keeper) = self.keeper.take() else {
            return Ok(());
        };
        let pid_file = fs::read_to_string(self.data().join("postmaster.pid"))?;
        let pid = pid_file.lines().next().unwrap_or_default();
        let killed = Command::new("sh")
            .args(["-c", "kill -KILL \"$1\"", "sh", pid])
            .status()?;
        end(keeper, "keep\n")?;
        if killed.success() {
            Ok(())
        } else {
            Err(io::Error::other("kill failed"))
        }
    }

    /// Kills the server if it runs and starts it on the same port with the data that is there.
    ///
    /// # Errors
    /// When it cannot be ended or does not answer within a minute.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match self.spawn().await {
                // Backends of the killed server may still hold its shared memory.
                Err(_) if Instant::now() < deadline => sleep(POLL).await,
                result => return result,
            }
        }
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it keeps databases and write-ahead log.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn initdb(&self) -> io::Result<()> {
        let mut command = self.command(self.programs.join("initdb"));
        command
            .arg("--pgdata")
            .arg(self.data())
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync"]);
        let done = command.output()?;
        if done.status.success() {
            Ok(())
        } else {
            let words = String::from_utf8_lossy(&done.stderr).into_owned();
            Err(io::Error::other(format!("initdb: {words}")))
        }
    }

    async fn spawn(&mut self) -> io::Result<()> {
        // What an earlier start said is not what this one says.
        match fs::remove_file(self.log()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut command = self.command("sh");
        command
            .args(["-c", KEEPER, "sh"])
            .arg(&self.folder)
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(&self.folder)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-c", "max_connections=300"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null());
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let keeper = command.spawn()?;
        let deadline = Instant::now() + START_LIMIT;
        while !self.answers().await {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            // It says FATAL also to whom it refuses while it is starting.
            let failed = log
                .lines()
                .any(|line| line.contains("FATAL:") && !line.contains("the database system is"));
            if failed || Instant::now() > deadline {
                end(keeper, "keep\n")?;
                let kind = if log.contains("Address already in use") {
                    io::ErrorKind::AddrInUse
                } else {
                    io::ErrorKind::Other
                };
                return Err(io::Error::new(kind, log));
            }
            sleep(POLL).await;
        }
        self.keeper = Some(keeper);
        Ok(())
    }

    async fn answers(&self) -> bool {
        match AnyConnection::connect(&self.url()).await {
            Ok(connection) => connection.close().await.is_ok(),
            Err(_) => false,
        }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        // The present folder may be closed to the other user.
        command.current_dir(&self.folder);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        match self.keeper.take() {
            // Nothing more can be done about a process that does not end.
            Some(keeper) => drop(end(keeper, "")),
            None => drop(fs::remove_dir_all(&self.folder)),
        }
    }
}

/// Says a last word to the keeper and waits until it has stopped the server.
fn end(mut keeper: Child, word: &str) -> io::Result<()> {
    if let Some(mut input) = keeper.stdin.take() {
        input.write_all(word.as_bytes())?;
    }
    keeper.wait().map(drop)
}

/// The folder of the programs.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let has_initdb = |folder: &PathBuf| folder.join("initdb").is_file();
    if let Some(given) = env::var_os("PORTICO_POSTGRES_BIN") {
        return Some(PathBuf::from(given)).filter(has_initdb);
    }
    let debian = fs::read_dir("/usr/lib/postgresql")
        .ok()
        .and_then(|folders| {
            folders
                .flatten()
                .map(|folder| (version(&folder.path()), folder.path().join("bin")))
                .filter(|(_, folder)| has_initdb(folder))
                .max()
                .map(|(_, folder)| folder)
        });
    debian.or_else(|| env::split_paths(&env::var_os("PATH")?).find(has_initdb))
}

/// Makes a folder and all that is in it somebody else's.
fn give(folder: &Path, user: u32, group: u32) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => give(&entry.path(), user, group)?,
            false => chown(entry.path(), Some(user), Some(group))?,
        }
    }
    chown(folder, Some(user), Some(group))
}

fn version(folder: &Path) -> u32 {
    folder
        .file_name()
        .and_then(|name| name.to_str()?.parse().ok())
        .unwrap_or(0)
}

/// User and group to run as; `None` where we are not root ourselves.
fn unprivileged_user() -> io::Result<Option<(u32, u32)>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let find = |wanted: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(wanted)).then_some(())?;
            let (user, group) = (fields.nth(1)?, fields.next()?);
            Some((user.parse().ok()?, group.parse().ok()?))
        })
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .map(Some)
        .ok_or_else(|| io::Error::other("there is no user to run PostgreSQL as"))
}
