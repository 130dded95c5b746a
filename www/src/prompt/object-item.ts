/** An object in the list. */

import type { SegmentedObject } from "./objects.js";
import type { Seen } from "../view/slice-view.js";
import { type Place, isSame } from "../open/slices.js";

/** What a list item can do. */
export interface ObjectActions {
  readonly isSelected: boolean;
  readonly select: () => void;
  readonly rename: (name: string) => void;
  readonly remove: () => void;
}

/** An item of the list of objects. */
export function objectItem(object: SegmentedObject, seen: Seen, actions: ObjectActions): HTMLLIElement {
  const item = document.createElement("li");
  if (actions.isSelected) item.setAttribute("aria-current", "true");
  if (!isSame(object.place, seen.place)) item.className = "elsewhere";
  const select = button("select", object.name, actions.select);
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.background = object.color;
  select.prepend(swatch);
  if (object.isFinal && object.result?.needsReview === true) {
    const flag = document.createElement("span");
    flag.className = "flag";
    flag.textContent = object.result.shift?.alarm === true ? "unlike the calibration: check" : "check this one";
    select.append(flag);
  }
  const details = document.createElement("small");
  details.textContent = `${slice(object.place, seen)}${describe(object, seen)}`;
  select.append(details);
  const rename = button("remove", "✎", () => nameField(item, object.name, actions.rename));
  rename.setAttribute("aria-label", `Rename ${object.name}`);
  const remove = button("remove", "✕", actions.remove);
  remove.setAttribute("aria-label", `Remove ${object.name}`);
  item.append(select, rename, remove);
  return item;
}

function button(className: string, text: string, action: () => void): HTMLButtonElement {
  const element = document.createElement("button");
  element.type = "button";
  element.className = className;
  element.append(text);
  element.addEventListener("click", action);
  return element;
}

function nameField(item: HTMLLIElement, name: string, rename: (name: string) => void): void {
  const field = document.createElement("input");
  field.value = name;
  field.setAttribute("aria-label", "Name of the object");
  let isDone = false;
  const done = (value: string) => {
    if (isDone) return;
    isDone = true;
    // The list is drawn anew only without a field in it.
    field.remove();
    rename(value.trim() || name);
  };
  field.addEventListener("change", () => done(field.value));
  field.addEventListener("blur", () => done(field.value));
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") done(field.value);
    if (event.key === "Escape") done(name);
  });
  item.replaceChildren(field);
  field.select();
}

/** Where the object is, where there is more than one slice. */
function slice(place: Place, { stack }: Seen): string {
  if (stack.size[place.axis] === 1) return "";
  const plane = stack.planes.length === 1 ? "" : `${stack.planes.find(({ axis }) => axis === place.axis)?.plane ?? ""} `;
  const frame = stack.frames === 1 ? "" : `volume ${place.frame + 1}, `;
  return `${frame}${plane}slice ${place.index + 1} · `;
}

function describe({ result, results, isFinal, canUndo, place }: SegmentedObject, seen: Seen): string {
  if (result === undefined) return !canUndo ? "nothing said yet" : isSame(place, seen.place) ? "waiting" : "waiting until its slice is seen";
  // Slices across the same axis have pixels of the same size, but for images without a place.
  const spacing = place.axis === seen.place.axis && result.width === seen.slice.image.width ? seen.slice.spacing : undefined;
  const pixel = spacing === undefined ? undefined : spacing[0] * spacing[1];
  const [low, high] = (result.areaInterval ?? []).map((end) => (pixel === undefined ? end.toLocaleString("en") : square(end * pixel)));
  const interval = low === undefined ? "" : ` (${low}–${high})`;
  const area = `${result.area.toLocaleString("en")} px${pixel === undefined ? interval : ` · ${square(result.area * pixel)} mm²${interval}`}`;
  const finding = isSame(place, seen.place) ? "finding where it is unsure" : "where it is unsure is found when its slice is seen";
  if (!isFinal) return `expected DSC ${result.expectedDsc.toFixed(2)} · ${area} · ${finding}`;
  const unsure = result.uncertainty.total?.reduce((count, value) => count + Number(value > 0.5), 0) ?? 0;
  const closer = result.zoom === null ? "" : ` · seen in a crop of ${result.zoom.width}×${result.zoom.height} px`;
  const more = results.length === 1 ? "" : ` · on ${results.length} slices`;
  return `expected DSC ${result.expectedDsc.toFixed(2)} · ${area} · unsure (over ½ bit) of ${unsure.toLocaleString("en")} px${closer}${more}`;
}

function square(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}
