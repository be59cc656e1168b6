//! `portico check-config`: prints the configuration with secrets masked.

use portico_runtime::Config;

/// Prints the configuration, which has been checked by now.
///
/// # Errors
/// None.
#[expect(clippy::print_stdout, reason = "the output of the command")]
pub fn run(config: &Config) -> Result<(), String> {
    println!("{}", config.print_masked());
    Ok(())
}
