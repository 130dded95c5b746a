//! Kernels of our own for what burn's CPU backend does slowly; other devices use burn's.
//!
//! What this layer removes: the exact GELU of burn-flex 0.22 calls a scalar `erf` per value on one thread, which took half of an encode in
//! the browser.

mod gelu;

use burn::backend::ops::ActivationOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// Operations with kernels of our own.
#[backend_extension(Flex, Cube: cfg(any(target_family = "wasm", feature = "cuda", feature = "vulkan")), Autodiff: cfg(feature = "train"))]
pub trait Kernels: Backend {
    /// The exact GELU.
    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as ActivationOps<Self>>::gelu(x)
    }
}

impl Kernels for Flex {
    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if x.dtype() != burn::tensor::DType::F32 {
            return <Self as ActivationOps<Self>>::gelu(x);
        }
        let mut x = if x.is_contiguous() { x } else { x.to_contiguous() };
        let (start, count) = (x.layout().start_offset(), x.layout().num_elements());
        gelu::gelu(&mut x.storage_mut::<f32>()[start..start + count]);
        x
    }
}

#[cfg(any(target_family = "wasm", feature = "cuda", feature = "vulkan"))]
impl Kernels for burn::backend::Cube {}

#[cfg(feature = "train")]
impl<B: Backend + Kernels, C: burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy> Kernels
    for burn::backend::Autodiff<B, C>
{
}

/// The exact Gaussian error linear unit, `x Φ(x)`; on the CPU within 3·10⁻⁷ of it.
///
/// Source: Hendrycks and Gimpel, *Gaussian Error Linear Units*, 2016.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Kernels>::exact_gelu(x.into_dispatch()))
}

/// Runs a function over chunks of values, on all cores where there are several.
fn for_each_chunk(values: &mut [f32], chunk: usize, function: impl Fn(&mut [f32]) + Sync + Send) {
    #[cfg(not(target_family = "wasm"))]
    {
        use rayon::prelude::*;
        values.par_chunks_mut(chunk).for_each(function);
    }
    #[cfg(target_family = "wasm")]
    values.chunks_mut(chunk).for_each(function);
}
