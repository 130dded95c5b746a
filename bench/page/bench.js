/**
 * `?mode=fresh&engine=umedsam|ort`: what a first visit costs, once. `?mode=warm&rounds=N`: both engines in turn, after a warm-up.
 * `&encoder=litemedsam|student`: the network; beside the student, onnxruntime-web's LiteMedSAM encodes in turn too.
 * `&threads=N` are onnxruntime-web's; `&device=webgpu`; `&brief` leaves out what needs many decodes, for an emulated GPU; `&module=umedsam_bg.wasm` is umedsam's module, by default the one it chooses itself.
 */

import { wasmBytes } from "./memory.js";
import { SIDE, startOrt, startUmedsam } from "./engines.js";

const query = new URLSearchParams(location.search);
const threads = Number(query.get("threads") ?? 1);
const device = query.get("device") ?? "cpu";
const encoder = query.get("encoder") ?? "litemedsam";
const module = query.get("module");
const brief = query.has("brief");
/** Around the heart of the sample. */
const BOX = [103, 79, 159, 135];

const bytes = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

/** The sample at the network's size, the same pixels for both. */
async function readPixels() {
  const bitmap = await createImageBitmap(await (await fetch("sample.png")).blob());
  const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d");
  context.drawImage(bitmap, 0, 0, SIDE, SIDE);
  return context.getImageData(0, 0, SIDE, SIDE);
}

async function timed(action) {
  // Lets the browser answer in between: both engines occupy this thread.
  await new Promise((resolve) => setTimeout(resolve));
  const start = performance.now();
  const result = await action();
  return [performance.now() - start, result];
}

function start(engine, files) {
  return engine === "umedsam" ? startUmedsam(files, device, module) : startOrt(files, device, threads);
}

async function readFiles(engine, encoder) {
  if (engine === "umedsam") return { weights: await bytes(`${encoder}.safetensors`) };
  return { encoder: await bytes(`${encoder}-encoder.onnx`), decoder: await bytes(`${encoder}-decoder.onnx`) };
}

/** Boxes of many sizes and places. */
function boxes(count) {
  return Array.from({ length: count }, (_, index) => {
    const [x, y] = [10 + (index % 4) * 40, 10 + Math.floor(index / 4) * 40];
    return [x, y, x + 60 + index, y + 70];
  });
}

async function fresh() {
  const engine = query.get("engine");
  const [files, pixels] = [await readFiles(engine, encoder), await readPixels()];
  const begin = performance.now();
  const running = await start(engine, files);
  await running.load();
  const load = performance.now() - begin;
  const [encode_first] = await timed(() => running.encode(pixels));
  const [decode_first] = await timed(() => running.decode([BOX]));
  const first_mask = performance.now() - begin;
  // Since the navigation began: files from the server are part of it.
  const visit_to_mask = performance.now();
  if (!brief) {
    await running.decode(boxes(16));
    await running.uncertainty(BOX);
  }
  return { engine, load, encode_first, decode_first, first_mask, visit_to_mask, peak_memory: wasmBytes() };
}

/** Name of the GPU adapter, and whether it is a real one; null without WebGPU. */
async function adapter() {
  const info = (await navigator.gpu?.requestAdapter())?.info;
  if (info === undefined) return null;
  const name = [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(" ");
  return { name, real: !info.isFallbackAdapter && !/swiftshader|llvmpipe/i.test(name) };
}

async function warm() {
  const networks = { umedsam: encoder, ort: encoder, ...(encoder === "litemedsam" ? {} : { ort_litemedsam: "litemedsam" }) };
  const engines = Object.keys(networks);
  const pixels = await readPixels();
  const running = {};
  for (const [name, network] of Object.entries(networks)) {
    const engine = name === "umedsam" ? name : "ort";
    running[name] = await start(engine, await readFiles(engine, network));
    await running[name].load();
  }
  const measures = {
    encode: (engine) => engine.encode(pixels),
    decode_1: (engine) => engine.decode([BOX]),
    // onnxruntime-web's decoder is exported for boxes alone.
    correct_1: (engine) => engine.correct?.(BOX),
    ...(brief ? {} : { decode_16: (engine) => engine.decode(boxes(16)), uncertainty_8: (engine) => engine.uncertainty(BOX) }),
  };
  const times = {};
  for (const [name, action] of Object.entries(measures)) {
    const able = engines.filter((engine) => name !== "correct_1" || running[engine].correct !== undefined);
    times[name] = Object.fromEntries(able.map((engine) => [engine, []]));
    for (let round = -1; round < Number(query.get("rounds") ?? 5); round++) {
      for (const engine of able) {
        const [time] = await timed(() => action(running[engine]));
        if (round >= 0) times[name][engine].push(time);
      }
    }
  }
  return { times, agreement: await compare(running) };
}

/** How far the engines agree, so that a fast wrong answer cannot win: DSC of each box's masks, and the largest difference of the predicted IoU. */
async function compare(running) {
  const all = brief ? [BOX] : [BOX, ...boxes(16)];
  const [ours, theirs] = [await running.umedsam.decode(all), await running.ort.decode(all)];
  const dsc = ours.map(({ mask }, index) => {
    let [both, sum] = [0, 0];
    mask.forEach((inside, pixel) => {
      both += inside & theirs[index].mask[pixel];
      sum += inside + theirs[index].mask[pixel];
    });
    return sum === 0 ? 1 : (2 * both) / sum;
  });
  const iou = ours.map((result, index) => Math.abs(result.iou - theirs[index].iou));
  return { dsc: Math.min(...dsc), iou: Math.max(...iou) };
}

const modes = { fresh, warm, adapter };
modes[query.get("mode")]().then(
  (report) => (document.getElementById("report").textContent = JSON.stringify(report)),
  (error) => {
    document.getElementById("error").hidden = false;
    document.getElementById("error").textContent = String(error.stack ?? error);
  },
);
