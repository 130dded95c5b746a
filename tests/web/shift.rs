//! Images that are unlike those of the calibration.

use umedsam::model::Config;
use umedsam::web::Model;
use umedsam::weights::{read_metadata, with_metadata};
use wasm_bindgen_test::wasm_bindgen_test;

use super::support::{BOX, calibrated_weights, encode, get, mask, segment_with};

#[path = "../support/alarm.rs"]
mod alarm;

/// Weights whose typical image is at a place.
fn weights(typical: f32) -> Vec<u8> {
    let bytes = calibrated_weights();
    let mut metadata = read_metadata(&bytes).unwrap();
    let features = 2 * Config::tiny().image_encoder.out_channels();
    metadata.calibration.as_mut().unwrap().shift = Some(alarm::alarm(features, typical));
    with_metadata(&bytes, &metadata).unwrap()
}

#[wasm_bindgen_test]
async fn nothing_is_promised_of_unlike_images_on_any_device() {
    let mut p_values = Vec::new();
    for device in ["cpu", "webgpu"] {
        for (typical, is_unlike) in [(0.0, None), (1000.0, Some(true))] {
            let model = Model::load(weights(typical), device.into()).await.unwrap();
            assert_eq!(get(&get(&model.info(), "calibration"), "shiftAlarm").as_bool(), Some(true));
            let image = encode(&model).await.unwrap();
            let result = segment_with(&image, &BOX, r#"{ "alpha": 0.3 }"#).await.unwrap().remove(0);
            let shift = get(&result, "shift");
            let alarm = get(&shift, "alarm").as_bool().unwrap();
            p_values.push((device, typical, get(&shift, "pValue").as_f64().unwrap()));
            assert!(is_unlike.is_none_or(|is_unlike| is_unlike == alarm), "{p_values:?}");
            for key in ["outer", "inner", "guarantee", "areaInterval"] {
                assert_eq!(get(&result, key).is_null(), alarm, "{key} on {device}");
            }
            assert_eq!(get(&result, "needsReview").as_bool(), Some(true));
            assert_eq!(get(&result, "calibration").as_string().as_deref(), Some("fitted"));
            let raw = segment_with(&image, &BOX, r#"{ "calibrated": false }"#).await.unwrap().remove(0);
            assert!(get(&raw, "shift").is_null());
            assert_eq!(mask(&raw, "mask"), mask(&result, "mask"));
        }
    }
    let (cpu, gpu) = p_values.split_at(2);
    for (cpu, gpu) in cpu.iter().zip(gpu) {
        assert!((cpu.2 - gpu.2).abs() <= 0.021, "{cpu:?}, {gpu:?}");
    }
    assert_eq!(cpu[1].2, 0.02);
}
