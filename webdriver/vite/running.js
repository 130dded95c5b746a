/** What happens while the network runs, what images may come from, and who frees them. */

import { load } from "umedsam";
import { pngOf, windowedImage } from "umedsam/image";
import { BOX, area, failure, input } from "./disc.js";

/** How soon another call has its answer after an encode is aborted, as a share of an encode. */
async function abort(worker) {
  const model = await load({ device: "cpu", worker });
  const start = performance.now();
  (await model.encode(input())).dispose();
  const whole = performance.now() - start;
  const stop = new AbortController();
  const reason = new Error("not wanted any more");
  let aborted = 0;
  const begun = model.encode(input(), {
    signal: stop.signal,
    onProgress: () => {
      aborted ||= performance.now();
      stop.abort(reason);
    },
  });
  const error = await begun.catch((error) => error);
  await model.memoryBytes();
  const share = (performance.now() - aborted) / whole;
  const image = await model.encode(input());
  const many = Array.from({ length: 12 }, () => ({ box: BOX }));
  const stopSegment = new AbortController();
  const segmenting = image.segment(many, { signal: stopSegment.signal, onProgress: () => stopSegment.abort() });
  const segment = await failure(segmenting);
  const works = (await image.segment([{ box: BOX }])).length === 1;
  model.dispose();
  return { error: [error.name, error.code, error.cause === reason], share, segment: segment[0], works };
}

/** Shares of a segmentation that are told, of two boxes with large ensembles. */
async function progress(model) {
  const image = await model.encode(input());
  const shares = [];
  await image.segment([{ box: BOX }, { box: BOX }], { uncertainty: { samples: 30 }, onProgress: ({ stage, fraction }) => shares.push([stage, fraction]) });
  image.dispose();
  return {
    told: shares.length,
    rising: shares.every(([, share], index) => index === 0 || share >= shares[index - 1][1]),
    last: shares.at(-1)?.[1],
    stages: [...new Set(shares.map(([stage]) => stage))],
  };
}

async function sources(model) {
  const picture = await windowedImage(input());
  const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
  canvas.getContext("2d").putImageData(picture, 0, 0);
  const offscreen = new OffscreenCanvas(picture.width, picture.height);
  offscreen.getContext("2d").putImageData(picture, 0, 0);
  // A canvas with a context of another kind cannot be asked for its pixels.
  const webgl = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
  const renderer = webgl.getContext("bitmaprenderer");
  renderer.transferFromImageBitmap(await createImageBitmap(picture));
  const file = await pngOf(picture);
  const element = new Image();
  element.src = "disc.png";
  const frame = new VideoFrame(canvas, { timestamp: 0 });
  const closed = await createImageBitmap(picture);
  closed.close();
  const given = {
    picture,
    canvas,
    offscreen,
    renderer: webgl,
    bitmap: await createImageBitmap(picture),
    element,
    frame,
    file,
    described: { data: file, window: "min-max" },
  };
  const areas = {};
  for (const [name, source] of Object.entries(given)) areas[name] = await area(model, source).catch((error) => String(error));
  frame.close();
  const inverted = await model.encode({ data: canvas, invert: true });
  inverted.dispose();
  return {
    areas,
    closed: await failure(model.encode(closed)),
    empty: await failure(model.encode(Object.assign(document.createElement("canvas"), { width: 0 }))),
    broken: await failure(model.encode(Object.assign(new Image(), { src: "index.html" }))),
    option: await failure(model.encode({ data: canvas, invert: "yes" })),
    text: await failure(model.encode("picture.png")),
  };
}

/** `using` frees, and so does the garbage collector. */
async function disposal() {
  const model = await load({ device: "cpu" });
  const image = await model.encode(input());
  image[Symbol.dispose]();
  const using = [(await failure(image.segment([{ box: BOX }])))[0]];
  const rounds = async (count, use) => {
    for (let round = 0; round < count; round++) {
      await use();
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return model.memoryBytes();
  };
  const before = await rounds(3, async () => (await model.encode(input())).dispose());
  const after = await rounds(12, async () => void (await model.encode(input())));
  await model[Symbol.asyncDispose]();
  using.push((await failure(model.encode(input())))[0]);
  let terminated = 0;
  const { terminate } = Worker.prototype;
  Worker.prototype.terminate = function () {
    terminated++;
    terminate.call(this);
  };
  await (async () => void (await load({ device: "cpu" })))();
  for (let wait = 0; wait < 50 && terminated === 0; wait++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  Worker.prototype.terminate = terminate;
  return { using, before, after, terminated };
}

/** The network's memory before and after many segmentations, and how many of their results are still there when nobody holds them. */
async function flat(model) {
  const image = await model.encode(input());
  const results = [];
  const segment = async (times) => {
    for (let time = 0; time < times; time++) {
      const [{ mask }] = await image.segment([{ box: BOX }], { uncertainty: { samples: 0 } });
      results.push(new WeakRef(mask));
    }
  };
  await segment(5);
  const before = await model.memoryBytes();
  await segment(60);
  for (let round = 0; round < 5; round++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const after = await model.memoryBytes();
  image.dispose();
  return { before, after, kept: results.filter((result) => result.deref() !== undefined).length };
}

/** Sizes that do not fit are refused before work, and box by box they work. */
async function sizes(model) {
  const side = 6000;
  const image = await model.encode({ data: new Uint8Array(side * side).map((_, index) => (index % side) >> 5), width: side, height: side });
  const box = [1000, 1000, 3000, 3000];
  const prompts = [{ box }, { box }, { box }, { box }];
  const refused = await failure(image.segment(prompts, { uncertainty: { samples: 0 } }));
  const each = [];
  for await (const { mask } of image.segmentEach(prompts.slice(0, 2), { uncertainty: { samples: 0, maps: [] } })) each.push(mask.length);
  image.dispose();
  const large = await model.encode({ data: new Uint8Array(12_000 * 12_000), width: 12_000, height: 12_000 }).then(
    (image) => failure(image.segment([{ box }])),
    (error) => [error.code, error.message],
  );
  return { refused, each, large, works: (await area(model)) > 0 };
}

export async function running() {
  const report = { abort: { worker: await abort(true), inline: await abort(false) } };
  const model = await load({ device: "cpu" });
  report.progress = await progress(model);
  report.sources = await sources(model);
  report.flat = await flat(model);
  model.dispose();
  const another = await load({ device: "cpu" });
  report.sizes = await sizes(another);
  another.dispose();
  report.disposal = await disposal();
  return report;
}
