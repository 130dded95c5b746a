//! A run on disk, to go on with exactly where it was.

use std::path::Path;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};

use super::ema::Ema;
use super::objective::Trainee;
use crate::error::{Error, Result};
use crate::weights::write_whole;

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps done.
    pub step: usize,
    /// Seconds of training.
    pub seconds: f64,
    /// The best validation so far.
    pub best: Option<Best>,
    /// Distinguishes runs by their configuration, weights and data.
    pub fingerprint: String,
}

/// The best validation of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// After how many steps.
    pub step: usize,
    /// Its mean DSC.
    pub dsc: f64,
}

/// What changes in a run.
pub struct Progress {
    /// Network and σ.
    pub trainee: Trainee,
    /// Its moments.
    pub optimizer: ModuleOptimizer,
    /// The average of the weights, if there is one.
    pub ema: Option<Ema>,
}

const STATE: &str = "umedsam.training_state";

/// Writes a checkpoint, whole or not at all.
///
/// # Errors
/// [`Error::File`] if it cannot be written; an earlier checkpoint is then as it was.
pub fn save(path: &Path, progress: &Progress, state: &State) -> Result<()> {
    let fail = |error: RecordError| Error::file(path, error);
    let mut parts = vec![
        ("trainee", progress.trainee.clone().into_record().into_bytes().map_err(fail)?),
        ("optimizer", progress.optimizer.into_bytes().map_err(fail)?),
    ];
    if let Some(ema) = &progress.ema {
        parts.push(("ema", ema.apply(progress.trainee.clone()).into_record().into_bytes().map_err(fail)?));
    }
    let views = parts.iter().map(|(name, bytes)| {
        let view = TensorView::new(Dtype::U8, vec![bytes.len()], bytes).expect("a vector of bytes");
        (*name, view)
    });
    let state = serde_json::to_string(state).expect("a state is plain data");
    let bytes = serialize(views, Some([(STATE.to_string(), state)].into()));
    let bytes = bytes.map_err(|error| Error::file(path, error))?;
    write_whole(path, &bytes).map_err(|error| Error::file(path, error))
}

/// Reads a checkpoint into a run that was begun with the same configuration, weights and data.
///
/// # Errors
/// [`Error::File`] if it cannot be read or belongs to another run.
pub fn load(path: &Path, progress: Progress, ema_decay: Option<f64>, fingerprint: &str) -> Result<(Progress, State)> {
    let fail = |message: String| Error::file(path, message);
    let damaged = |error: &dyn std::fmt::Display| fail(format!("not a whole checkpoint ({error}); remove it"));
    let bytes = std::fs::read(path).map_err(|error| Error::file(path, error))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(&error))?;
    let parts = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&error))?;
    let state = header.metadata().as_ref().and_then(|metadata| metadata.get(STATE));
    let state: State =
        serde_json::from_str(state.ok_or_else(|| damaged(&"it has no state"))?).map_err(|error| damaged(&error))?;
    if state.fingerprint != fingerprint {
        return Err(fail(
            "it was made with another configuration, other weights or other data; use a new folder for --out, or remove it"
                .into(),
        ));
    }
    let part = |name: &str| -> Result<Bytes> {
        let tensor = parts.tensor(name).map_err(|error| damaged(&error))?;
        Ok(Bytes::from_bytes_vec(tensor.data().to_vec()))
    };
    let read = |name: &str, trainee: &Trainee| -> Result<Trainee> {
        let record = ModuleRecord::from_bytes(part(name)?).map_err(|error| damaged(&error))?;
        trainee.clone().try_load_record(record).map_err(|error| damaged(&error))
    };
    let Progress { trainee, optimizer, .. } = progress;
    let ema =
        ema_decay.map(|decay| Ok::<_, Error>(Ema::new(decay, &read("ema", &trainee)?, state.step))).transpose()?;
    let trainee = read("trainee", &trainee)?;
    let optimizer = optimizer.from_bytes(part("optimizer")?).map_err(|error| damaged(&error))?;
    Ok((Progress { trainee, optimizer, ema }, state))
}
