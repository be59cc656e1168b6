//! The command line.

use clap::Parser;

/// Faults against the real binary and real servers, with seeds; prints a table. Without a flag: the run of CI.
#[derive(Parser)]
#[command(name = "faults", no_binary_name = false)]
pub struct Options {
    /// Only faults whose name contains this.
    pub only: Option<String>,
    /// Only this seed: plays a failed one again.
    #[arg(long)]
    pub seed: Option<u64>,
    /// This many seeds for each fault instead of its own number.
    #[arg(long)]
    pub seeds: Option<u64>,
    /// Ten times the seeds.
    #[arg(long)]
    pub long: bool,
    /// One seed for each fault.
    #[arg(long)]
    pub quick: bool,
    /// Rounds at once.
    #[arg(long, default_value_t = 3)]
    pub jobs: usize,
    /// Kills in each round of the rows about kills.
    #[arg(long, default_value_t = 10)]
    pub kills: usize,
    /// Names the faults and ends.
    #[arg(long)]
    pub list: bool,
    /// Keeps data and logs of rounds that pass, too.
    #[arg(long)]
    pub keep: bool,
    /// As with other tests; without effect.
    #[arg(long, hide = true)]
    pub nocapture: bool,
    #[arg(long, hide = true)]
    pub include_ignored: bool,
    #[arg(long, hide = true)]
    pub test_threads: Option<usize>,
}

impl Options {
    /// The seeds of a fault that has this many in CI.
    pub fn seeds_of(&self, in_ci: u64) -> Vec<u64> {
        if let Some(seed) = self.seed {
            return vec![seed];
        }
        let count = match (self.seeds, self.quick, self.long) {
            (Some(seeds), ..) => seeds,
            (None, true, _) => 1,
            (None, false, true) => in_ci * 10,
            (None, false, false) => in_ci,
        };
        (0..count).collect()
    }
}
