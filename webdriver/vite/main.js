import { UmedsamError, load } from "umedsam";
import { HEIGHT, WIDTH, disc } from "./disc.js";
import { corrections } from "./corrections.js";
import { files } from "./files.js";
import { habits } from "./habits.js";
import { loading } from "./loading.js";
import { propagation } from "./propagation.js";
import { running } from "./running.js";
import fixedWidthModule from "umedsam/umedsam_bg.wasm?url";

async function code(promise) {
  try {
    await promise;
    return "no error";
  } catch (error) {
    return error instanceof UmedsamError ? error.code : `${error}`;
  }
}

/** What the module without relaxed SIMD says of the disc. */
async function fixedWidth() {
  const model = await load({ device: "cpu", wasmUrl: fixedWidthModule });
  const image = await model.encode({ data: disc(), width: WIDTH, height: HEIGHT, window: { center: -200, width: 1200 } });
  const [{ area }] = await image.segment([{ box: [55, 30, 145, 120] }]);
  const { wasmUrl } = model.info;
  model.dispose();
  return { area, wasmUrl };
}

async function run() {
  const report = {
    corrections: await corrections(),
    files: await files(),
    habits: await habits(),
    running: await running(),
    propagation: await propagation(),
    loading: await loading(),
  };
  for (const worker of [true, false]) {
    const progress = new Set();
    const options = { device: "cpu", worker };
    const model = await load({ ...options, onProgress: ({ stage }) => progress.add(stage) });
    const input = { data: disc(), width: WIDTH, height: HEIGHT, window: { center: -200, width: 1200 } };
    const image = await model.encode(input, { onProgress: ({ stage }) => progress.add(stage) });
    // Two calls at once, the second aborted while it waits.
    const abort = new AbortController();
    const [outside, aborted] = await Promise.all([
      code(image.segment([{ box: [55, 30, 145, 120] }, { box: [300, -20, 400, 90] }])),
      code(image.segment([{ box: [0, 0, 9, 9] }], { signal: abort.signal })),
      abort.abort(),
    ]);
    const [result] = await image.segment([{ box: [55, 30, 145, 120] }]);
    const errors = {
      box: await code(image.segment([{ box: [NaN, 0, 1, 1] }])),
      shape: await code(image.segment([{ box: [1, 2] }])),
      alpha: await code(image.segment([{ box: [0, 0, 9, 9] }], { alpha: 2 })),
      samples: await code(image.segment([{ box: [0, 0, 9, 9] }], { uncertainty: { samples: 1000 } })),
      image: await code(model.encode({ data: new Uint8Array(7), width: 2, height: 2 })),
      window: await code(model.encode({ ...input, window: "bright" })),
    };
    const [few] = await image.segment([{ box: [55, 30, 145, 120] }], {
      uncertainty: { samples: 2, seed: 3, jitter: undefined, maps: ["epistemic"] },
      alpha: 0.2,
    });
    // An encode aborted while it runs leaves nothing behind and does not disturb the next call.
    const stop = new AbortController();
    const dropped = code(model.encode(input, { signal: stop.signal, onProgress: () => stop.abort() }));
    const next = image.segment([{ box: [55, 30, 145, 120] }], { uncertainty: { samples: 0 } });
    errors.encode_aborted = await dropped;
    const same_mask = (await next)[0].mask.every((inside, index) => inside === result.mask[index]);
    image.dispose();
    errors.image_disposed = await code(image.segment([{ box: [0, 0, 9, 9] }]));
    const memory = await model.memoryBytes();
    model.dispose();
    errors.model_disposed = await code(model.encode(input));
    report[worker ? "worker" : "inline"] = {
      outside,
      aborted,
      area: result.area,
      sizes: [result.mask.length, result.probability.length, result.uncertainty.total.length],
      types: [result.mask.constructor.name, result.probability.constructor.name, result.uncertainty.total.constructor.name],
      maps: Object.entries(few.uncertainty).map(([name, map]) => [name, map?.length ?? null]),
      few: [few.calibration, few.outer, few.inner],
      default: [result.calibration, result.outer, result.shift.alarm, result.needsReview, result.expectedDsc > 0.8],
      same_mask,
      info: model.info,
      progress: [...progress].sort(),
      memory,
      errors,
    };
  }
  report.fixed_width = await fixedWidth();
  // Loading on WebGPU computes a known answer with every kernel of the network.
  const onGpu = await load({ device: "webgpu" });
  report.webgpu = onGpu.info.device.kind;
  onGpu.dispose();
  report.loads = {
    missing: await code(load({ weights: "nothing.safetensors" })),
    page: await code(load({ weights: "index.html" })),
    truncated: await code(
      fetch("weights.safetensors")
        .then((response) => response.arrayBuffer())
        .then((bytes) => load({ weights: bytes.slice(0, 1000), device: "cpu" })),
    ),
    hash: await code(load({ weights: "weights.safetensors", sha256: "0".repeat(64) })),
    device: await code(load({ weights: "weights.safetensors", device: "abacus" })),
    aborted: await code(load({ weights: "weights.safetensors", signal: AbortSignal.abort() })),
    number: await code(load({ weights: 7 })),
    wasm: await code(load({ weights: "weights.safetensors", device: "cpu", wasmUrl: "nothing.wasm" })),
  };
  return report;
}

run().then(
  (report) => (document.getElementById("report").textContent = JSON.stringify(report)),
  (error) => (document.getElementById("report").textContent = `failed: ${error.stack}`),
);
