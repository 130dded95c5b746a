//! Evaluation and calibration on real images, as a person runs them. Each part skips itself where `../shared` is not.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;
use support::{root, segmenter, shared, weights};
use tempfile::TempDir;
use umedsam::data::{ChallengeCase, read_npz};
use umedsam::eval::{EmbeddingCache, MapKind, evaluate_case};
use umedsam::segment::SegmentOptions;
use umedsam::uncertainty::UncertaintyOptions;

fn umedsam(arguments: &[&str]) -> Output {
    Command::cargo_bin("umedsam").unwrap().args(arguments).output().unwrap()
}

#[track_caller]
fn succeed(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Six images of `val` in their folders.
fn some_cases(folder: &Path) -> Option<PathBuf> {
    let val = shared("data/val")?;
    let data = folder.join("data");
    for dataset in ["OCT/FAZ_OCTA_sample", "XRay/COVID_CXR_SegGB_ccby"] {
        let target = data.join(dataset);
        std::fs::create_dir_all(&target).unwrap();
        for file in std::fs::read_dir(val.join(dataset)).unwrap() {
            let path = file.unwrap().path();
            std::fs::copy(&path, target.join(path.file_name().unwrap())).unwrap();
        }
    }
    Some(data)
}

#[test]
fn evaluation_reproduces_the_official_network_and_survives_bad_files() {
    let folder = TempDir::new().unwrap();
    let data = or_skip!(some_cases(folder.path()), "../shared/data");
    let baseline = or_skip!(shared("reference/litemedsam/val_baseline.json"), "../shared/reference");
    or_skip!(weights("f32"), "weights/ (run cargo xtask weights)");
    let weights = root().join("weights/litemedsam-f32.safetensors");

    // A truncated file, a page, and an image without labels are left out.
    let good =
        std::fs::read(std::fs::read_dir(data.join("OCT/FAZ_OCTA_sample")).unwrap().next().unwrap().unwrap().path());
    let good = good.unwrap();
    std::fs::write(data.join("OCT/truncated.npz"), &good[..good.len() / 2]).unwrap();
    std::fs::write(data.join("OCT/page.npz"), "<!doctype html>").unwrap();

    let (report, page) = (folder.path().join("report.json"), folder.path().join("report.html"));
    let embeddings = folder.path().join("embeddings");
    let arguments = [
        "eval",
        "--weights",
        text(&weights),
        "--data",
        text(&data),
        "--report",
        text(&report),
        "--html",
        text(&page),
        "--uncertainty",
        "none",
        "--uncalibrated",
        "--embeddings",
        text(&embeddings),
    ];
    succeed(&umedsam(&arguments));
    let first = json(&report);
    let expected = json(&baseline);
    for case in first["cases"].as_array().unwrap() {
        let name = case["case"].as_str().unwrap().rsplit('/').next().unwrap();
        let official = expected["cases"].as_array().unwrap().iter().find(|other| other["case"] == name).unwrap();
        for metric in ["dsc", "nsd"] {
            let (actual, official) = (case[metric].as_f64().unwrap(), official[metric].as_f64().unwrap());
            assert!((actual - official).abs() < 2e-3, "{name}: {metric} is {actual}, officially {official}");
        }
    }
    assert_eq!((first["overall"]["n"].as_u64(), first["modalities"]["OCT"]["n"].as_u64()), (Some(6), Some(4)));
    for metric in ["ece", "brier", "nll", "auroc", "aurc"] {
        let (actual, official) = (
            first["modalities"]["OCT"][metric].as_f64().unwrap(),
            expected["modalities"]["OCT"][metric].as_f64().unwrap(),
        );
        assert!((actual - official).abs() < 0.02 * official, "{metric} is {actual}, officially {official}");
    }
    let [low, high] = [0, 1].map(|index| first["overall"]["ci"]["dsc"][index].as_f64().unwrap());
    let dsc = first["overall"]["dsc"].as_f64().unwrap();
    assert!(low < dsc && dsc < high);
    let failures: Vec<&str> =
        first["failures"].as_array().unwrap().iter().map(|failure| failure["case"].as_str().unwrap()).collect();
    assert_eq!(failures, ["OCT/page.npz", "OCT/truncated.npz"]);
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.matches("<svg").count() == 2 && !html.contains("NaN"));

    // Again from kept embeddings: the same numbers. And interrupted runs leave nothing but what is resumed.
    succeed(&umedsam(&arguments));
    assert_eq!(json(&report)["overall"], first["overall"]);
    assert!(!folder.path().join("report.json.partial").exists());

    // Nothing to evaluate, or options out of range, are errors.
    for (change, code, part) in [
        (["--data", text(&folder.path().join("nowhere"))], "file", "nowhere"),
        (["--alpha", "1.5"], "invalid-option", "alpha is 1.5"),
        (["--weights", text(&page)], "invalid-weights", "HTML"),
    ] {
        let mut changed: Vec<&str> = arguments.to_vec();
        match changed.iter().position(|argument| *argument == change[0]) {
            Some(position) => changed[position + 1] = change[1],
            None => changed.extend(change),
        }
        let output = umedsam(&changed);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && message.contains(&format!("[{code}]")) && message.contains(part),
            "{message}"
        );
    }
}

/// Equal but for the last bit of numbers that went through the journal, which serde_json may lose.
#[track_caller]
fn assert_same(a: &Value, b: &Value) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()));
            a.values().zip(b.values()).for_each(|(a, b)| assert_same(a, b));
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert_same(a, b));
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= 1e-12 * a.abs().max(1.0), "{a} is not {b}");
        }
        (a, b) => assert_eq!(a, b),
    }
}

#[test]
fn an_interrupted_evaluation_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let data = or_skip!(some_cases(folder.path()), "../shared/data");
    or_skip!(weights("f32"), "weights/ (run cargo xtask weights)");
    let weights = root().join("weights/litemedsam-f32.safetensors");
    let report = folder.path().join("report.json");
    let partial = folder.path().join("report.json.partial");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_umedsam"));
    command.args(["eval", "--jobs", "1", "--uncertainty", "none", "--weights", text(&weights), "--data", text(&data)]);
    command.args(["--report", text(&report)]);
    let mut run = command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let lines = || std::fs::read_to_string(&partial).map_or(0, |text| text.lines().count());
    while lines() < 3 {
        assert!(run.try_wait().unwrap().is_none(), "it ended before it could be interrupted");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    // The line that was being written is cut off.
    let written = std::fs::read_to_string(&partial).unwrap();
    let kept = written.lines().count() - 2;
    std::fs::write(&partial, &written[..written.len() - 40]).unwrap();

    let start = std::time::Instant::now();
    assert!(command.status().unwrap().success());
    eprintln!("{kept} cases kept, the others took {:?}", start.elapsed());
    let resumed = json(&report);
    std::fs::remove_file(&report).unwrap();
    assert!(command.status().unwrap().success());
    assert_same(&resumed, &json(&report));
    assert!(!partial.exists());
}

#[test]
fn calibration_is_stored_and_used() {
    let folder = TempDir::new().unwrap();
    let data = or_skip!(some_cases(folder.path()), "../shared/data");
    or_skip!(weights("f16"), "weights/ (run cargo xtask weights)");
    let weights = root().join("weights/litemedsam-f16.safetensors");
    let calibrated = folder.path().join("calibrated.safetensors");
    let embeddings = folder.path().join("embeddings");
    let kind = "samples=2,jitter=4";
    succeed(&umedsam(&[
        "calibrate",
        "--weights",
        text(&weights),
        "--data",
        text(&data),
        "--out",
        text(&calibrated),
        "--uncertainty",
        kind,
        "--boxes-per-image",
        "1",
        "--embeddings",
        text(&embeddings),
        "--description",
        "six images",
        "--corrections",
    ]));
    let info: Value = serde_json::from_slice(&umedsam(&["info", "--json", text(&calibrated)]).stdout).unwrap();
    let calibration = &info["metadata"]["calibration"];
    assert_eq!(calibration["data"]["cases"], 6);
    assert_eq!(calibration["data"]["description"], "six images");
    assert!(calibration["settings"][0]["scaling"]["temperature"].as_f64().unwrap() > 0.5);
    // Boxes, then clicks, then corrected masks; LiteMedSAM knows least of the second.
    let settings = calibration["settings"].as_array().unwrap();
    let kinds: Vec<Option<&str>> = settings.iter().map(|setting| setting["prompt"].as_str()).collect();
    assert_eq!(kinds, [None, Some("points"), Some("corrected")]);
    let error = |index: usize| settings[index]["expected_dsc"]["mean_absolute_error"].as_f64().unwrap();
    assert!((0.0..0.5).contains(&error(0)) && (0.0..0.5).contains(&error(1)));

    let report = folder.path().join("report.json");
    let evaluate = |extra: &[&str]| {
        let mut arguments = vec![
            "eval",
            "--weights",
            text(&calibrated),
            "--data",
            text(&data),
            "--report",
            text(&report),
            "--uncertainty",
            kind,
            "--embeddings",
            text(&embeddings),
            "--alpha",
            "0.2",
            "--alpha",
            "0.4",
        ];
        arguments.extend(extra);
        succeed(&umedsam(&arguments));
        json(&report)
    };
    let with = evaluate(&[]);
    let without = evaluate(&["--uncalibrated"]);
    // On the images that it was learned on it must not be worse, and the bounds must hold.
    assert!(with["overall"]["nll"].as_f64() < without["overall"]["nll"].as_f64());
    assert_eq!(with["overall"]["dsc"], without["overall"]["dsc"]);
    for alpha in ["0.2", "0.4"] {
        for risk in ["fnr", "fpr"] {
            let value = with["overall"]["conformal"][alpha][risk].as_f64().unwrap();
            assert!(value <= alpha.parse::<f64>().unwrap() + 0.05, "{alpha} {risk} {value}");
        }
    }
    assert!(without["overall"]["conformal"].as_object().unwrap().is_empty());
    let single = &with["guarantees"]["all"];
    assert_eq!(single["masks"].as_array().unwrap().len(), 8);
    assert!(
        single["masks"][0]["outer"]["ci"].is_array() && single["area"]["held"]["of"].as_u64() > Some(1),
        "{single}"
    );
    assert!(without["guarantees"].is_null());

    // A simulated person: every round is measured, and what was calibrated for it is used.
    let played = evaluate(&["--clicks", "2", "--first", "click", "--policy", "suggested"]);
    let overall = &played["overall"];
    let rounds = overall["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 3);
    for round in rounds {
        assert!((0.0..=1.0).contains(&round["dsc"].as_f64().unwrap()) && round["ece"].is_number());
        assert!(round["conformal"]["0.4"]["fnr"].is_number(), "{round}");
    }
    assert_eq!(overall["dsc"], rounds[0]["dsc"]);
    assert!(overall["noc"]["90"]["never"].is_number() && overall["ci"]["rounds.2.dsc"].is_array());
    assert!(overall["dsc_auc"].is_number() && played["modalities"]["OCT"]["rounds"].is_array());
    assert!(with["overall"]["rounds"].is_null() && with["overall"]["noc"].is_null());
    let loose = evaluate(&["--clicks", "1", "--first", "loose=0.2"]);
    assert!(loose["overall"]["rounds"][0]["dsc"].as_f64() < with["overall"]["dsc"].as_f64());
    let drawn = evaluate(&["--loosen", "0.2"]);
    // Images of one structure, which no other can overwrite.
    let [played, drawn] = [&loose, &drawn].map(|report| report["modalities"]["OCT"]["dsc"].as_f64().unwrap());
    assert!((played - drawn).abs() < 1e-9, "{played} {drawn}");
    for (arguments, part) in
        [(["--clicks", "101"], "clicks is 101"), (["--clicks", "1"], "loosen is 9"), (["--first", "click"], "--clicks")]
    {
        let mut all = vec!["eval", "--weights", text(&calibrated), "--data", text(&data), "--report", text(&report)];
        all.extend(arguments);
        if part.starts_with("loosen") {
            all.extend(["--first", "loose=9"]);
        }
        let output = umedsam(&all);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(part), "{said}");
    }

    // The command that segments uses it too.
    let image = std::fs::read_dir(data.join("OCT/FAZ_OCTA_sample")).unwrap().next().unwrap().unwrap().path();
    let out = folder.path().join("out");
    succeed(&umedsam(&[
        "segment",
        "--weights",
        text(&calibrated),
        "--image",
        text(&image),
        "--out-dir",
        text(&out),
        "--uncertainty",
        kind,
        "--alpha",
        "0.3",
    ]));
    let result = &json(&out.join("result.json"))["results"][0];
    assert_eq!(result["calibration"], "fitted");
    assert!(result["expected_dsc"].is_number() && result["needs_review"].is_boolean());
    assert!(out.join("outer_0.png").exists() && out.join("inner_0.png").exists());
}

/// The challenge's procedure for volumes, against what the official script made of it.
#[test]
fn volumes_follow_the_official_procedure() {
    let path = or_skip!(shared("reference/litemedsam/3DBox_MR_brain1.npz"), "../shared/reference");
    let segs = or_skip!(shared("reference/litemedsam/3DBox_MR_brain1.segs.npz"), "../shared/reference");
    let segmenter = or_skip!(segmenter("f32"), "weights/ (run cargo xtask weights)");
    let case = read_npz(&path).unwrap();
    assert_eq!(case.depth, 25);
    assert!(
        case.spacing.iter().zip([6.5, 0.78125, 0.78125]).all(|(actual, expected)| (actual - expected).abs() < 1e-9)
    );
    let official = read_labels(&segs);
    let options = SegmentOptions { uncertainty: UncertaintyOptions::single_pass(), ..Default::default() };
    let folder = TempDir::new().unwrap();
    let embeddings = EmbeddingCache::new(Some(folder.path().into()), b"f32");
    let evaluate = |gts: Vec<u8>| {
        let case = ChallengeCase { gts: Some(gts), ..case.clone() };
        evaluate_case(&segmenter, &case, &embeddings, &options, MapKind::Total, &[0.1]).unwrap()
    };
    let same = evaluate(official);
    assert!(same.dsc > 0.995 && same.nsd > 0.995, "DSC {} NSD {} with the official result", same.dsc, same.nsd);
    let scores = evaluate(case.gts.clone().unwrap());
    assert!((scores.dsc - 0.574).abs() < 0.002, "DSC is {}, officially 0.574", scores.dsc);
    assert!(scores.contour_nsd.is_none());
}

/// The array `segs`, read as if it were an image's `gts`.
fn read_labels(path: &Path) -> Vec<u8> {
    let mut archive = npyz::npz::NpzArchive::open(path).unwrap();
    let name = archive.array_names().next().unwrap().to_string();
    let array = archive.by_name(&name).unwrap().unwrap();
    array.into_vec::<u8>().unwrap()
}
