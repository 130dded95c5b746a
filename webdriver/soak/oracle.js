/**
 * A worker that knows every right answer: each is that of a network that was loaded for it and did nothing else, on the CPU. Answers are named
 * `weights/subject/question` or `weights/subject/correction+correction`, with `!` at the end after a refinement.
 */

import { load } from "./umedsam/dist/index.js";
import { REFINED_OPTIONS, STEP_OPTIONS, corrected, question, subject } from "./subjects.js";

const answers = new Map();
let files = {};

async function fresh(key) {
  const [name, number, asked] = key.split("/");
  const model = await load({ device: "cpu", ...(files[name] && { weights: files[name] }) });
  try {
    const image = await model.encode(subject(number));
    if (!asked.startsWith("+")) {
      const { prompts, options } = question(asked, number);
      return await image.segment(prompts, options);
    }
    const names = asked.replace("!", "").slice(1).split("+");
    let before;
    for (let steps = 1; steps <= names.length; steps++) {
      const prompt = corrected(names.slice(0, steps), number, before);
      const isRefined = steps === names.length && asked.endsWith("!");
      [before] = await image.segment([prompt], isRefined ? REFINED_OPTIONS : STEP_OPTIONS);
    }
    return [before];
  } finally {
    model.dispose();
  }
}

/** Where two answers differ: in anything, but for how long they took, or by more than a tolerance. */
function difference(found, right, tolerance, path = "") {
  if (ArrayBuffer.isView(right)) {
    if (found?.constructor !== right.constructor || found.length !== right.length) return `${path} is of another type or length`;
    // Masks may differ where a value is just at their threshold.
    const isMask = right instanceof Uint8Array;
    let different = 0;
    for (let index = 0; index < right.length; index++) {
      const distance = Math.abs(found[index] - right[index]);
      if (distance > (isMask ? 0 : tolerance * Math.max(1, Math.abs(right[index])))) different++;
      if (Number.isNaN(distance) && !Object.is(found[index], right[index])) different++;
    }
    const allowed = isMask && tolerance > 0 ? right.length / 50 : 0;
    return different > allowed ? `${path}: ${different} of ${right.length} values` : undefined;
  }
  if (typeof right === "number" && tolerance > 0) {
    // Counts of pixels follow the masks.
    if (path.endsWith("area")) return undefined;
    return Math.abs(found - right) <= tolerance ? undefined : `${path}: ${found} instead of ${right}`;
  }
  if (typeof right !== "object" || right === null) return Object.is(found, right) ? undefined : `${path}: ${found} instead of ${right}`;
  const keys = new Set([...Object.keys(right), ...Object.keys(found ?? {})]);
  for (const key of keys) {
    // Places to click and flags are those of the largest value, or on one side of a threshold.
    if (key === "timings" || (tolerance > 0 && ["suggestions", "needsReview"].includes(key))) continue;
    const part = difference(found?.[key], right[key], tolerance, `${path}.${key}`);
    if (part !== undefined) return part;
  }
  return undefined;
}

/** One fresh run at a time. */
let last = Promise.resolve();

function answer(key) {
  if (!answers.has(key)) {
    const run = last.then(() => fresh(key));
    last = run.catch(() => {});
    answers.set(key, run);
  }
  return answers.get(key);
}

onmessage = async ({ data: { id, key, found, tolerance, weights } }) => {
  if (weights !== undefined) {
    files = weights;
    return;
  }
  try {
    const wrong = difference(found, await answer(key), tolerance);
    postMessage({ id, wrong, known: answers.size });
  } catch (error) {
    postMessage({ id, wrong: `there is no right answer: ${error.code ?? error}`, known: answers.size });
  }
};
