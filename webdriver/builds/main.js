/** Segments a disc, and says how many pixels its mask has. */

import { load } from "umedsam";

const [WIDTH, HEIGHT] = [96, 64];
const data = Uint8Array.from({ length: WIDTH * HEIGHT }, (_, i) =>
  Math.hypot((i % WIDTH) - 48, Math.floor(i / WIDTH) - 32) < 20 ? 220 : 30,
);

export async function area(options) {
  const model = await load({ device: "cpu", ...options });
  const image = await model.encode({ data, width: WIDTH, height: HEIGHT });
  const [result] = await image.segment([{ box: [26, 10, 70, 54] }], { uncertainty: { samples: 0 } });
  model.dispose();
  return result.area;
}

export function report(promise) {
  promise
    .then(String, (error) => `${error.code ?? error.name}: ${error.message}`)
    .then((text) => (document.getElementById("report").textContent = text));
}
