// Times of a built package in Node.js, on one thread without relaxed SIMD: `node bench/node.mjs PACKAGE`, such as target/package/dist after `cargo xtask package`. Medians, in ms.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const folder = resolve(process.argv[2]);
const { load } = await import(pathToFileURL(`${folder}/dist/index.js`));
const model = await load({ worker: false, device: "cpu", weights: new Uint8Array(readFileSync(`${folder}/weights/umedsam-student-i8.safetensors`)) });
const [width, height] = [512, 512];
const data = Uint8Array.from({ length: width * height }, (_, pixel) =>
  Math.hypot((pixel % width) - 260, Math.floor(pixel / width) - 250) < 90 ? 200 : 60 + ((pixel * 7919) % 23),
);
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1].toFixed(1);
const timed = async (times, work) => {
  const taken = [];
  for (let round = 0; round < times; round++) {
    const start = performance.now();
    await work(round);
    taken.push(performance.now() - start);
  }
  return median(taken);
};
let image;
const encode = await timed(5, async () => {
  image?.dispose();
  image = await model.encode({ data, width, height, channels: 1 });
});
const options = { uncertainty: { samples: 0, maps: [] } };
const box = [170, 160, 350, 340];
let [result] = await image.segment([{ box }], options);
const correct = (round) => image.segment([{ box, points: [{ x: 260, y: 250 + round }], previous: result.lowRes }], options);
const first = await timed(1, correct);
const decode = await timed(15, async () => ([result] = await image.segment([{ box }], options)));
console.log(`encode ${encode}, a box ${decode}, a correction ${await timed(15, correct)}, the first correction of an image ${first}`);
process.exit(0);
