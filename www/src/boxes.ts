/** The list of boxes. */

import type { Segmentation } from "../umedsam/index.js";
import type { EditableBox } from "./viewer.js";

/** A box with its result. */
export interface Entry extends EditableBox {
  result?: Segmentation;
  /** Whether the result is the ensemble's. */
  isFinal?: boolean;
  /** Counts edits, so that late results of earlier places are dropped. */
  edit: number;
  timer?: number;
}

/** What a list item can do. */
export interface BoxActions {
  readonly isSelected: boolean;
  readonly select: () => void;
  readonly remove: () => void;
}

/** An item of the list of boxes. */
export function boxItem(entry: Entry, index: number, actions: BoxActions): HTMLLIElement {
  const item = document.createElement("li");
  if (actions.isSelected) item.setAttribute("aria-current", "true");
  const select = document.createElement("button");
  select.type = "button";
  select.className = "select";
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.background = entry.color;
  const details = document.createElement("small");
  details.textContent = describe(entry);
  select.append(swatch, `Box ${index + 1}`);
  if (entry.isFinal === true && entry.result?.needsReview === true) {
    const flag = document.createElement("span");
    flag.className = "flag";
    flag.textContent = "check this one";
    select.append(flag);
  }
  select.append(details);
  select.addEventListener("click", actions.select);
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "remove";
  remove.textContent = "✕";
  remove.setAttribute("aria-label", `Remove box ${index + 1}`);
  remove.addEventListener("click", actions.remove);
  item.append(select, remove);
  return item;
}

function describe({ result, isFinal }: Entry): string {
  if (result === undefined) return "waiting";
  if (isFinal !== true) return `${result.area.toLocaleString("en")} px · finding where it is unsure`;
  const area = result.area.toLocaleString("en");
  const unsure = result.uncertainty.total?.reduce((count, value) => count + Number(value > 0.5), 0) ?? 0;
  const closer = result.zoom === null ? "" : ` · seen in a crop of ${result.zoom.width}×${result.zoom.height} px`;
  return `expected DSC ${result.expectedDsc.toFixed(2)} · ${area} px · unsure (over ½ bit) of ${unsure.toLocaleString("en")} px${closer}`;
}
