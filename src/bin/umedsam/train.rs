//! `umedsam train`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use indicatif::ProgressBar;
use umedsam::train::config::TrainConfig;
use umedsam::train::{BEST, Event, TrainSettings, train};
use umedsam::{Error, Result};

use super::convert::PrecisionArgument;
use super::eval::progress_bar;

#[derive(Args)]
pub struct Arguments {
    /// How to train, as TOML; everything has a default (`--print-config` shows them)
    #[arg(long)]
    config: Option<PathBuf>,
    /// The weight file to begin with; by default umedsam's own weights, which are part of this program
    #[arg(long)]
    weights: Option<PathBuf>,
    /// The folders of challenge .npz files (imgs, gts) to learn from; a distillation takes pictures without masks too
    #[arg(long, num_args = 1.., required_unless_present = "print_config")]
    data: Vec<PathBuf>,
    /// The weight file whose image encoder a distillation learns from
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// The weight file whose mask decoder gives the masks that a distillation learns (taught_masks); by default the teacher
    #[arg(long, requires = "teacher")]
    mask_teacher: Option<PathBuf>,
    /// The weight file whose corrections, or else whose prompt encoder and mask decoder, part = "corrections" begins with; by default the weights' own
    #[arg(long)]
    corrections: Option<PathBuf>,
    /// The folder of the run: checkpoint, best weights, log, curves. A run that was interrupted goes on
    #[arg(long, required_unless_present = "print_config")]
    out: Option<PathBuf>,
    /// The folder of challenge cases that the best weights are chosen by; by default a share of the data is held out
    #[arg(long)]
    validation: Option<PathBuf>,
    /// A folder that keeps embeddings (2 MB an image and orientation) for further runs; by default in the folder of the run
    #[arg(long)]
    embeddings: Option<PathBuf>,
    /// How to store the best weights
    #[arg(long, value_enum, default_value = "f16")]
    precision: PrecisionArgument,
    /// SPDX expression of the best weights' licence; by default that of the weights it begins with
    #[arg(long)]
    licence: Option<String>,
    /// Print the configuration with all defaults, and do nothing
    #[arg(long)]
    print_config: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let config =
        arguments.config.as_ref().map_or_else(|| Ok(TrainConfig::default()), |path| TrainConfig::read(path))?;
    let (Some(out), false) = (&arguments.out, arguments.print_config) else {
        print!("{}", config.to_toml());
        return Ok(());
    };
    let bytes = super::weights::read(arguments.weights.as_ref())?;
    let settings = TrainSettings {
        config,
        data: arguments.data.clone(),
        teacher: arguments.teacher.clone(),
        mask_teacher: arguments.mask_teacher.clone(),
        corrections: arguments.corrections.clone(),
        validation: arguments.validation.clone(),
        out: out.clone(),
        embeddings: arguments.embeddings.clone().unwrap_or_else(|| out.join("embeddings")),
        precision: arguments.precision.into(),
        licence: arguments.licence.clone(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let on_interrupt = stop.clone();
    ctrlc::set_handler(move || {
        if on_interrupt.swap(true, Ordering::Relaxed) {
            // The second time somebody does not want to wait.
            std::process::exit(130);
        }
        eprintln!("saving after this step; press Ctrl-C again to leave at once");
    })
    .map_err(|error| Error::Computation(error.to_string()))?;

    let bar = progress_bar("training", 0);
    let outcome = train(bytes, &settings, &stop, &mut |event| show(&bar, &event))?;
    bar.finish_and_clear();
    match outcome.is_complete {
        true => println!("done after {} steps", outcome.step),
        false => println!("stopped after {} steps; the same command goes on from there", outcome.step),
    }
    if let Some(best) = outcome.best {
        println!("best: DSC {:.4} after {} steps → {}", best.dsc, best.step, out.join(BEST).display());
    }
    Ok(())
}

fn show(bar: &ProgressBar, event: &Event) {
    // Without a terminal there is no bar, and its lines would be lost.
    let say = |line: String| if bar.is_hidden() { println!("{line}") } else { bar.println(line) };
    match event {
        Event::Scanned { train, validation, skipped } => {
            say(format!("{train} images to train on, {validation} to validate with"));
            skipped.iter().for_each(|failure| say(format!("left out: {}: {}", failure.case, failure.message)));
        }
        Event::Resumed { step } => {
            say(format!("going on after step {step}"));
            bar.set_position(*step as u64);
            bar.reset_eta();
        }
        Event::Unreadable(failure) => say(format!("left out: {}: {}", failure.case, failure.message)),
        Event::Step(record, steps) => {
            if let Some(steps) = steps {
                bar.set_length(*steps as u64);
            }
            bar.set_position(record.step as u64);
            let (loss, [region, distribution, pixel]) = (&record.loss, record.sigma);
            bar.set_message(format!(
                "loss {:.3}: Dice {:.3} CE {:.3} focal {:.4} IoU {:.4} embedding {:.5}, σ {region:.3} {distribution:.3} {pixel:.3}",
                loss.total, loss.region, loss.distribution, loss.pixel, loss.iou, loss.embedding
            ));
        }
        Event::Validated(record) => {
            let best = if record.is_best { ", the best so far" } else { "" };
            say(format!("step {}: DSC {:.4}{best}", record.step, record.dsc));
        }
        Event::Saved { .. } => {}
    }
}
