/** A ball followed through a volume. */

import { load } from "umedsam";
import { EncodedSlices, VolumeSegmentation, propagate } from "umedsam/propagation";
import { failure } from "./disc.js";

const [WIDTH, HEIGHT, SLICES, MIDDLE, RADIUS] = [96, 80, 25, 12, 22];
const BOX = [28, 16, 72, 60];

const isInside = (pixel, slice) => Math.hypot((pixel % WIDTH) + 0.5 - 50, Math.floor(pixel / WIDTH) + 0.5 - 38, (slice - MIDDLE) * 3) < RADIUS;

function source() {
  const asked = [];
  const slice = async (index) => {
    asked.push(index);
    const data = Int16Array.from({ length: WIDTH * HEIGHT }, (_, pixel) =>
      isInside(pixel, index) ? 300 : -700 + (((pixel * 7919 + index * 104729) % 23) + (pixel % WIDTH)) * 3,
    );
    return { data, width: WIDTH, height: HEIGHT, window: { center: -200, width: 1200 } };
  };
  return { asked, slices: SLICES, slice };
}

const prompt = { slice: MIDDLE, prompt: { box: BOX } };

async function follow(model, prompts, options = {}) {
  const volume = source();
  const found = [];
  const progress = [];
  await propagate(model, volume, prompts, {
    onSlice: (slice) => found.push(slice),
    onProgress: (done, atMost) => progress.push([done, atMost]),
    ...options,
  });
  return { volume, found, progress };
}

/** Prompts and options that are refused: what, the code, and a part of the message. */
const WRONG = [
  [{}, {}, "invalid-option", "slice"],
  [{ slice: 25, prompt: { box: BOX } }, {}, "invalid-option", "slices 0 to 24"],
  [{ slice: 2, prompt: {} }, {}, "invalid-prompt", "nothing to go by"],
  [{ slice: 2, prompt: { box: [500, 0, 600, 9] } }, {}, "invalid-box", "500"],
  [{ slice: 2, prompt: { box: BOX }, range: [3, 4] }, {}, "invalid-option", "range is 3 to 4"],
  [{ slice: 2, prompt: { box: BOX }, range: 3 }, {}, "invalid-option", "[first, last]"],
  [{ slice: 2, prompt: { box: BOX }, stop: { presence: 2 } }, {}, "invalid-option", "stop.presence"],
  [{ slice: 2, prompt: { box: BOX }, stop: { dsc: 0.5 } }, {}, "invalid-option", "stop.dsc"],
  [{ slice: 2, prompt: { box: BOX }, boxes: [] }, {}, "invalid-prompt", "boxes"],
  [prompt, { alpha: 3 }, "invalid-option", "alpha"],
  [prompt, { onDone() {} }, "invalid-option", "onDone"],
];

export async function propagation() {
  const model = await load({ device: "cpu" });
  const { volume, found, progress } = await follow(model, [prompt]);
  const kept = new VolumeSegmentation({ width: WIDTH, height: HEIGHT, slices: SLICES });
  for (const slice of found) kept.put(slice);
  const labels = kept.labels();
  let [both, all] = [0, 0];
  for (let slice = 0; slice < SLICES; slice++) {
    for (let pixel = 0; pixel < WIDTH * HEIGHT; pixel++) {
      const [truth, label] = [isInside(pixel, slice), labels[slice * WIDTH * HEIGHT + pixel] === 1];
      if (truth && label) both++;
      all += Number(truth) + Number(label);
    }
  }
  const report = {
    dsc: (2 * both) / all,
    order: found.map(({ slice }) => slice),
    asked: volume.asked,
    ends: found.filter(({ end }) => end !== null).map(({ slice, end }) => [slice, end]),
    guaranteed: found.filter(({ segmentation }) => segmentation.outer !== null).map(({ slice }) => slice),
    alarms: found.every(({ segmentation }) => segmentation.shift.alarm && segmentation.needsReview),
    progress: progress.every(([done, atMost]) => done <= atMost) && progress.at(-1)[0] === found.length && progress.at(-1)[1] === found.length,
    volume: kept.volume(0, 2),
    reviewed: kept.toReview().every(({ expectedDsc }, index, list) => index === 0 || expectedDsc >= list[index - 1].expectedDsc),
  };
  // A correction on one slice, and on from there one way, on slices that are kept.
  const shared = source();
  const encoded = new EncodedSlices(model, shared, 4);
  await propagate(model, shared, [{ ...prompt, range: [10, 14] }], { encoded, onSlice: (slice) => void kept.put(slice) });
  const before = shared.asked.length;
  await propagate(model, shared, [{ slice: 11, prompt: { box: BOX }, range: [10, 11] }], { encoded, onSlice: (slice) => void kept.put(slice) });
  report.again = [before, shared.asked.length];
  encoded.dispose();
  report.disposed = (await failure(encoded.get(1)))[0];
  // Ended by its caller in the middle: what was told stays, nothing is held.
  const abort = new AbortController();
  const told = [];
  const aborted = failure(
    propagate(model, source(), [prompt], {
      signal: abort.signal,
      onSlice: ({ slice }) => {
        told.push(slice);
        if (told.length === 3) abort.abort();
      },
    }),
  );
  report.aborted = [(await aborted)[0], told];
  report.thrown = await failure(propagate(model, source(), [prompt], { onSlice: () => Promise.reject(new Error("full")) }));
  report.source = await failure(propagate(model, { slices: 25, slice: () => Promise.reject(new Error("unread")) }, [prompt]));
  report.unexpected = [];
  for (const [given, options, code, part] of WRONG) {
    const [actual, message] = await failure(propagate(model, source(), [given], options));
    if (actual !== code || !message.includes(part)) report.unexpected.push([part, actual, message]);
  }
  report.after = (await follow(model, [prompt, { slice: MIDDLE, prompt: { box: [60, 2, 90, 20] } }].map((one) => ({ ...one, range: [11, 13] })))).volume.asked;
  model.dispose();
  report.late = (await failure(follow(model, [prompt])))[0];
  return report;
}
