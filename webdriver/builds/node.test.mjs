// The package in Node.js: `node --test`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { UmedsamError, isSupported, load } from "umedsam";
import { readImage } from "umedsam/image";

const [WIDTH, HEIGHT] = [96, 64];
const data = Uint8Array.from({ length: WIDTH * HEIGHT }, (_, i) => (Math.hypot((i % WIDTH) - 48, Math.floor(i / WIDTH) - 32) < 20 ? 220 : 30));

test("the CPU segments, and is what auto takes", async () => {
  assert.equal((await isSupported()).device, "cpu");
  const stages = new Set();
  const model = await load({ worker: false, device: "auto", onProgress: ({ stage }) => stages.add(stage) });
  assert.equal(model.info.device.kind, "cpu");
  assert.match(model.info.device.reason, /no WebGPU/);
  assert.deepEqual([...stages].sort(), ["model", "module", "weights"]);
  const image = await model.encode({ data, width: WIDTH, height: HEIGHT });
  const [result] = await image.segment([{ box: [26, 10, 70, 54] }]);
  assert.ok(Math.abs(result.area / (Math.PI * 20 * 20) - 1) < 0.1, `the disc has ${result.area} pixels`);
  model.dispose();
});

test("files are read", async () => {
  const gif = Buffer.from("R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=", "base64");
  const { width, height } = await readImage(gif);
  assert.deepEqual([width, height], [1, 1]);
  await assert.rejects(readImage(Buffer.from("%PDF-1.7")), /PDF/);
});

test("what Node.js has not is said", async () => {
  await assert.rejects(load(), (error) => error instanceof UmedsamError && error.code === "worker-failed" && error.message.includes("worker: false"));
  await assert.rejects(load({ worker: false, weights: new URL("file:///nothing.safetensors") }), /nothing\.safetensors could not be read/);
  await assert.rejects(load({ worker: false, device: "webgpu" }), (error) => error.code === "device-unavailable");
});
