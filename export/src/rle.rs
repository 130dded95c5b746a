//! COCO's run lengths of masks.
//!
//! Source: pycocotools, `maskApi.c`: lengths of runs of 0 and 1 in turn, column by column, from the third on as differences to the run two before, five bits a character.

use std::fmt::Write;

use crate::contours::NamedMask;
use crate::contours::quoted;
use crate::error::{Result, fail};

/// The compressed counts of a mask, as pycocotools decodes them.
///
/// # Errors
/// If the mask has another size.
pub fn counts(mask: &[u8], [width, height]: [usize; 2]) -> Result<String> {
    if mask.len() != width * height {
        return fail(format!("the mask has {} values for {width}×{height} pixels", mask.len()));
    }
    let mut runs: Vec<i64> = vec![0];
    let mut inside = false;
    for x in 0..width {
        for y in 0..height {
            if (mask[y * width + x] != 0) != inside {
                inside = !inside;
                runs.push(0);
            }
            *runs.last_mut().expect("there is a run") += 1;
        }
    }
    let mut text = String::new();
    for (index, &run) in runs.iter().enumerate() {
        let mut value = if index > 2 { run - runs[index - 2] } else { run };
        loop {
            let mut bits = value & 0x1f;
            value >>= 5;
            let is_last = if bits & 0x10 != 0 { value == -1 } else { value == 0 };
            if !is_last {
                bits |= 0x20;
            }
            text.push(char::from(bits as u8 + 48));
            if is_last {
                break;
            }
        }
    }
    Ok(text)
}

/// Masks as JSON: `[{ "label", "segmentation": { "size": [height, width], "counts" }, "bbox": [x, y, width, height], "area" }]`.
///
/// # Errors
/// If a mask has another size.
pub fn coco(masks: &[NamedMask], size: [usize; 2]) -> Result<String> {
    let [width, height] = size;
    let mut text = String::from("[");
    for (index, named) in masks.iter().enumerate() {
        let counts = counts(named.mask, size)?;
        let pixels = || (0..named.mask.len()).filter(|&pixel| named.mask[pixel] != 0);
        let columns = || pixels().map(|pixel| pixel % width);
        let rows = || pixels().map(|pixel| pixel / width);
        let [x0, y0] = [columns().min().unwrap_or(0), rows().min().unwrap_or(0)];
        let [x1, y1] = [columns().max().map_or(0, |x| x + 1), rows().max().map_or(0, |y| y + 1)];
        let _ = write!(
            text,
            "{}{{\"label\":{},\"segmentation\":{{\"size\":[{height},{width}],\"counts\":{}}},\"bbox\":[{x0},{y0},{},{}],\"area\":{}}}",
            if index > 0 { "," } else { "" },
            quoted(named.label),
            quoted(&counts),
            x1 - x0,
            y1 - y0,
            pixels().count(),
        );
    }
    text.push_str("]\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_pycocotools() {
        // pycocotools.mask.encode of these masks.
        assert_eq!(counts(&[0, 0, 0, 0], [2, 2]).unwrap(), "4");
        assert_eq!(counts(&[1, 1, 1, 1], [2, 2]).unwrap(), "04");
        assert_eq!(counts(&[0, 1, 1, 0], [2, 2]).unwrap(), "121");
        assert_eq!(counts(&[0, 1, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1], [4, 3]).unwrap(), "2340");
        let text = coco(&[NamedMask { mask: &[0, 0, 0, 1, 1, 0], label: "a", color: None }], [3, 2]).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read[0]["bbox"], &read[0]["area"]), (&serde_json::json!([0, 1, 2, 1]), &2.into()));
        assert!(counts(&[0], [2, 2]).is_err());
    }
}
