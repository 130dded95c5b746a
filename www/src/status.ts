/** What the page says of the model, of progress, errors and guarantees. */

import { type Model, type Progress, type Shift, type Suggestion, type UncertaintyMap, colorize } from "../umedsam/index.js";
import { context2d } from "./dom.js";
import { MAPS } from "./layers/overlay.js";
import { page } from "./page.js";
import { setLearned } from "./prompt/tools.js";
import type { Answer } from "./volume/found-slice.js";

export function shownMap(): UncertaintyMap {
  return page.map.value as UncertaintyMap;
}

/** The bound that the person chose. */
export function askedBound(): { readonly alpha: number; readonly delta?: number } {
  const alpha = Number(page.alpha.value);
  return page.delta.value === "" ? { alpha } : { alpha, delta: Number(page.delta.value) };
}

/** Says what the contours promise, or why there are none. */
export function showGuarantee(results: readonly Answer[]): void {
  const isFitted = results.every(({ calibration }) => calibration === "fitted");
  const unlike = results.find(({ shift }) => shift?.alarm === true)?.shift;
  page.guarantee.classList.toggle("alarm", unlike != null);
  const isNearest = results.some(({ calibration }) => calibration === "nearest");
  if (unlike != null) page.guarantee.textContent = withdrawal(unlike);
  else if (isFitted) page.guarantee.textContent = `${promise(results)}${areaPromise(results)}`;
  else if (isNearest) page.guarantee.textContent = "For some of these prompts the weights are not calibrated: for them there is nothing to promise.";
  else page.guarantee.textContent = "The weights are not calibrated: there is nothing to promise.";
  for (const input of [page.outerOn, page.innerOn, page.alpha, page.delta]) input.disabled = !isFitted || unlike != null;
}

/** Why nothing is promised of an image. */
function withdrawal({ pValue }: Shift): string {
  const share = `${Number((100 * pValue).toPrecision(2))} %`;
  return `This image is unlike those that the model was calibrated on (at most ${share} of them look as unusual to it): nothing is promised of it, there are no contours, and every mask is to be checked.`;
}

function promise(results: readonly Answer[]): string {
  if (results.some(({ guarantee }) => guarantee === null)) {
    return "The weights are not calibrated for single objects: there are no contours. Choose “on average” for those that hold so.";
  }
  const { alpha, delta } = results[0]?.guarantee ?? { delta: null, ...askedBound() };
  const share = `${Number((100 * alpha).toPrecision(3))} %`;
  if (delta === null) {
    return `On images like those of the calibration, the outer contour misses ${share} of the object on average at most, and ${share} of what is within the inner one is wrong at most.`;
  }
  const many = `${Math.round(1 / delta) - 1} of ${Math.round(1 / delta)}`;
  const whole = results.some(({ outer }) => outer?.includes(0) === false) ? " No outer contour is sure enough: it is the whole image." : "";
  const nothing = results.some(({ inner }) => inner?.includes(1) === false) ? " Where there is no inner contour, nothing is sure enough." : "";
  return `On images like those of the calibration, the outer contour misses at most ${share} of the object for ${many} objects, and for ${many} at most ${share} of what is within the inner one is wrong.${whole}${nothing}`;
}

function areaPromise(results: readonly Answer[]): string {
  return results.some(({ areaInterval }) => areaInterval !== null) ? " The area of 9 of 10 objects is between the two in brackets." : "";
}

/** Asks about the spot where a click would help most. */
export function showSuggestion(object: { readonly name: string; readonly suggestion: Suggestion | null } | undefined): void {
  const suggestion = object?.suggestion ?? null;
  page.suggestion.hidden = suggestion === null;
  if (object === undefined || suggestion === null) return;
  const gain = suggestion.expectedGain < 0.005 ? "little is to be gained" : `expected DSC + ${suggestion.expectedGain.toFixed(2)}`;
  page.suggestionText.textContent = `Is the marked spot inside of ${object.name}? (${gain})`;
}

export function drawLegend(): void {
  const ramp = Float32Array.from({ length: 256 }, (_, index) => index / 255);
  const picture = colorize(ramp, 256, 1);
  for (let pixel = 0; pixel < 256; pixel++) picture.data[4 * pixel + 3] = 255;
  context2d(page.legend).putImageData(picture, 0, 0);
  const { title, meaning, max } = MAPS[shownMap()];
  page.legendTitle.textContent = title;
  page.meaning.textContent = meaning;
  page.legendHalf.textContent = String(max / 2);
  page.legendMax.textContent = max === 1 ? "1 bit" : `${max} bit or more`;
}

const STAGES = {
  module: "Loading the module",
  weights: "Loading weights",
  model: "Starting the network",
  encode: "Encoding the image",
  segment: "Segmenting",
};

export function showProgress({ stage, fraction, loadedBytes }: Progress): void {
  page.progress.hidden = false;
  const size = loadedBytes === undefined ? "" : ` ${(loadedBytes / 1e6).toFixed(1)} MB`;
  page.progressLabel.textContent = `${STAGES[stage]}${size}`;
  if (fraction === undefined) page.progressBar.removeAttribute("value");
  else page.progressBar.value = fraction;
}

/** How much of files or a volume was read. */
export function showReading(fraction: number): void {
  page.progress.hidden = fraction >= 1;
  page.progressLabel.textContent = "Reading files";
  page.progressBar.value = fraction;
}

export function showModel({ info }: Model): void {
  setLearned(info.calibration?.prompts.includes("corrected") === true);
  const { device } = info;
  page.device.textContent = device.kind === "webgpu" ? `GPU (WebGPU): ${device.adapter ?? "unnamed"}` : "CPU (WebAssembly)";
  page.deviceReason.textContent = device.reason;
  page.model.textContent = `${info.architecture}, ${info.precision}, ${info.licence}`;
  page.calibration.textContent =
    info.calibration === null ? "none: probabilities are the network's own" : `learned on ${info.calibration.cases} images`;
}

export function showError(error: unknown): void {
  page.progress.hidden = true;
  page.error.hidden = false;
  page.error.textContent = error instanceof Error ? error.message : String(error);
  page.error.scrollIntoView({ block: "nearest" });
}

export function hideError(): void {
  page.error.hidden = true;
}
