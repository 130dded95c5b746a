/** What callers do with buffers, realms, callbacks and workers. */

import { defaultWeightsInfo, isSupported, load } from "umedsam";
import { pngOf, readImage, windowedImage } from "umedsam/image";
import { BOX, HEIGHT, WIDTH, disc, failure } from "./disc.js";
import UmedsamWorker from "umedsam/worker?worker";

/** The area of the disc's mask. */
async function area(model, data, options = {}, box = BOX) {
  const image = await model.encode({ data, width: WIDTH, height: HEIGHT, window: { center: -200, width: 1200 }, ...options });
  const [result] = await image.segment([{ box }], { uncertainty: { samples: 0 }, zoom: "off" });
  image.dispose();
  return result.area;
}

async function buffers(model) {
  const expected = await area(model, disc());
  const later = disc();
  const changed = area(model, later);
  later.fill(0);
  const volume = new Int16Array(1 << 25);
  const slice = volume.subarray(1 << 20, (1 << 20) + WIDTH * HEIGHT);
  slice.set(disc());
  const before = await area(model, slice);
  const frame = document.createElement("iframe");
  document.body.append(frame);
  const other = frame.contentWindow;
  const picture = await windowedImage({ data: disc(), width: WIDTH, height: HEIGHT, window: { center: -200, width: 1200 } });
  const otherPicture = new other.ImageData(new other.Uint8ClampedArray(picture.data), WIDTH, HEIGHT);
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
  const shared = new Int16Array(memory.buffer, 0, WIDTH * HEIGHT);
  shared.set(disc());
  const gone = disc();
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  const report = {
    expected,
    changed: await changed,
    slice: before,
    volume_is_whole: volume.length === 1 << 25,
    realm: await area(model, other.Int16Array.from(disc())),
    realm_picture: await area(model, otherPicture, { window: "auto", width: undefined, height: undefined }),
    shared: await area(model, shared),
    float64: await area(model, Float64Array.from(disc())),
    int32: await area(model, Int32Array.from(disc())),
    uint32: await area(model, Uint32Array.from(disc(), (value) => value + 1000), { window: { center: 800, width: 1200 } }),
    inverted: await area(model, disc().map((value) => -value), { window: { center: 200, width: 1200 }, invert: true }),
    typed_box: await area(model, disc(), {}, Float32Array.from(BOX)),
    detached: await failure(area(model, gone)),
    nothing: await failure(model.encode(null)),
    bigint: await failure(model.encode({ data: new BigInt64Array(4), width: 2, height: 2 })),
  };
  frame.remove();
  const image = await model.encode({ data: disc(), width: WIDTH, height: HEIGHT });
  report.no_array = await failure(image.segment({ box: BOX }));
  report.no_box = await failure(image.segment([{}]));
  const [small] = await image.segment([{ box: [90, 65, 110, 80] }], { zoom: "on", uncertainty: { samples: 0 } });
  report.zoom = [small.zoom !== null && small.zoom.width < WIDTH, small.mask.length];
  report.bad_zoom = await failure(image.segment([{ box: BOX }], { zoom: "maybe" }));
  image.dispose();
  return report;
}

async function callbacks(model) {
  const own = new Error("the caller's");
  const fail = () => {
    throw own;
  };
  const caught = async (promise) => {
    try {
      await promise;
      return false;
    } catch (error) {
      return error === own;
    }
  };
  return {
    load: await caught(load({ device: "cpu", onProgress: fail })),
    encode: await caught(model.encode({ data: disc(), width: WIDTH, height: HEIGHT }, { onProgress: fail })),
    afterwards: (await area(model, disc())) > 0,
  };
}

/** How many requests for weights there were. */
function weightsRequests() {
  return performance.getEntriesByType("resource").filter(({ name }) => name.includes("safetensors")).length;
}

async function workers() {
  const before = weightsRequests();
  const blocked = await failure(
    load({
      worker: () => {
        throw new DOMException("cross-origin", "SecurityError");
      },
    }),
  );
  const silent = await failure(load({ worker: () => new Worker(new URL("./silent.js", import.meta.url), { type: "module" }) }));
  const broken = await failure(load({ worker: () => new Worker("/no-such-worker.js", { type: "module" }) }));
  const downloads = weightsRequests() - before;
  const one = new UmedsamWorker();
  const first = load({ worker: () => one, device: "cpu" });
  const second = await failure(load({ worker: () => one, device: "cpu" }));
  const model = await first;
  const works = (await area(model, disc())) > 0;
  model.dispose();
  return { blocked, silent, broken, downloads, second, works };
}

/** Peak memory after loads that were aborted, beside that of one load alone. */
async function aborted() {
  const memory = async (model) => {
    const bytes = await model.memoryBytes();
    model.dispose();
    return bytes;
  };
  const alone = await memory(await load({ device: "cpu", worker: false }));
  // While weights download, when the network is set up, and a moment later, when the load may have ended.
  const moments = [
    ["weights", (stop) => stop.abort()],
    ["model", (stop) => stop.abort()],
    ["model", (stop) => setTimeout(() => stop.abort(), 0)],
  ];
  for (const [when, end] of moments) {
    const stop = new AbortController();
    const loading = load({ device: "cpu", worker: false, signal: stop.signal, onProgress: ({ stage }) => stage === when && end(stop) });
    await loading.then(
      (model) => model.dispose(),
      () => {},
    );
  }
  return { alone, after: await memory(await load({ device: "cpu", worker: false })) };
}

async function files() {
  const picture = new ImageData(Uint8ClampedArray.from({ length: 4 * 6 * 5 }, (_, index) => (index % 4 === 3 ? 255 : index * 2)), 6, 5);
  const png = await pngOf(picture);
  const { data, width, height, channels } = await readImage(png);
  const colours = picture.data.filter((_, index) => index % 4 !== 3);
  const bytes = new Uint8Array(await png.arrayBuffer());
  return {
    same: width === 6 && height === 5 && channels === 3 && data.every((value, index) => value === colours[index]),
    cut: await failure(readImage(bytes.subarray(0, bytes.length - 20))),
    pdf: await failure(readImage(new Blob(["%PDF-1.7"]))),
    number: await failure(readImage(7)),
  };
}

/** Values that each option does not take: a typed error names the option. */
const WRONG = {
  segment: {
    alpha: [null, "0.1", 0, 1, Number.NaN, {}],
    delta: [null, "0.1", 0, 1, Number.NaN, {}],
    calibrated: [null, "false", 0],
    mask: [null, "outline", true, 1n],
    zoom: [null, "close", false],
    uncertainty: [null, false, "none", [], 8],
    signal: [null, {}, "stop"],
    onProgress: [null, "log"],
    uncertanty: [{}], // misspelled on purpose
  },
  uncertainty: {
    samples: [null, "8", -1, 65, 1.5, Number.NaN],
    jitter: [null, "5", -1, 21],
    multimask: [null, true, 2],
    flips: [null, "yes", 1],
    seed: [null, -1, 0.5, "a"],
    maps: [null, "total", ["entropy"], [1]],
    sample: [8],
  },
  encode: {
    width: [null, "200", 0, 1.5, Number.NaN, -3],
    height: [null, "150", 40_000],
    channels: [null, 5, "1", 0],
    invert: [null, "yes", 1],
    window: [null, 7, "bright", {}, { center: 1 }, { center: "a", width: 3 }, { percentiles: [1] }],
    chanels: [1], // misspelled on purpose
  },
  encode_options: { onProgress: [null, "log"], signal: [null, 7], progress: [() => {}] },
  load: {
    device: [null, "abacus", 1],
    worker: [null, "yes", 1],
    onProgress: [null, "log"],
    signal: [null, {}],
    sha256: [null, "abc", 7],
    wasmUrl: [null, 7, ""],
    baseUrl: [null, 7, "http://["],
    cache: [null, true, "disk"],
    weights: [null, 7, true],
    devise: ["cpu"],
  },
};

async function options(model) {
  const input = { data: disc(), width: WIDTH, height: HEIGHT };
  const image = await model.encode(input);
  const prompts = [{ box: BOX }];
  const calls = {
    segment: (option) => image.segment(prompts, option),
    uncertainty: (option) => image.segment(prompts, { uncertainty: option }),
    encode: (option) => model.encode({ ...input, ...option }),
    encode_options: (option) => model.encode(input, option),
    load: (option) => load(option),
  };
  const unexpected = [];
  for (const [call, wrong] of Object.entries(WRONG)) {
    for (const [key, values] of Object.entries(wrong)) {
      for (const value of values) {
        const [code, message] = await failure(calls[call]({ [key]: value }));
        if (!code.startsWith("invalid-") || !(message.includes(key) || code === "invalid-window")) {
          unexpected.push(`${call} ${key} ${String(value)}: ${code} ${message}`);
        }
      }
    }
  }
  for (const nothing of [null, 7, "all", []]) {
    for (const [name, call] of [
      ["segment", () => image.segment(prompts, nothing)],
      ["encode", () => model.encode(nothing)],
      ["load", () => load(nothing)],
      ["prompt", () => image.segment([nothing])],
    ]) {
      const [code] = await failure(call());
      if (!code.startsWith("invalid-")) unexpected.push(`${name} ${String(nothing)}: ${code}`);
    }
  }
  image.dispose();
  return unexpected;
}

/** A crash rejects the call and those that wait, and a new load works, on either thread. */
async function crashes() {
  const report = {};
  for (const worker of [true, false]) {
    const model = await load({ device: "cpu", worker });
    const image = await model.encode({ data: disc(), width: WIDTH, height: HEIGHT });
    const [crash, waiting] = await Promise.all([failure(model.crashForTest()), failure(image.segment([{ box: BOX }]))]);
    const later = await failure(model.encode({ data: disc(), width: WIDTH, height: HEIGHT }));
    image.dispose();
    model.dispose();
    const again = await load({ device: "cpu", worker });
    report[worker ? "worker" : "inline"] = { crash, waiting, later, again: (await area(again, disc())) > 0 };
    again.dispose();
  }
  return report;
}

/** Browsers that cannot run the module. */
async function incapable() {
  const { WebAssembly: real } = globalThis;
  const { validate } = real;
  const found = {};
  globalThis.WebAssembly = undefined;
  found.none = await failure(load({ device: "cpu" }));
  found.none_supported = (await isSupported()).supported;
  globalThis.WebAssembly = real;
  real.validate = () => false;
  found.old = await failure(load({ device: "cpu", worker: false }));
  real.validate = validate;
  return found;
}

export async function habits() {
  const model = await load({ device: "cpu" });
  const report = { buffers: await buffers(model), callbacks: await callbacks(model), files: await files() };
  report.options = await options(model);
  report.support = await isSupported();
  report.incapable = await incapable();
  report.default_weights = { bytes: defaultWeightsInfo.bytes, url: defaultWeightsInfo.url.href.includes("safetensors") };
  report.requests = (await model.requests()).some((name) => name.endsWith(".wasm"));
  model.dispose();
  // With threads of this page's own, in which nothing else has loaded a network yet.
  report.aborted = await aborted();
  report.workers = await workers();
  report.crashes = await crashes();
  return report;
}
