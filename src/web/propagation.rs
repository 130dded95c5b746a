//! Propagation as JavaScript drives it: it has the slices, and hands over each that is wanted.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Function, Promise};
use serde::Deserialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::image::Image;
use super::values;
use crate::error::{Error, Result};
use crate::propagation::{self, PropagationOptions, Stop};

/// An object on its way through a volume.
#[wasm_bindgen]
pub struct Propagation(Rc<RefCell<propagation::Propagation>>);

/// Where it begins and ends.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Course {
    slice: usize,
    /// Slices of the volume.
    slices: usize,
    range: Option<[usize; 2]>,
    stop: Option<Stop>,
}

#[wasm_bindgen]
impl Propagation {
    /// Begins with a prompt as `Image.segment` takes it. `course` has `slice`, `slices` (of the volume), and perhaps `range` and `stop`.
    #[wasm_bindgen(constructor)]
    pub fn new(prompt: JsValue, course: JsValue) -> std::result::Result<Propagation, JsValue> {
        let begin = || -> Result<propagation::Propagation> {
            let prompt = values::prompts(&Array::of1(&prompt))?.remove(0);
            let Course { slice, slices, range, stop } = values::from_js(course, Error::InvalidOption)?;
            propagation::Propagation::new(prompt, slice, slices, &PropagationOptions { range, stop })
        };
        begin().map(|begun| Self(Rc::new(RefCell::new(begun)))).map_err(|error| values::to_js_error(&error))
    }

    /// The slice that is wanted next; undefined at the end.
    #[wasm_bindgen(getter, js_name = nextSlice)]
    pub fn next_slice(&self) -> Option<usize> {
        self.0.borrow().next_slice()
    }

    /// How many slices there are at most still.
    #[wasm_bindgen(getter, js_name = mostLeft)]
    pub fn most_left(&self) -> usize {
        self.0.borrow().most_left()
    }

    /// Segments the object on the slice that is wanted, whose encoded image this is, and goes on. `options` and `maps` as for `Image.segment`.
    pub fn segment(&self, image: &Image, options: JsValue, maps: JsValue, progress: Option<Function>) -> Promise {
        let (object, state) = (self.0.clone(), image.state());
        future_to_promise(async move {
            // A copy goes on, so that what fails changes nothing.
            let mut next = object.borrow().clone();
            let (found, answer) = state.follow(&mut next, options, maps, progress.as_ref()).await?;
            values::set(&answer, "slice", &found.slice.into());
            values::set(&answer, "end", &values::to_js(&found.end));
            *object.borrow_mut() = next;
            Ok(answer.into())
        })
    }
}
