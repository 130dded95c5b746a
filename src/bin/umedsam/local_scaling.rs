//! `umedsam local-scaling`

use std::path::PathBuf;

use clap::Args;
use umedsam::eval::EmbeddingCache;
use umedsam::model::local_scaling::LocalScalingConfig;
use umedsam::train::{LocalScalingEvent, LocalScalingSettings, train_local_scaling};
use umedsam::weights::{sha256_hex, write_whole};
use umedsam::{Error, Result};

use super::eval::progress_bar;

#[derive(Args)]
pub struct Arguments {
    /// The weight file
    #[arg(long)]
    weights: PathBuf,
    /// Folders of challenge .npz files (imgs, gts, boxes) to learn from
    #[arg(long, num_args = 1.., required = true)]
    data: Vec<PathBuf>,
    /// The weight file to write; calibrate it anew
    #[arg(long)]
    out: PathBuf,
    /// Structures of an image, each with its box and a looser one
    #[arg(long, default_value_t = 2)]
    boxes_per_image: usize,
    /// Images of a dataset at most, evenly spread
    #[arg(long, default_value_t = 60)]
    images_per_dataset: usize,
    /// Steps
    #[arg(long, default_value_t = 3000)]
    steps: usize,
    /// Examples of a step
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// The largest learning rate
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f64,
    /// Weight decay
    #[arg(long, default_value_t = 0.01)]
    weight_decay: f64,
    /// Decides everything that is random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Images decoded at the same time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// A folder that keeps embeddings (4 MB an image) for further runs
    #[arg(long)]
    embeddings: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let bytes = std::fs::read(&arguments.weights).map_err(|error| Error::file(&arguments.weights, error))?;
    let embeddings = EmbeddingCache::new(arguments.embeddings.clone(), &bytes);
    let settings = LocalScalingSettings {
        config: LocalScalingConfig::default(),
        data: arguments.data.clone(),
        boxes_per_image: arguments.boxes_per_image,
        images_per_dataset: arguments.images_per_dataset,
        steps: arguments.steps,
        batch: arguments.batch.max(1),
        learning_rate: arguments.learning_rate,
        weight_decay: arguments.weight_decay,
        seed: arguments.seed,
        jobs: arguments.jobs,
    };
    let bar = progress_bar("decoding", 1);
    let bytes = train_local_scaling(&bytes, &settings, &embeddings, &|event| match event {
        LocalScalingEvent::Decoded(done, all) => {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
        LocalScalingEvent::Learned(step, loss) => {
            bar.set_length(settings.steps as u64);
            bar.set_position(step as u64);
            bar.set_message(format!("loss {loss:.4}"));
            if step.is_multiple_of(250) {
                eprintln!("step {step}: loss {loss:.4}");
            }
        }
    })?;
    bar.finish_and_clear();
    write_whole(&arguments.out, &bytes).map_err(|error| Error::file(&arguments.out, error))?;
    println!("{}: {} bytes, sha256 {}", arguments.out.display(), bytes.len(), sha256_hex(&bytes));
    Ok(())
}
