/** The window that the page's controls ask for. */

import type { Window } from "../../umedsam/index.js";
import { page } from "../page.js";
import type { Slice } from "../open/slices.js";

/** How intensities are shown, and what the network sees. */
export interface Look {
  readonly window: Window;
  readonly invert: boolean;
}

interface Level {
  readonly center: number;
  readonly width: number;
}

/** Windows of computed tomography, in Hounsfield units. */
const PRESETS: readonly (Level & { readonly key: string; readonly name: string })[] = [
  { key: "abdomen", name: "CT abdomen", center: 40, width: 400 },
  { key: "lung", name: "CT lung", center: -600, width: 1500 },
  { key: "bone", name: "CT bone", center: 400, width: 1800 },
  { key: "brain", name: "CT brain", center: 40, width: 80 },
];
/** Air is darker than this, and nothing but Hounsfield units has it. */
const AIR = -500;
/** Values that are looked at to find a range. */
const SAMPLES = 65_536;

let offered: Slice["windows"] = [];
/** Where a drag of the window began. */
let dragged: Level = { center: 0, width: 1 };

const round = (value: number) => Number(value.toPrecision(4));

/** Puts the controls at their defaults for a stack, whose first slice this is; pictures of 8 bits need no window. */
export function resetWindow({ image, windows }: Slice, modality: string): void {
  const isGrey = (image.channels ?? 1) === 1;
  const isByte = image.data instanceof Uint8Array || image.data instanceof Uint8ClampedArray;
  offered = isGrey ? windows : [];
  page.invert.checked = image.invert === true;
  page.window.hidden = !isGrey || (isByte && offered.length === 0);
  page.windowLevel.hidden = true;
  page.toolWindow.hidden = page.window.hidden;
  const values = range(image.data);
  const isHounsfield = modality === "CT" || (modality === "" && values.low <= AIR);
  const options = [
    ...offered.map(({ center, width, name }, index) => [`file-${index}`, `from file: ${name ?? ""} ${round(center)} / ${round(width)}`.replace("  ", " ")]),
    ["auto", "automatic"],
    ["min-max", "all values"],
    ...(isHounsfield && !isByte ? PRESETS.map(({ key, name, center, width }) => [key, `${name} ${center} / ${width}`]) : []),
    ["level", "centre and width"],
  ];
  page.windowKind.replaceChildren(...options.map(([value, text]) => new Option(text?.replace("-", "−"), value)));
  page.windowKind.value = offered.length > 0 ? "file-0" : "auto";
  showLevel({ center: (values.low + values.high) / 2, width: values.high - values.low });
}

function range(data: Slice["image"]["data"]): { low: number; high: number } {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of data) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? { low, high } : { low: 0, high: 1 };
}

function showLevel({ center, width }: Level): void {
  page.windowCenter.value = String(round(center));
  page.windowWidth.value = String(round(width));
}

/** The chosen window, or `undefined` while it cannot be used. */
export function chosenLook({ windows }: Slice): Look | undefined {
  const invert = page.invert.checked;
  const kind = page.windowKind.value;
  page.windowLevel.hidden = kind !== "level";
  if (kind === "level") {
    const [center, width] = [page.windowCenter.valueAsNumber, page.windowWidth.valueAsNumber];
    return Number.isFinite(center) && width > 0 ? { window: { center, width }, invert } : undefined;
  }
  const preset = PRESETS.find(({ key }) => key === kind);
  if (preset !== undefined) return { window: { center: preset.center, width: preset.width }, invert };
  const number = /^file-(\d+)$/.exec(kind)?.[1];
  if (number === undefined) return { window: kind === "min-max" ? "min-max" : "auto", invert };
  // Each slice may have windows of its own; slices of other planes have the first one's.
  const own = windows[Number(number)] ?? offered[Number(number)];
  return { window: own === undefined ? "auto" : { center: own.center, width: own.width }, invert };
}

/** The window as numbers, about what is shown. */
function levelOf(slice: Slice): Level {
  const window = chosenLook(slice)?.window;
  if (typeof window === "object" && "center" in window) return window;
  const { data } = slice.image;
  const step = Math.max(1, Math.floor(data.length / SAMPLES));
  const values: number[] = [];
  for (let index = 0; index < data.length; index += step) {
    const value = data[index] as number;
    if (Number.isFinite(value) && (window === "min-max" || value !== 0)) values.push(value);
  }
  values.sort((a, b) => a - b);
  const at = (share: number) => values[Math.round(share * (values.length - 1))] ?? 0;
  const [low, high] = window === "min-max" ? [at(0), at(1)] : [at(0.005), at(0.995)];
  return { center: (low + high) / 2, width: Math.max(high - low, 1e-6) };
}

/** A drag of the window begins. */
export function beginDrag(slice: Slice): void {
  dragged = levelOf(slice);
}

/** Where a drag is, in CSS pixels from its begin: to the right widens, down raises the centre. */
export function dragTo(dx: number, dy: number): void {
  const unit = dragged.width / 256;
  page.windowKind.value = "level";
  showLevel({ center: dragged.center + dy * unit, width: Math.max(unit, dragged.width + dx * unit) });
}
