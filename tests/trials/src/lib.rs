//! Tests that need a server, for test binaries with `harness = false`.
//!
//! Rust's own harness cannot skip a test at run time. Here each test names the servers that it needs; when one is missing
//! the test counts as ignored, and the server is named at the end. With `PORTICO_TESTS=all` such a test fails instead.
//! Filters and options are those of `cargo test`.

mod server;

use std::{collections::BTreeMap, future::Future, process::ExitCode};

use libtest_mimic::{Arguments, Failed};
pub use server::{
    CHROMIUM, NATS, NatsServer, OPENSSL, POSTGRESQL, Postgres, Server, in_path, postgres, works,
};
use tokio::runtime::Builder;

/// A test and the servers that it needs.
pub struct Trial {
    name: String,
    needs: Vec<Server>,
    test: Box<dyn FnOnce() + Send>,
}

impl Trial {
    /// A test fails when it panics. `module` is `module_path!()`; the name of the crate is left out, as Rust's harness
    /// does.
    pub fn new(
        module: &str,
        name: &str,
        needs: &[Server],
        test: impl FnOnce() + Send + 'static,
    ) -> Self {
        let name = match module.split_once("::") {
            Some((_, module)) => format!("{module}::{name}"),
            None => name.to_owned(),
        };
        Self {
            name,
            needs: needs.to_vec(),
            test: Box::new(test),
        }
    }

    /// The missing servers, with the reason; each is looked for once.
    fn missing(&self, known: &mut BTreeMap<&str, Option<&str>>) -> Vec<String> {
        let missing = self.needs.iter().filter_map(|server| {
            let why = known
                .entry(server.name)
                .or_insert_with(|| (server.missing)());
            why.map(|why| format!("{}: {why}", server.name))
        });
        missing.collect()
    }

    fn runnable(self) -> libtest_mimic::Trial {
        let kind = self.kind();
        let test = || {
            (self.test)();
            Ok(())
        };
        libtest_mimic::Trial::test(self.name, test).with_kind(kind)
    }

    fn failing(self, why: String) -> libtest_mimic::Trial {
        let kind = self.kind();
        libtest_mimic::Trial::test(self.name, || Err(Failed::from(why))).with_kind(kind)
    }

    /// The servers, shown before the name.
    fn kind(&self) -> String {
        let names: Vec<&str> = self.needs.iter().map(|server| server.name).collect();
        names.join(", ")
    }
}

/// As `#[test]`.
pub fn sync(test: fn()) -> impl FnOnce() + Send + 'static {
    test
}

/// As `#[tokio::test]`.
pub fn single<F: Future<Output = ()>>(
    test: impl FnOnce() -> F + Send + 'static,
) -> impl FnOnce() + Send + 'static {
    move || block_on(Builder::new_current_thread(), test())
}

/// As `#[tokio::test(flavor = "multi_thread", worker_threads = 2)]`.
pub fn multi<F: Future<Output = ()>>(
    test: impl FnOnce() -> F + Send + 'static,
) -> impl FnOnce() + Send + 'static {
    move || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2);
        block_on(builder, test());
    }
}

fn block_on(mut builder: Builder, test: impl Future<Output = ()>) {
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(test),
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// The named functions of this module as tests: `trials!(single, [NATS]; one, another)`, with [`sync`], [`single`] or
/// [`multi`], and the servers that each of them needs.
#[macro_export]
macro_rules! trials {
    ($flavour:ident, $needs:expr; $($test:ident),+ $(,)?) => {
        vec![$($crate::Trial::new(module_path!(), stringify!($test), &$needs, $crate::$flavour($test))),+]
    };
}

/// Runs the tests that the command line selects, and returns the exit code for `main`.
pub fn run(trials: impl IntoIterator<Item = Vec<Trial>>) -> ExitCode {
    let arguments = Arguments::from_args();
    let all = std::env::var("PORTICO_TESTS").is_ok_and(|tests| tests == "all");
    // `--ignored` runs the ignored tests, and so lets them fail with the reason.
    let skips = !all && !arguments.list && !arguments.ignored && !arguments.include_ignored;
    let mut missing = BTreeMap::new();
    let mut skipped = BTreeMap::<String, usize>::new();
    let trials = trials.into_iter().flatten().map(|trial| {
        let why = trial.missing(&mut missing);
        if why.is_empty() {
            return trial.runnable();
        }
        if skips && selected(&arguments, &trial.name) {
            for why in &why {
                *skipped.entry(why.clone()).or_default() += 1;
            }
        }
        trial.failing(why.join("; ")).with_ignored_flag(!all)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    for (why, count) in skipped {
        let tests = if count == 1 { "test" } else { "tests" };
        eprintln!("SKIPPED {count} {tests}: {why}");
    }
    conclusion.exit_code()
}

/// Whether the filters of the command line select a test.
fn selected(arguments: &Arguments, name: &str) -> bool {
    let matches = |filter: &String| {
        if arguments.exact {
            name == filter
        } else {
            name.contains(filter)
        }
    };
    arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
}
