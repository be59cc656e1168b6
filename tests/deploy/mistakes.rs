//! Every check finds what it is for: a mistake is put into a copy of the files, and must be told.

mod chart;
mod files;

use crate::{CHART_CHECKS, CHECKS, Check, files::Repository, problems::Problems};

/// A file, what is replaced in it by what, and words of the problem that must be told.
type Mistake = (&'static str, &'static str, &'static str, &'static str);

pub fn mistakes_are_told() {
    tell(files::MISTAKES, &CHECKS);
}

pub fn mistakes_in_the_chart_are_told() {
    tell(chart::MISTAKES, &CHART_CHECKS);
}

fn tell(mistakes: &[Mistake], checks: &[(&str, Check)]) {
    let missed: Vec<String> = mistakes
        .iter()
        .filter_map(|mistake| missed(mistake, checks))
        .collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// What was told instead, where the mistake was not.
fn missed((file, right, wrong, words): &Mistake, checks: &[(&str, Check)]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::copy_to(folder.path());
    let text = repository.text(file);
    assert!(text.contains(right), "{file} has no {right:?} any more");
    std::fs::write(repository.path(file), text.replacen(right, wrong, 1)).unwrap();
    let mut problems = Problems::default();
    for (_, check) in checks {
        check(&repository, &mut problems);
        if problems.0.iter().any(|problem| problem.contains(words)) {
            return None;
        }
    }
    let told = problems.0;
    Some(format!("{file}: {wrong:?}: {words:?} is not in {told:#?}"))
}
