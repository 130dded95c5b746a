/** The two engines with the same network behind the same few calls. Both run on the calling thread, on 256×256 pixels, so that no resizing is timed. */

export const SIDE = 256;
const SAMPLES = 8;
const JITTER = 5;

/** umedsam's package. */
export async function startUmedsam(files, device, module) {
  const { load } = await import("./umedsam/index.js");
  let model;
  let image;
  let previous;
  return {
    load: async () => {
      const wasm = module === null ? {} : { wasmUrl: `umedsam/wasm/${module}` };
      model = await load({ weights: files.weights, device, worker: false, ...wasm });
    },
    encode: async (pixels) => {
      image?.dispose();
      image = await model.encode({ data: pixels });
    },
    decode: async (boxes) => {
      const results = await image.segment(boxes.map((box) => ({ box })), { uncertainty: { samples: 0, maps: [] } });
      return results.map(({ mask, predictedIou }) => ({ mask, iou: predictedIou }));
    },
    /** A click that corrects the mask of a box; the mask itself is found beforehand. */
    correct: async (box) => {
      previous ??= (await image.segment([{ box }], { uncertainty: { samples: 0, maps: [] } }))[0].lowRes;
      const points = [{ x: box[0] + 5, y: box[1] + 5, label: "background" }];
      await image.segment([{ box, points, previous }], { uncertainty: { samples: 0, maps: [] } });
    },
    uncertainty: async (box) => {
      const [result] = await image.segment([{ box }], { uncertainty: { samples: SAMPLES, jitter: JITTER } });
      return result.uncertainty;
    },
  };
}

/** onnxruntime-web on its wasm or WebGPU backend, with the pre- and postprocessing that a user has to write. */
export async function startOrt(files, device, threads) {
  const onGpu = device === "webgpu";
  const ort = await import(onGpu ? "./ort/ort.webgpu.min.mjs" : "./ort/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL("ort/", location.href).href;
  let encoder;
  let decoder;
  let embedding;
  const decodeOne = async ([x0, y0, x1, y1]) => {
    const b = new ort.Tensor("float32", Float32Array.of(x0, y0, x1, y1), [1, 1, 4]);
    const { low, iou } = await decoder.run({ e: embedding, b });
    return { logits: low.data, iou: iou.data[0] };
  };
  return {
    load: async () => {
      const options = { executionProviders: [onGpu ? "webgpu" : "wasm"] };
      // The embedding stays where the decoder needs it.
      const output = onGpu ? { preferredOutputLocation: { e: "gpu-buffer" } } : {};
      encoder = await ort.InferenceSession.create(files.encoder, { ...options, ...output });
      decoder = await ort.InferenceSession.create(files.decoder, options);
    },
    encode: async (pixels) => {
      const x = new ort.Tensor("float32", toInput(pixels), [1, 3, SIDE, SIDE]);
      embedding?.dispose();
      ({ e: embedding } = await encoder.run({ x }));
      if (onGpu) await (await ort.env.webgpu.device).queue.onSubmittedWorkDone();
    },
    decode: async (boxes) => {
      const results = [];
      for (const box of boxes) {
        const { logits, iou } = await decodeOne(box);
        results.push({ mask: Uint8Array.from(logits, (logit) => Number(logit > 0)), iou });
      }
      return results;
    },
    uncertainty: async (box) => {
      const members = [];
      for (let sample = 0; sample <= SAMPLES; sample++) {
        const shift = () => (sample === 0 ? 0 : (Math.random() * 2 - 1) * JITTER);
        members.push((await decodeOne(box.map((side) => side + shift()))).logits);
      }
      return entropies(members);
    },
  };
}

/** RGBA to channels-first values in 0–1, by the smallest and largest. */
function toInput({ data }) {
  const pixels = SIDE * SIDE;
  let [low, high] = [255, 0];
  for (let index = 0; index < data.length; index++) {
    if (index % 4 === 3) continue;
    low = Math.min(low, data[index]);
    high = Math.max(high, data[index]);
  }
  const input = new Float32Array(3 * pixels);
  const scale = 1 / Math.max(high - low, 1e-8);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let channel = 0; channel < 3; channel++) input[channel * pixels + pixel] = (data[4 * pixel + channel] - low) * scale;
  }
  return input;
}

/** Entropy of the mean and mean entropy, in bits. */
function entropies(members) {
  const entropy = (p) => (p <= 0 || p >= 1 ? 0 : -(p * Math.log2(p) + (1 - p) * Math.log2(1 - p)));
  const total = new Float32Array(SIDE * SIDE);
  const aleatoric = new Float32Array(SIDE * SIDE);
  for (let pixel = 0; pixel < total.length; pixel++) {
    let mean = 0;
    let sum = 0;
    for (const logits of members) {
      const p = 1 / (1 + Math.exp(-logits[pixel]));
      mean += p / members.length;
      sum += entropy(p) / members.length;
    }
    total[pixel] = entropy(mean);
    aleatoric[pixel] = sum;
  }
  return { total, aleatoric, epistemic: total.map((value, pixel) => value - aleatoric[pixel]) };
}
