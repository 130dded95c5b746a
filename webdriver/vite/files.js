/** Packed files, which may be padded. */

import { readNifti } from "umedsam/nifti";

/** A NIfTI-1 file of 4×3×2 bytes. */
function nifti() {
  const bytes = new Uint8Array(352 + 24);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, 348, true);
  [3, 4, 3, 2, 1, 1, 1, 1].forEach((length, index) => view.setInt16(40 + 2 * index, length, true));
  view.setInt16(70, 2, true);
  view.setInt16(72, 8, true);
  [1, 1, 1].forEach((length, index) => view.setFloat32(80 + 4 * index, length, true));
  view.setFloat32(108, 352, true);
  bytes.set([0x6e, 0x2b, 0x31, 0], 344);
  bytes.set(Uint8Array.from({ length: 24 }, (_, index) => index), 352);
  return bytes;
}

export async function files() {
  const stream = new Blob([nifti()]).stream().pipeThrough(new CompressionStream("gzip"));
  const packed = new Uint8Array(await new Response(stream).arrayBuffer());
  const read = async (bytes) => {
    try {
      const { volume } = await readNifti(bytes);
      return volume.geometry.size.join("×");
    } catch (error) {
      return error.code;
    }
  };
  const padded = (count) => Uint8Array.from([...packed, ...new Uint8Array(count)]);
  return {
    padded: await Promise.all([0, 1, 2, 512].map((count) => read(padded(count)))),
    cut: await Promise.all([1, 9, 40].map((count) => read(packed.subarray(0, packed.length - count)))),
    damaged: await read(packed.map((value, index) => (index === 30 ? value ^ 255 : value))),
  };
}
