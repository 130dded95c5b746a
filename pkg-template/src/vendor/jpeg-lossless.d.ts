/** What is used of jpeg-lossless-decoder-js (MIT), which the build bundles into the package. */
export declare class Decoder {
  decode(buffer: ArrayBufferLike, offset: number, length: number, bytesPerSample: number): { readonly buffer: ArrayBufferLike };
}
