//! The beginning of a light image encoder: a trunk from ImageNet, normalizations adapted to medical images, everything else random.

use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use burn_store::{ModuleSnapshot, PytorchStore};

use super::set::{TrainingSet, first_inputs};
use crate::error::{Error, Result};
use crate::model::image_encoder::{ImageEncoder, ImageEncoderConfig};
use crate::model::mask_decoder::MaskDecoderConfig;
use crate::model::student::{Student, StudentConfig};
use crate::model::{Config, Umedsam};
use crate::random::SplitMix64;
use crate::weights::{self, Metadata, Precision, WeightsError, sha256_hex, to_bytes, write_whole};

/// What a light encoder begins with.
#[derive(Debug, Clone)]
pub struct BeginStudent {
    /// The weight file that prompt encoder and mask decoder come from.
    pub weights: Vec<u8>,
    /// EfficientNet-Lite0's checkpoint for the trunk, which is random without it.
    pub trunk: Option<PathBuf>,
    /// The checkpoint's SHA-256, if another is to be refused.
    pub expected_sha256: Option<String>,
    /// Folders of images to which the normalizations are adapted.
    pub data: Vec<PathBuf>,
    /// The encoder.
    pub config: StudentConfig,
    /// Decides the weights that are random.
    pub seed: u64,
    /// The weight file to write.
    pub out: PathBuf,
}

/// Images that normalizations are adapted to.
const ADAPT_IMAGES: usize = 64;

/// What the branches of EfficientViT modules begin scaled by, as the neck's blocks are.
const MODULE_SCALE: f64 = 0.1;

/// Writes the weight file of a light encoder that knows no embedding yet, and returns the encoder's number of parameters.
///
/// # Errors
/// [`Error::Weights`] and [`Error::File`] if a file cannot be used, [`WeightsError::Hash`] if the trunk is another.
pub fn begin_student(settings: &BeginStudent) -> Result<usize> {
    let device = Device::flex();
    settings.config.check().map_err(Error::InvalidOption)?;
    let (network, metadata) = weights::load(settings.weights.clone(), &device)?;
    let mut student = drawn(settings.config.init(&device), settings.seed);
    let mut source = format!("a light encoder to be trained, with the decoder of {}", metadata.source);
    if let Some(path) = &settings.trunk {
        let sha256 = read_trunk(&mut student, &settings.config, path, settings.expected_sha256.as_deref())?;
        source = format!("{source}, and a trunk of EfficientNet-Lite0 on ImageNet (sha256 {sha256})");
    }
    for module in &mut student.efficient_vit {
        let shrink = |param: &mut Param<Tensor<1>>| *param = param.clone().map(|gamma| gamma * MODULE_SCALE);
        let norms = [&mut module.context_module.main.proj.norm, &mut module.local_module.main.point_conv.norm];
        norms.into_iter().flatten().for_each(|norm| shrink(&mut norm.gamma));
    }
    // The embedding is to have the scale that the mask decoder knows.
    if let ImageEncoder::TinyVit(teacher) = &network.image_encoder {
        student.neck.out_norm = teacher.neck.3.clone();
    }
    let set = TrainingSet::scan(&settings.data, settings.config.input_size, true)?;
    student.adapt_norms(first_inputs(&set, ADAPT_IMAGES, settings.config.input_size)?);

    let parameters = student.num_params();
    let mut network = Umedsam { image_encoder: ImageEncoder::Student(student), local_scaling: None, ..network };
    // Nothing trains them, and no answer to a box needs them.
    network.mask_decoder.output_hypernetworks_mlps.truncate(1);
    let mask_decoder = MaskDecoderConfig { multimask: false, ..metadata.config.mask_decoder };
    let metadata = Metadata {
        architecture: "umedsam-student".into(),
        config: Config {
            image_encoder: ImageEncoderConfig::Student(settings.config.clone()),
            mask_decoder,
            local_scaling: None,
            ..metadata.config
        },
        precision: Precision::F32,
        source,
        source_sha256: sha256_hex(&settings.weights),
        umedsam_version: env!("CARGO_PKG_VERSION").into(),
        calibration: None,
        ..metadata
    };
    let bytes = to_bytes(&network, &metadata)?;
    write_whole(&settings.out, &bytes).map_err(|error| Error::file(&settings.out, error))?;
    Ok(parameters)
}

/// The same module with matrices and kernels drawn from a seed, evenly within ±sqrt(3 / fan-in), so that values keep their size; vectors stay as they are, biases
/// become 0.
fn drawn(student: Student, seed: u64) -> Student {
    struct Draw(SplitMix64, Vec<String>);
    impl ModuleMapper for Draw {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.1.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.1.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let shape: [usize; D] = param.shape().dims();
            let count: usize = shape.iter().product();
            if D == 1 {
                let is_bias = self.1.last().is_some_and(|name| name == "bias");
                return if is_bias { param.map(|tensor| tensor * 0.0) } else { param };
            }
            // Linear layers are [in, out], convolutions [out, in, kernel, kernel].
            let fan_in = if D == 2 { shape[0] } else { count / shape[0] };
            let bound = (3.0 / fan_in as f32).sqrt();
            let random = &mut self.0;
            let mut next = || ((random.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * bound;
            let values: Vec<f32> = (0..count).map(|_| next()).collect();
            Param::initialized(ParamId::new(), Tensor::from_data(TensorData::new(values, shape), &param.lazy_device()))
        }
    }
    student.map(&mut Draw(SplitMix64::new(seed), Vec::new()))
}

/// Reads the trunk from a PyTorch checkpoint of EfficientNet-Lite0, whose blocks are counted over all stages.
fn read_trunk(student: &mut Student, config: &StudentConfig, path: &Path, expected: Option<&str>) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| Error::file(path, error))?;
    let sha256 = sha256_hex(&bytes);
    if let Some(expected) = expected.filter(|expected| !expected.eq_ignore_ascii_case(&sha256)) {
        return Err(WeightsError::Hash { expected: expected.into(), actual: sha256 }.into());
    }
    let mut store = PytorchStore::from_file(path)
        .map_indices_contiguous(false)
        .allow_partial(true)
        .validate(false)
        .with_key_remapping(r"^_conv_stem\.", "stem.c.")
        .with_key_remapping(r"^_bn0\.", "stem.bn.");
    let mut number = 0;
    for (stage, sizes) in config.stages.iter().enumerate() {
        for block in 0..sizes.depth {
            // Without the first convolution its norm is left out, and the others keep their numbers.
            let layers = [
                ("_expand_conv", "expand.c"),
                ("_bn0", "expand.bn"),
                ("_depthwise_conv", "depthwise.c"),
                ("_bn1", "depthwise.bn"),
                ("_project_conv", "project.c"),
                ("_bn2", "project.bn"),
            ];
            for (from, to) in layers {
                let from = format!(r"^_blocks\.{number}\.{from}\.");
                store = store.with_key_remapping(from, format!("stages.{stage}.{block}.{to}."));
            }
            number += 1;
        }
    }
    let malformed = |message: String| Error::file(path, message);
    let result = student.trunk.load_from(&mut store).map_err(|error| malformed(error.to_string()))?;
    let missing: Vec<&str> = result.missing.iter().map(|(name, _)| name.as_str()).collect();
    match missing.is_empty() && result.errors.is_empty() {
        true => Ok(sha256),
        false => {
            Err(malformed(format!("it is no EfficientNet-Lite0: missing {missing:?}, unusable {:?}", result.errors)))
        }
    }
}
