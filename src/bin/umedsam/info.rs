//! `umedsam info`

use std::path::PathBuf;

use clap::Args;
use safetensors::SafeTensors;
use umedsam::Result;
use umedsam::weights::{WeightsError, read_metadata, sha256_hex};

#[derive(Args)]
pub struct Arguments {
    /// The weight file; by default umedsam's own weights, which are part of this program
    weights: Option<PathBuf>,
    /// Print JSON, with every tensor
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let bytes = super::weights::read(arguments.weights.as_ref())?;
    let metadata = read_metadata(&bytes)?;
    let tensors =
        SafeTensors::deserialize(&bytes).map_err(|error| WeightsError::Malformed(error.to_string()))?.tensors();
    let values: usize = tensors.iter().map(|(_, tensor)| tensor.shape().iter().product::<usize>()).sum();
    let sha256 = sha256_hex(&bytes);
    if arguments.json {
        let tensors: serde_json::Map<String, serde_json::Value> = tensors
            .iter()
            .map(|(name, tensor)| {
                let dtype = format!("{:?}", tensor.dtype());
                (name.clone(), serde_json::json!({ "dtype": dtype, "shape": tensor.shape() }))
            })
            .collect();
        let report = serde_json::json!({
            "bytes": bytes.len(), "sha256": sha256, "metadata": metadata, "values": values, "tensors": tensors,
        });
        println!("{report:#}");
        return Ok(());
    }
    println!("architecture   {}", metadata.architecture);
    println!("precision      {}", metadata.precision.name());
    println!("input          {0}×{0} pixels", metadata.config.input_size());
    println!("tensors        {} with {values} values", tensors.len());
    println!("size           {} bytes", bytes.len());
    println!("sha256         {sha256}");
    println!("licence        {}", metadata.licence);
    println!("source         {}", metadata.source);
    println!("source sha256  {}", metadata.source_sha256);
    match &metadata.calibration {
        None => println!("calibration    none"),
        Some(calibration) => {
            let data = &calibration.data;
            println!("calibration    {} images with {} boxes: {}", data.cases, data.boxes, data.description);
            if let Some(alarm) = &calibration.shift {
                println!("shift alarm    learned from {} familiar and {} made-up images", alarm.familiar, alarm.unlike);
            }
        }
    }
    if let Some(training) = &metadata.training {
        let text = |path: &str| training.pointer(path).map_or_else(|| "–".into(), ToString::to_string);
        println!(
            "trained        {} steps on {} images, seed {}, validation DSC {}, commit {}",
            text("/steps"),
            text("/data/images"),
            text("/config/seed"),
            text("/validation_dsc"),
            text("/commit")
        );
    }
    println!("written by     umedsam {}", metadata.umedsam_version);
    Ok(())
}
