/** A bright disc on a dark ground, and what a call made of it. */

import { UmedsamError } from "umedsam";

export const [WIDTH, HEIGHT] = [200, 150];
export const BOX = [55, 30, 145, 120];
export const WINDOW = { center: -200, width: 1200 };

/** Signed 16-bit values. */
export function disc() {
  return Int16Array.from({ length: WIDTH * HEIGHT }, (_, index) => {
    const [x, y] = [index % WIDTH, Math.floor(index / WIDTH)];
    return Math.hypot(x - 100, y - 75) < 40 ? 300 : -700 + ((x * 7 + y * 13) % 50);
  });
}

export function input() {
  return { data: disc(), width: WIDTH, height: HEIGHT, window: WINDOW };
}

export async function failure(promise) {
  try {
    await promise;
    return ["no error", ""];
  } catch (error) {
    return error instanceof UmedsamError ? [error.code, error.message] : ["other", String(error)];
  }
}

/** The area of the disc's mask. */
export async function area(model, given = input()) {
  const image = await model.encode(given);
  const [result] = await image.segment([{ box: BOX }], { uncertainty: { samples: 0 }, zoom: "off" });
  image.dispose();
  return result.area;
}
