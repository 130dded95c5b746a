//! A report to look at.

use std::fmt::Write;

use super::chart::{Chart, Series, escape};
use super::group::GroupReport;
use super::report::{Metrics, Report};

const BLUE: &str = "#1f5fa8";
const GREY: &str = "#999";
const RED: &str = "#b3261e";

const COLUMNS: [(&str, &str); 12] = [
    ("dsc", "DSC"),
    ("nsd", "NSD"),
    ("contour_nsd", "contour NSD"),
    ("error_rate", "error"),
    ("ece", "ECE"),
    ("brier", "Brier"),
    ("nll", "NLL"),
    ("auroc", "AUROC"),
    ("aurc", "AURC"),
    ("eaurc", "E-AURC"),
    ("ueo", "UEO"),
    ("expected_dsc_mae", "|expected − true DSC|"),
];

/// The report as one HTML file without scripts.
pub fn to_html(report: &Report) -> String {
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>umedsam evaluation</title><style>\
         body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2rem auto;padding:0 1rem;color:#1a1a1a}\
         table{border-collapse:collapse;font-size:13px;display:block;overflow-x:auto}\
         th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}\
         th:first-child,td:first-child{text-align:left}small{color:#666;display:block}\
         .charts{display:flex;flex-wrap:wrap;gap:1rem}pre{background:#f5f5f5;padding:1rem;overflow:auto;font-size:12px}\
         </style><h1>umedsam evaluation</h1>",
    );
    let _ = write!(
        html,
        "<p>{} cases, {} files left out. Intervals: 95 % bootstrap over cases. Research software, not a medical device.</p>",
        report.overall.metrics.n,
        report.failures.len()
    );
    html.push_str("<div class=\"charts\">");
    html.push_str(&reliability(&report.overall));
    html.push_str(&risk_coverage(&report.overall));
    html.push_str("</div>");

    let overall = [("all".to_string(), &report.overall)];
    table(&mut html, "Overall and by modality", overall.into_iter().chain(named(&report.modalities)));
    table(&mut html, "By dataset", named(&report.datasets));
    worst_cases(&mut html, report);
    if !report.failures.is_empty() {
        html.push_str("<h2>Files left out</h2><ul>");
        for failure in &report.failures {
            let _ = write!(html, "<li>{}: {}</li>", escape(&failure.case), escape(&failure.message));
        }
        html.push_str("</ul>");
    }
    let _ = write!(html, "<h2>What was run</h2><pre>{}</pre></html>", escape(&format!("{:#}", report.about)));
    html
}

fn named(groups: &std::collections::BTreeMap<String, GroupReport>) -> impl Iterator<Item = (String, &GroupReport)> {
    groups.iter().map(|(name, group)| (name.clone(), group))
}

fn table<'a>(html: &mut String, title: &str, groups: impl Iterator<Item = (String, &'a GroupReport)>) {
    let groups: Vec<_> = groups.collect();
    let alphas: Vec<String> =
        groups.first().map_or_else(Vec::new, |(_, group)| group.metrics.conformal.keys().cloned().collect());
    let mut columns: Vec<(String, String)> = COLUMNS.map(|(key, title)| (key.into(), title.into())).into();
    for alpha in &alphas {
        columns.push((format!("conformal.{alpha}.fnr"), format!("FNR, α {alpha}")));
        columns.push((format!("conformal.{alpha}.fpr"), format!("FPR, α {alpha}")));
    }
    let _ = write!(html, "<h2>{title}</h2><table><tr><th>group<th>n");
    columns.iter().for_each(|(_, title)| html.push_str(&format!("<th>{title}")));
    for (name, group) in groups {
        let _ = write!(html, "<tr><td>{}<td>{}", escape(&name), group.metrics.n);
        let values: std::collections::BTreeMap<_, _> = group.metrics.named().into_iter().collect();
        for (key, _) in &columns {
            match (values.get(key), group.ci.get(key)) {
                (Some(value), Some([low, high])) => {
                    let _ = write!(html, "<td>{value:.4}<small>{low:.3}–{high:.3}</small>");
                }
                _ => html.push_str("<td>–"),
            }
        }
    }
    html.push_str("</table>");
}

fn worst_cases(html: &mut String, report: &Report) {
    let mut cases: Vec<_> = report.cases.iter().collect();
    cases.sort_by(|a, b| a.metrics.dsc.total_cmp(&b.metrics.dsc));
    html.push_str("<h2>Lowest DSC</h2><table><tr><th>case<th>DSC<th>NSD<th>expected DSC<th>flagged boxes");
    for case in cases.iter().take(20) {
        let count = case.boxes.len().max(1) as f64;
        let expected = case.boxes.iter().map(|found| found.expected_dsc).sum::<f64>() / count;
        let flagged = case.boxes.iter().filter(|found| found.needs_review == Some(true)).count();
        let Metrics { dsc, nsd, .. } = case.metrics;
        let name = escape(&case.case);
        let _ = write!(
            html,
            "<tr><td>{name}<td>{dsc:.3}<td>{nsd:.3}<td>{expected:.3}<td>{flagged} of {}",
            case.boxes.len()
        );
    }
    html.push_str("</table>");
}

fn reliability(group: &GroupReport) -> String {
    let points = group.reliability.iter().map(|[mean, inside, _]| [*mean, *inside]).collect();
    Chart {
        title: "Reliability of the probability".into(),
        x_label: "probability of being inside".into(),
        y_label: "share that is inside".into(),
        x_range: Some([0.0, 1.0]),
        y_range: Some([0.0, 1.0]),
        series: vec![
            Series { name: "ideal".into(), color: GREY, points: vec![[0.0, 0.0], [1.0, 1.0]], has_markers: false },
            Series { name: "measured".into(), color: BLUE, points, has_markers: true },
        ],
    }
    .to_svg()
}

fn risk_coverage(group: &GroupReport) -> String {
    let error_rate = group.metrics.error_rate.unwrap_or(0.0);
    Chart {
        title: "Risk against coverage".into(),
        x_label: "share of pixels kept, most certain first".into(),
        y_label: "misclassified among them".into(),
        x_range: Some([0.0, 1.0]),
        y_range: None,
        series: vec![
            Series {
                name: "without order".into(),
                color: GREY,
                points: vec![[0.0, error_rate], [1.0, error_rate]],
                has_markers: false,
            },
            Series {
                name: "by uncertainty".into(),
                color: RED,
                points: group.risk_coverage.clone(),
                has_markers: false,
            },
        ],
    }
    .to_svg()
}
