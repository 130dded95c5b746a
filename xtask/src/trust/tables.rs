//! Reports as tables.

use std::fmt::Write;

use serde_json::Value;

use super::{BOXES_PER_IMAGE, BOXES_PER_IMAGE_CLICKS, CLICKS};
use crate::study::number;

/// Orders of masks, as reports name them, in words.
const ORDERS: [(&str, &str); 10] = [
    ("expected_dsc", "expected DSC"),
    ("pairwise_dice", "pairwise Dice of the members (the baseline)"),
    ("member_dice", "members' Dice with the mask"),
    ("soft_dice", "soft Dice"),
    ("predicted_iou", "predicted IoU"),
    ("mean_entropy", "mean entropy in the region"),
    ("mean_epistemic", "mean epistemic uncertainty in the region"),
    ("area", "area"),
    ("boundary_doubt", "doubt along the outline"),
    ("scattered_doubt", "scattered doubt"),
];

/// A number with some digits, by its keys and places in lists; a dash where there is none.
fn cell(group: &Value, path: &str, digits: usize) -> String {
    let value = group.pointer(&format!("/{path}")).and_then(Value::as_f64);
    value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
}

fn ends(interval: &Value, digits: usize) -> Option<String> {
    let end = |index: usize| interval[index].as_f64();
    let (low, high) = (end(0)?, end(1)?);
    Some(format!("{low:.digits$}–{high:.digits$}"))
}

/// Ever further from the calibration.
pub fn by_distance(val: &Value, more: &Value, only: &Value, loose: &Value, corrected: &Value) -> String {
    let mut text = format!(
        "umedsam-student, the default ensemble, at most {BOXES_PER_IMAGE} structures of an image ({BOXES_PER_IMAGE_CLICKS} with corrections: the file's box, then {CLICKS} clicks in \
         the middle of the largest error, judged around the truth's tight box). In brackets the 95 % bootstrap interval over images. AURC of masks: risk 1 − DSC, by expected DSC, with its multiple of the \
         ideal order's and of that by the members' pairwise Dice.\n\n\
         | | images | DSC | ECE | AUROC | AURC of pixels | AURC of masks | of the ideal | of pairwise Dice's | \\|expected − true DSC\\| | flagged | FNR, FPR at α 0.05 | FNR, FPR at α 0.1 |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    let row = |text: &mut String, name: &str, group: &Value| {
        let masks = &group["selective"]["masks"];
        let aurc = number(masks, "orders/expected_dsc/aurc");
        let of_pairwise = aurc / number(masks, "orders/pairwise_dice/aurc");
        let of_pairwise = if of_pairwise.is_nan() { "–".into() } else { format!("{of_pairwise:.2}") };
        let risks = |alpha: &str| {
            let risks = &group["conformal"][alpha];
            match risks.is_null() {
                true => "–".to_string(),
                false => format!("{}, {}", cell(risks, "fnr", 3), cell(risks, "fpr", 3)),
            }
        };
        let ece = ends(&group["ci"]["ece"], 3).map_or_else(String::new, |ends| format!(" ({ends})"));
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {}{ece} | {} | {} | {} | {} | {of_pairwise} | {} | {} | {} | {} |",
            group["n"],
            cell(group, "dsc", 3),
            cell(group, "ece", 3),
            cell(group, "auroc", 3),
            cell(group, "aurc", 4),
            cell(masks, "orders/expected_dsc/aurc", 4),
            cell(masks, "orders/expected_dsc/of_ideal", 2),
            cell(group, "expected_dsc_mae", 3),
            match number(group, "flagged") {
                share if share.is_nan() => "–".into(),
                share => format!("{:.0} %", 100.0 * share),
            },
            risks("0.05"),
            risks("0.1"),
        );
    };
    row(&mut text, "`val`: other images of the calibration's datasets", &val["overall"]);
    row(&mut text, "the same, boxes 20 % loose", &loose["overall"]);
    row(&mut text, &format!("the same, after {CLICKS} corrections"), &corrected["last_round"]);
    row(&mut text, "`val_more`: further datasets, of which other images were trained on", &more["overall"]);
    row(&mut text, "`eval_only`: datasets of which no image was trained on", &only["overall"]);
    for (name, group) in only["modalities"].as_object().into_iter().flatten() {
        row(&mut text, &format!("– of these {name}"), group);
    }
    text
}

/// Orders side by side.
pub fn orders(reports: &[(&str, &Value)]) -> String {
    let mut text = format!(
        "Area under the risk–coverage curve of whole masks (risk 1 − DSC, the surest first), as a multiple of the ideal order's, in brackets the 95 % bootstrap interval over \
         images; at most {BOXES_PER_IMAGE} structures of an image.\n\n"
    );
    let names: Vec<String> = reports.iter().map(|(name, _)| format!("`{name}`, masks | images")).collect();
    let _ = writeln!(text, "| kept first | {} |\n|---{}|", names.join(" | "), "|---|---".repeat(reports.len()));
    let both =
        || reports.iter().flat_map(|(_, report)| ["masks", "images"].map(|unit| &report["overall"]["selective"][unit]));
    let fixed = |name: &str, path: &str| {
        let cells: Vec<String> = both().map(|ranking| cell(ranking, path, 4)).collect();
        format!("| {name} | {} |\n", cells.join(" | "))
    };
    text.push_str(&fixed("AURC of the ideal order", "ideal"));
    text.push_str(&fixed("AURC without order", "random"));
    text.push_str(&fixed("AURC by expected DSC", "orders/expected_dsc/aurc"));
    text.push_str(&fixed("AURC by pairwise Dice", "orders/pairwise_dice/aurc"));
    for (order, name) in ORDERS {
        let of_ideal = |ranking: &Value| {
            let interval = ends(&ranking["orders"][order]["of_ideal_ci"], 2);
            let interval = interval.map_or_else(String::new, |ends| format!(" ({ends})"));
            format!("{}{interval}", cell(ranking, &format!("orders/{order}/of_ideal"), 2))
        };
        let _ = writeln!(text, "| {name} | {} |", both().map(of_ideal).collect::<Vec<_>>().join(" | "));
    }
    let beside = |ranking: &Value| {
        ends(&ranking["orders"]["expected_dsc"]["beside_pairwise_ci"], 4)
            .unwrap_or_else(|| "–".into())
            .replace("–-", " to −")
    };
    let cells: Vec<String> = both().map(|ranking| beside(ranking).replace('-', "−")).collect();
    let _ =
        writeln!(text, "| AURC by expected DSC less that by pairwise Dice, 95 % interval | {} |", cells.join(" | "));
    text
}

/// What doubt is worth, by where it is.
pub fn doubt(reports: &[(&str, &Value)]) -> String {
    let mut text = String::from(
        "Total uncertainty within a tenth of the object's radius (at least 2 pixels of 256) of the mask's outline, and elsewhere; every mask counts the same.\n\n\
         | | masks | of the doubt along the outline | of the errors | bits a pixel of the mask, along | elsewhere | wrong pixels a bit, along | elsewhere | \
         correlation with 1 − DSC, along | elsewhere | with the errors there, along | elsewhere | with those of the other place, along | elsewhere | DSC by quarter, least to most doubt along | elsewhere |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, report) in reports {
        let found = &report["overall"]["doubt"];
        let share = |path: &str| format!("{:.0} %", 100.0 * number(found, path));
        let both = |path: &str, digits| {
            ["boundary", "scattered"].map(|part| cell(found, &format!("{part}/{path}"), digits)).join(" | ")
        };
        let quarters = ["boundary", "scattered"].map(|part| {
            let all = found[part]["dsc_by_quarter"].as_array().into_iter().flatten();
            all.map(|dsc| format!("{:.3}", dsc.as_f64().unwrap_or(f64::NAN))).collect::<Vec<_>>().join(", ")
        });
        let _ = writeln!(
            text,
            "| `{name}` | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            found["n"],
            share("share_along_outline"),
            share("errors_along_outline"),
            both("bits", 3),
            both("errors_per_bit", 2),
            both("correlation", 2),
            both("errors_here", 2),
            both("errors_there", 2),
            quarters.join(" | "),
        );
    }
    text
}

/// Our weights, the same after corrections, LiteMedSAM's, and people beside raters.
pub fn raters(ours: &Value, corrected: &Value, lite: &Value) -> String {
    let corrected = &corrected["last_round"]["raters"];
    let (ours, lite) = (&ours["overall"]["raters"], &lite["overall"]["raters"]);
    let mut text = format!(
        "{} cells of BU-BIL's first set (phase contrast) with {} outlines each that differ (of ten in the files the fourth repeats the third). The default ensemble, from the files' \
         boxes; corrected: after {CLICKS} clicks in the middle of the largest error beside the raters' majority, judged around its tight box. People: what the mean of the other raters says beside each rater.\n\n\
         | | umedsam-student | corrected | LiteMedSAM | people |\n|---|---|---|---|---|\n",
        ours["n"],
        cell(ours, "raters", 0),
    );
    let all = |name: &str, [path, human]: [&str; 2], digits: usize, text: &mut String| {
        let cells = [(ours, path), (corrected, path), (lite, path), (ours, human)];
        let cells = cells.map(|(report, path)| if path.is_empty() { "–".into() } else { cell(report, path, digits) });
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    };
    for (name, paths) in [
        (
            "ECE in the region, mean over raters (pixels of all images together)",
            ["region/mean_of_raters", "region/human"],
        ),
        ("the same image by image", ["region/by_structure", "region/human_by_structure"]),
        ("ECE in the region beside the mean rater", ["region/of_mean_rater", ""]),
        ("ECE over the whole image, mean over raters", ["whole/mean_of_raters", "whole/human"]),
        ("DSC with a rater (people: the others' majority)", ["ours/dsc", "human/dsc"]),
        ("QUBIQ's score of the probability", ["ours/qubiq", ""]),
        ("QUBIQ's score of the mask (people: of one rater beside the others)", ["mask/qubiq", "human/qubiq"]),
        ("area: CRPS, of the raters' mean area", ["ours/area/crps", "human/area/crps"]),
        ("the same of the mask's area alone", ["mask/area/crps", ""]),
        ("the same of the members' areas", ["members/crps", ""]),
        ("share of raters' areas in the 90 % interval", ["ours/area/coverage", "human/area/coverage"]),
        ("its width, of the raters' mean area", ["ours/area/width", "human/area/width"]),
        ("share in that of the members' areas", ["members/coverage", ""]),
        ("mean area too large by, of the raters' mean area", ["ours/area/bias", ""]),
        (
            "total uncertainty and disagreement, Pearson (people: one half and the other)",
            ["ours/total/0", "human/total/0"],
        ),
        ("the same, Spearman", ["ours/total/1", "human/total/1"]),
        ("epistemic uncertainty and disagreement, Pearson", ["ours/epistemic/0", ""]),
        ("the same, Spearman", ["ours/epistemic/1", ""]),
    ] {
        all(name, paths, 3, &mut text);
    }
    for (name, report) in [("umedsam-student", ours), ("corrected", corrected), ("LiteMedSAM", lite)] {
        let by_rater = report["region"]["by_rater"].as_object().into_iter().flatten();
        let eces: Vec<String> = by_rater
            .map(|(rater, ece)| {
                format!("{}: {:.3}", rater.parse::<usize>().unwrap_or(0) + 1, ece.as_f64().unwrap_or(f64::NAN))
            })
            .collect();
        let _ = write!(text, "\nECE in the region beside each rater, {name}: {}.\n", eces.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_there_is_a_dash() {
        let report = json!({ "overall": { "n": 3, "dsc": 0.5, "ci": {}, "conformal": {} }, "modalities": {}, "last_round": { "n": 1 } });
        let text = by_distance(&report, &report, &report, &report, &report);
        assert!(text.contains("| 3 | 0.500 | – | – |") && !text.contains("NaN"), "{text}");
        assert!(!raters(&report, &report, &report).contains("NaN"));
    }

    #[test]
    fn numbers_are_found_by_keys_and_places() {
        let group = json!({ "ours": { "total": [0.25, 0.5], "epistemic": null } });
        assert_eq!(cell(&group, "ours/total/1", 2), "0.50");
        assert_eq!((cell(&group, "ours/epistemic/0", 2), cell(&group, "ours/total/2", 2)), ("–".into(), "–".into()));
    }

    #[test]
    fn orders_say_what_they_are_multiples_of() {
        let order = |aurc: f64| json!({ "aurc": aurc, "of_ideal": aurc / 0.05, "of_ideal_ci": [1.0, 2.5], "beside_pairwise_ci": [-0.02, -0.01] });
        let ranking = json!({ "n": 9, "ideal": 0.05, "random": 0.1, "orders": { "expected_dsc": order(0.06), "pairwise_dice": order(0.08) } });
        let report = json!({ "overall": { "selective": { "masks": ranking, "images": ranking } } });
        let text = orders(&[("val", &report)]);
        assert!(text.contains("| expected DSC | 1.20 (1.00–2.50) | 1.20 (1.00–2.50) |"), "{text}");
        assert!(text.contains("| −0.0200 to −0.0100 | −0.0200 to −0.0100 |"), "{text}");
    }
}
