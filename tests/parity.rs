//! Equality with the official LiteMedSAM, computed by PyTorch (`../shared/reference/litemedsam`).

mod support;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use support::{Reference, assert_close, segmenter, values};
use umedsam::image::{ImageView, Pixels, Window, preprocess};
use umedsam::model::image_encoder::ImageEncoderCpu;
use umedsam::model::mask_decoder::{MaskDecoderCpu, MaskOutput};
use umedsam::model::prompt_encoder::{InputPoint, InputPrompt, PointLabel};
use umedsam::segment::{SegmentOptions, Segmenter};
use umedsam::uncertainty::UncertaintyOptions;

const CASES: [&str; 4] = ["ct_abdomen", "mammography_nonsquare", "ct_small_upscaled", "constant_image"];
const F32_TOLERANCE: f64 = 1e-4;
const F16_TOLERANCE: f64 = 5e-3;

#[test]
fn preprocessing_matches_opencv() {
    for case in CASES {
        let reference = or_skip!(Reference::litemedsam(case), "../shared/reference");
        let shape = reference.shape("image");
        let image = reference.bytes("image");
        let view = ImageView::new(Pixels::U8(&image), shape[1], shape[0], 3).unwrap();
        let result = preprocess(&view, Window::Auto, 256).unwrap();

        assert_eq!([result.resized.height, result.resized.width, 3], reference.shape("resized")[..], "{case}");
        let expected = reference.bytes("resized");
        let worst = result.resized.data.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let differing = result.resized.data.iter().zip(&expected).filter(|(a, b)| a != b).count();
        eprintln!("{case}: {differing} of {} resized values differ, by at most {worst}", expected.len());
        assert_eq!(worst, 0, "{case}: a resized value is off by {worst}");

        let expected = reference.channels_last("input");
        let worst = result.input.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 2.5 / 255.0, "{case}: an input value is off by {worst}");
    }
}

/// Runs the network on the reference's input and compares everything the reference holds.
fn compare(segmenter: &Segmenter, case: &str, reference: &Reference, tolerance: f64) {
    let model = segmenter.model();
    let device = Device::flex();
    let input = Tensor::<1>::from_floats(reference.channels_last("input").as_slice(), &device);
    let input = input.reshape([1, 256, 256, 3]);
    let mut activations = BTreeMap::new();
    let embedding = model.encode(input, &mut |name, activation| {
        activations.insert(format!("act.{name}"), activation.clone());
    });

    // The CPU's own kernels, which applications use, against the same network of tensors.
    let packed = ImageEncoderCpu::new(&model.network.image_encoder).expect("TinyViT has kernels");
    let mut compared = 0;
    let on_kernels = packed.forward(&reference.channels_last("input"), 256, &mut |name, actual| {
        if let Some(expected) = activations.get(&format!("act.{name}")).filter(|_| name != "block") {
            assert_close(&format!("{case} {name} on the kernels"), actual, &values(expected.clone()), 2e-5);
            compared += 1;
        }
    });
    assert_eq!(compared, 6, "patch embedding, four stages and neck");
    assert_close(&format!("{case} embedding on the kernels"), &on_kernels, &values(embedding.clone()), 2e-5);

    for (name, activation) in activations {
        if !reference.has(&name) {
            continue;
        }
        let name = name.as_str();
        let [_, height, width, channels] = activation.dims();
        let (actual, expected) = if name.starts_with("act.layers") {
            let tokens = activation.reshape([height * width, channels]);
            (values(tokens.slice(burn::tensor::s![..;16, ..])), reference.floats(name))
        } else {
            let step = if name == "act.patch_embed" { 16 } else { 4 };
            let pixels = activation.slice(burn::tensor::s![.., ..;step, ..;step, ..]);
            (values(pixels), reference.channels_last(name))
        };
        assert_close(&format!("{case} {name}"), &actual, &expected, tolerance);
    }
    if reference.has("embedding") {
        assert_close(
            &format!("{case} embedding"),
            &values(embedding.clone()),
            &reference.channels_last("embedding"),
            tolerance,
        );
        assert_close("dense_pe", &values(model.dense_pe.val()), &reference.channels_last("dense_pe"), tolerance);
        let dense = model.network.prompt_encoder.no_mask();
        assert_close("dense", &values(dense), &reference.floats("dense"), tolerance);
    } else {
        let pixels = embedding.clone().slice(burn::tensor::s![.., ..;16, ..;16, ..]);
        let expected = reference.channels_last("embedding_4x4");
        assert_close(&format!("{case} embedding_4x4"), &values(pixels), &expected, tolerance);
    }

    let prompts: Vec<InputPrompt> = reference
        .floats("boxes_256")
        .chunks_exact(4)
        .map(|corners| InputPrompt::from([corners[0], corners[1], corners[2], corners[3]]))
        .collect();
    let sparse = model.network.prompt_encoder.embed_sparse(&prompts);
    assert_close(&format!("{case} sparse"), &values(sparse), &reference.floats("sparse"), tolerance);
    let single = model.decode(embedding.clone(), &prompts, None, MaskOutput::Single);
    assert_close(&format!("{case} logits"), &values(single.logits), &reference.floats("low_res_logits"), tolerance);
    assert_close(&format!("{case} IoU"), &values(single.iou), &reference.floats("iou"), tolerance);
    if reference.has("multimask_iou") {
        let multi = model.decode(embedding, &prompts, None, MaskOutput::Multi);
        let expected = reference.floats("multimask_low_res_logits");
        assert_close(&format!("{case} multimask logits"), &values(multi.logits), &expected, tolerance);
        assert_close(
            &format!("{case} multimask IoU"),
            &values(multi.iou),
            &reference.floats("multimask_iou"),
            tolerance,
        );
    }
}

/// From the image itself to the mask.
fn compare_masks(segmenter: &Segmenter, case: &str, reference: &Reference) {
    let shape = reference.shape("image");
    let image = reference.bytes("image");
    let view = ImageView::new(Pixels::U8(&image), shape[1], shape[0], 3).unwrap();
    let preprocessed = segmenter.preprocess(&view, Window::Auto).unwrap();
    let mut encoded = segmenter.encode(&preprocessed, |_| ());
    let uncertainty = UncertaintyOptions::single_pass();
    let options = SegmentOptions { uncertainty, calibrated: false, ..Default::default() };
    let results = pollster::block_on(segmenter.segment(&mut encoded, &reference.boxes(), &options)).unwrap();

    let masks = reference.bytes("mask");
    let pixels = shape[0] * shape[1];
    for (index, (result, expected)) in results.iter().zip(masks.chunks_exact(pixels)).enumerate() {
        let agreeing = result.mask.iter().zip(expected).filter(|(a, b)| (**a != 0) == (**b != 0)).count();
        let agreement = agreeing as f64 / pixels as f64;
        eprintln!("{case} mask {index}: {:.4} % of pixels agree", agreement * 100.0);
        assert!(agreement >= 0.999, "{case} mask {index}: only {agreement} of the pixels agree");
    }
    if reference.has("probability") {
        let actual: Vec<f32> = results.iter().flat_map(|result| result.probability.clone()).collect();
        let expected = reference.floats("probability");
        let worst = actual.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 0.05, "{case}: a probability is off by {worst}");
    }
}

fn compare_all(precision: &str, tolerance: f64) {
    let segmenter = or_skip!(segmenter(precision), "weights/ (run cargo xtask weights)");
    for case in CASES {
        let reference = or_skip!(Reference::litemedsam(case), "../shared/reference");
        compare(&segmenter, case, &reference, tolerance);
        compare_masks(&segmenter, case, &reference);
    }
}

#[test]
fn f32_weights_match_pytorch() {
    compare_all("f32", F32_TOLERANCE);
}

#[test]
fn f16_weights_match_pytorch() {
    compare_all("f16", F16_TOLERANCE);
}

/// What `bench/prompts.py` wrote of the official network.
#[derive(serde::Deserialize)]
struct OfficialPrompts {
    prompts: Vec<OfficialAnswer>,
}

#[derive(serde::Deserialize)]
struct OfficialAnswer {
    #[serde(default)]
    points: Vec<[f32; 3]>,
    #[serde(rename = "box")]
    bounding_box: Option<[f32; 4]>,
    #[serde(default)]
    mask: bool,
    sparse: Vec<f32>,
    dense: Vec<f32>,
    logits: Vec<f32>,
    iou: f32,
}

impl OfficialAnswer {
    fn prompt(&self) -> InputPrompt {
        let label = |label: f32| if label > 0.0 { PointLabel::Foreground } else { PointLabel::Background };
        let point = |&[x, y, inside]: &[f32; 3]| InputPoint { x, y, label: label(inside) };
        InputPrompt { points: self.points.iter().map(point).collect(), bounding_box: self.bounding_box }
    }

    fn mask_prompt(&self) -> Option<Vec<f32>> {
        let logit =
            |pixel: usize| 8.0 * ((pixel % 256) as f32 * 0.05).sin() * ((pixel / 256) as f32 * 0.03).cos() - 1.0;
        self.mask.then(|| (0..256 * 256).map(logit).collect())
    }
}

/// Every sixteenth pixel of every sixteenth row.
fn thinned(logits: &[f32]) -> Vec<f32> {
    (0..256).map(|place| logits[place / 16 * 16 * 256 + place % 16 * 16]).collect()
}

#[test]
fn points_boxes_and_mask_prompts_match_pytorch() {
    let segmenter = or_skip!(segmenter("f32"), "weights/ (run cargo xtask weights)");
    let reference = or_skip!(Reference::litemedsam("ct_abdomen"), "../shared/reference");
    let official: OfficialPrompts = serde_json::from_str(include_str!("files/prompts.json")).unwrap();
    let model = segmenter.model();
    let encoder = &model.network.prompt_encoder;
    let embedding = reference.channels_last("embedding");
    let packed = MaskDecoderCpu::new(&model.network.mask_decoder, values(model.dense_pe.val()), encoder);
    let image = packed.prepare(embedding.clone());
    let embedding = Tensor::<1>::from_floats(embedding.as_slice(), &Device::flex()).reshape([1, 64, 64, 256]);
    for (number, answer) in official.prompts.iter().enumerate() {
        let prompts = [answer.prompt()];
        let sparse = values(encoder.embed_sparse(&prompts));
        let some: Vec<f32> = sparse.iter().copied().step_by(64).collect();
        assert_close(&format!("prompt {number}: sparse"), &some, &answer.sparse, F32_TOLERANCE);
        let mask = answer.mask_prompt();
        let masks =
            mask.as_ref().map(|mask| Tensor::<1>::from_floats(mask.as_slice(), &Device::flex()).reshape([1, 256, 256]));
        if let Some(masks) = masks.clone() {
            let dense = values(encoder.embed_masks(masks));
            let some: Vec<f32> =
                (0..4).flat_map(|channel| dense.iter().skip(64 * channel).step_by(512 * 256)).copied().collect();
            assert_close(&format!("prompt {number}: dense"), &some, &answer.dense, F32_TOLERANCE);
        }
        let expected = model.decode(embedding.clone(), &prompts, masks, MaskOutput::Single);
        let image = mask.map_or_else(|| image.clone(), |mask| packed.with_mask_prompt(&image, &mask));
        let (logits, iou) = packed.forward(&image, &sparse, 1, MaskOutput::Single);
        for (name, logits, iou) in
            [("tensors", values(expected.logits), values(expected.iou)), ("kernels", logits, iou)]
        {
            let name = format!("prompt {number} on {name}");
            assert_close(&format!("{name}: logits"), &thinned(&logits), &answer.logits, F32_TOLERANCE);
            assert!((iou[0] - answer.iou).abs() < 1e-4, "{name}: IoU {} instead of {}", iou[0], answer.iou);
        }
    }
}
