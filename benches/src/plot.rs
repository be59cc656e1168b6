//! The ratios as a plot: a line a row, on a logarithmic axis, with the aim.

use std::fmt::Write as _;

use crate::row::{Aim, Row, Spread};

const WIDTH: f64 = 1120.0;
/// Where the axis begins; labels stand to the left.
const LEFT: f64 = 520.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 60.0;
const LINE: f64 = 20.0;
/// Space for the name of a group.
const HEAD: f64 = 30.0;
/// What the axis shows; what is beyond stands at its end.
const RANGE: (f64, f64) = (0.01, 100.0);

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#24292f}.head{font-weight:600;font-size:13px}\
    .soft{fill:#6e7781}.grid{stroke:#d0d7de}.one{stroke:#6e7781}.met{fill:#1a7f37;stroke:#1a7f37}\
    .missed{fill:#cf222e;stroke:#cf222e}.open{fill:#57606a;stroke:#57606a}.aim{stroke:#24292f;stroke-width:2.5}\
    .good{fill:#1a7f37;opacity:.1}";

/// Rows without a ratio are left out.
pub(crate) fn svg(rows: &[Row]) -> String {
    let mut body = String::new();
    let (mut y, mut group) = (TOP, "");
    for row in rows {
        let Some(ratio) = row.ratio else { continue };
        if row.group != group {
            group = &row.group;
            y += HEAD;
            text(&mut body, 12.0, y, "head", "start", group);
        }
        y += LINE;
        line(&mut body, y, row, ratio);
    }
    let height = y + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\"><style>{STYLE}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    axis(&mut svg, height - 20.0);
    svg + &body + "</svg>\n"
}

/// The grid with its figures, and what the marks mean.
fn axis(svg: &mut String, bottom: f64) {
    let legend = "Portico to its peer: dot median, line range, bar the aim, shaded where it is met; green met, red missed";
    text(svg, 12.0, 22.0, "soft", "start", legend);
    for exponent in -2..=2 {
        for step in [1.0, 2.0, 5.0] {
            let value = step * 10_f64.powi(exponent);
            if value > RANGE.1 {
                continue;
            }
            let (at, class) = (
                x(value),
                if (value - 1.0).abs() < 1e-9 {
                    "one"
                } else {
                    "grid"
                },
            );
            let top = TOP - 6.0;
            // Writing to a string does not fail.
            let _ = writeln!(
                svg,
                "<path class=\"{class}\" d=\"M{at:.1} {top}V{bottom:.1}\"/>"
            );
            text(svg, at, TOP - 12.0, "soft", "middle", &format!("{value}"));
        }
    }
}

fn line(svg: &mut String, y: f64, row: &Row, ratio: Spread) {
    let class = match row.met {
        Some(true) => "met",
        Some(false) => "missed",
        None => "open",
    };
    let label = match row.peer {
        Some(_) => format!("{} / {}", row.what, row.against),
        None => format!("{} / {} {}", row.what, row.aim, row.against),
    };
    text(svg, LEFT - 12.0, y, "", "end", &short(&label));
    let aim = match (row.aim, row.peer) {
        (Aim::Open, _) => None,
        // A figure without a peer is shown as a share of its limit.
        (_, None) => Some((1.0, RANGE.0)),
        (Aim::AtLeast(wanted), _) => Some((wanted, RANGE.1)),
        (Aim::AtMost(wanted), _) => Some((wanted, RANGE.0)),
    };
    let middle = y - 4.0;
    if let Some((wanted, end)) = aim {
        let (at, from, to) = (x(wanted), x(wanted.min(end)), x(wanted.max(end)));
        let _ = writeln!(
            svg,
            "<rect class=\"good\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\"/>\
             <path class=\"aim\" d=\"M{at:.1} {:.1}v14\"/>",
            middle - 7.0,
            to - from,
            middle - 7.0,
        );
    }
    let Spread { median, low, high } = ratio;
    let _ = writeln!(
        svg,
        "<path class=\"{class}\" stroke-width=\"2\" d=\"M{:.1} {middle:.1}H{:.1}\"/>\
         <circle class=\"{class}\" cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"4\"><title>{median:.2}</title></circle>",
        x(low),
        x(high),
        x(median),
    );
    text(svg, WIDTH - 12.0, y, "soft", "end", &format!("{median:.2}"));
}

/// The place of a ratio on the axis.
fn x(ratio: f64) -> f64 {
    let (low, high) = (RANGE.0.log10(), RANGE.1.log10());
    let share = (ratio.clamp(RANGE.0, RANGE.1).log10() - low) / (high - low);
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

/// As much of a label as there is space for.
fn short(label: &str) -> String {
    const SPACE: usize = 80;
    if label.chars().count() <= SPACE {
        return label.to_owned();
    }
    label.chars().take(SPACE - 1).chain(['…']).collect()
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    );
}
