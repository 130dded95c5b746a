/** Compiled under several settings, with the oldest libraries that are supported. */

import { type EncodedImage, type LoadOptions, type Segmentation, UmedsamError, clearCache, defaultWeightsInfo, isSupported, load, preload } from "umedsam";
import { type ReadImage, pngOf, readImage, windowedImage } from "umedsam/image";

export async function segment(file: File, canvas: HTMLCanvasElement, signal: AbortSignal): Promise<Segmentation[]> {
  const options: LoadOptions = { cache: "persistent", signal, weights: defaultWeightsInfo.url, sha256: defaultWeightsInfo.sha256 };
  if (!(await isSupported()).supported) throw new UmedsamError("device-unavailable", "nothing runs here", { cause: signal.reason });
  await preload(options);
  const model = await load({ ...options, onProgress: ({ stage, fraction }) => console.log(stage, fraction?.toFixed(2)) });
  const read: ReadImage = await readImage(file);
  const image: EncodedImage = await model.encode(read, { signal });
  (await model.encode(canvas)).dispose();
  const results = await image.segment([{ box: Float32Array.of(1, 2, 3, 4) }], { uncertainty: { samples: 0, maps: ["total"] }, alpha: 0.05 });
  for await (const { mask, outer, inner } of image.segmentEach([{ box: [1, 2, 3, 4] }])) console.log(mask.length, outer?.length, inner?.length);
  await pngOf(await windowedImage(read));
  await clearCache();
  model.dispose();
  return results;
}
