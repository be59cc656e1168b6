//! `portico check-config`: prints the configuration with secrets masked, and warns of what is hardly meant.

use portico_runtime::Config;

/// Prints the configuration, which has been checked by now, and warnings to standard error.
///
/// # Errors
/// None.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the output of the command"
)]
pub fn run(config: &Config) -> Result<(), String> {
    println!("{}", config.print_masked());
    for warning in config.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok(())
}
