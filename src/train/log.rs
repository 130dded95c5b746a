//! What a run says of itself: a line of JSON per step and validation, and curves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::objective::{LossValues, TERMS};
use crate::error::{Error, Result};
use crate::eval::{Chart, Series};

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Record {
    /// A step.
    Step(StepRecord),
    /// A validation.
    Validation(ValidationRecord),
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its number, from 1.
    pub step: usize,
    /// Passes over the images so far.
    pub epoch: f64,
    /// The loss before the step.
    pub loss: LossValues,
    /// σ of the region, distribution and pixel term after the step.
    pub sigma: [f64; TERMS],
    /// Norm of the gradient before it was cut.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Seconds of training so far.
    pub seconds: f64,
}

/// A validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationRecord {
    /// After how many steps.
    pub step: usize,
    /// Mean DSC of all boxes, at the input's scale.
    pub dsc: f64,
    /// By modality.
    pub modalities: BTreeMap<String, f64>,
    /// The loss.
    pub loss: LossValues,
    /// Whether it is the best so far.
    pub is_best: bool,
}

impl Record {
    fn step(&self) -> usize {
        match self {
            Self::Step(record) => record.step,
            Self::Validation(record) => record.step,
        }
    }
}

/// The log of a run.
pub struct Log {
    path: PathBuf,
    file: File,
    records: Vec<Record>,
}

impl Log {
    /// Opens the log of a run that has done some steps; what is behind them, or cut off, is dropped. `None` begins anew.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn open(path: &Path, done: Option<usize>) -> Result<Self> {
        let fail = |error: std::io::Error| Error::file(path, error);
        let mut records: Vec<Record> = Vec::new();
        if let (Some(done), Ok(file)) = (done, File::open(path)) {
            let lines = BufReader::new(file).lines().map_while(std::result::Result::ok);
            records.extend(
                lines
                    .filter_map(|line| serde_json::from_str(&line).ok())
                    .filter(|record: &Record| record.step() <= done),
            );
        }
        let mut file = File::create(path).map_err(fail)?;
        for record in &records {
            writeln!(file, "{}", line(record)).map_err(fail)?;
        }
        Ok(Self { path: path.to_path_buf(), file, records })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn push(&mut self, record: Record) -> Result<()> {
        writeln!(self.file, "{}", line(&record)).map_err(|error| Error::file(&self.path, error))?;
        self.records.push(record);
        Ok(())
    }

    /// Everything so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Draws `loss.svg`, `sigma.svg` and `validation.svg` beside the log.
    ///
    /// # Errors
    /// [`Error::File`] if they cannot be written.
    pub fn draw(&self) -> Result<()> {
        for (name, chart) in [
            ("loss.svg", self.loss_chart()),
            ("sigma.svg", self.sigma_chart()),
            ("validation.svg", self.validation_chart()),
        ] {
            let path = self.path.with_file_name(name);
            std::fs::write(&path, chart.to_svg()).map_err(|error| Error::file(&path, error))?;
        }
        Ok(())
    }

    fn steps(&self) -> impl Iterator<Item = &StepRecord> {
        self.records.iter().filter_map(|record| match record {
            Record::Step(record) => Some(record),
            Record::Validation(_) => None,
        })
    }

    fn validations(&self) -> impl Iterator<Item = &ValidationRecord> {
        self.records.iter().filter_map(|record| match record {
            Record::Validation(record) => Some(record),
            Record::Step(_) => None,
        })
    }

    fn loss_chart(&self) -> Chart {
        let curve = |name: &str, color, value: fn(&LossValues) -> f64| {
            let points: Vec<[f64; 2]> = self.steps().map(|record| [record.step as f64, value(&record.loss)]).collect();
            Series { name: name.into(), color, points: running_mean(&points), has_markers: false }
        };
        let series = vec![
            curve("Dice", "#1b6ca8", |loss| loss.region),
            curve("cross-entropy", "#c2571a", |loss| loss.distribution),
            curve("focal", "#3a7d44", |loss| loss.pixel),
            curve("predicted IoU", "#7a4fa3", |loss| loss.iou),
        ];
        chart("Terms of the loss, running mean", "value", series)
    }

    fn sigma_chart(&self) -> Chart {
        let curve = |term: usize, name: &str, color| {
            let points = self.steps().map(|record| [record.step as f64, record.sigma[term]]).collect();
            Series { name: name.into(), color, points, has_markers: false }
        };
        let series =
            vec![curve(0, "Dice", "#1b6ca8"), curve(1, "cross-entropy", "#c2571a"), curve(2, "focal", "#3a7d44")];
        chart("σ of the uncertainty-aware loss", "σ", series)
    }

    fn validation_chart(&self) -> Chart {
        let points = self.validations().map(|record| [record.step as f64, record.dsc]).collect();
        let series = vec![Series { name: "all".into(), color: "#1b6ca8", points, has_markers: true }];
        chart("DSC on images that are not trained on", "mean DSC", series)
    }
}

fn line(record: &Record) -> String {
    serde_json::to_string(record).expect("records are plain data")
}

fn chart(title: &str, y_label: &str, series: Vec<Series>) -> Chart {
    Chart { title: title.into(), x_label: "step".into(), y_label: y_label.into(), x_range: None, y_range: None, series }
}

/// The mean of the points so far, of the last fiftieth of all of them.
fn running_mean(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let width = (points.len() / 50).max(1);
    let mean = |end: usize| {
        let window = &points[(end + 1).saturating_sub(width)..=end];
        [points[end][0], window.iter().map(|point| point[1]).sum::<f64>() / window.len() as f64]
    };
    (0..points.len()).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: usize) -> Record {
        Record::Step(StepRecord {
            step,
            epoch: 0.5,
            loss: LossValues { total: 1.0 / step as f64, ..Default::default() },
            sigma: [1.0, 0.9, 0.8],
            gradient_norm: 2.0,
            learning_rate: 1e-4,
            seconds: 3.0,
        })
    }

    #[test]
    fn a_log_goes_on_where_the_checkpoint_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = Log::open(&path, None).unwrap();
        (1..=5).for_each(|number| log.push(step(number)).unwrap());
        drop(log);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"kind\":\"step\",\"st")).unwrap();
        let mut log = Log::open(&path, Some(3)).unwrap();
        assert_eq!(log.records(), [step(1), step(2), step(3)]);
        [4, 5].into_iter().for_each(|number| log.push(step(number)).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        log.draw().unwrap();
        assert!(std::fs::read_to_string(path.with_file_name("sigma.svg")).unwrap().contains("cross-entropy"));
        assert!(Log::open(&path, None).unwrap().records().is_empty());
    }

    #[test]
    fn means_run_over_the_last_points() {
        let points: Vec<[f64; 2]> = (0..100).map(|index| [f64::from(index), f64::from(index % 2)]).collect();
        let smooth = running_mean(&points);
        assert_eq!((smooth[0], smooth[50]), ([0.0, 0.0], [50.0, 0.5]));
    }
}
