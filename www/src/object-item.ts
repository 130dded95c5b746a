/** An object in the list. */

import type { SegmentedObject } from "./objects.js";

/** What a list item can do. */
export interface ObjectActions {
  readonly isSelected: boolean;
  readonly select: () => void;
  readonly rename: (name: string) => void;
  readonly remove: () => void;
}

/** An item of the list of objects. */
export function objectItem(object: SegmentedObject, actions: ObjectActions): HTMLLIElement {
  const item = document.createElement("li");
  if (actions.isSelected) item.setAttribute("aria-current", "true");
  const select = button("select", object.name, actions.select);
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.background = object.color;
  select.prepend(swatch);
  if (object.isFinal && object.result?.needsReview === true) {
    const flag = document.createElement("span");
    flag.className = "flag";
    flag.textContent = "check this one";
    select.append(flag);
  }
  const details = document.createElement("small");
  details.textContent = describe(object);
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

function describe({ result, isFinal, canUndo }: SegmentedObject): string {
  if (result === undefined) return canUndo ? "waiting" : "nothing said yet";
  if (!isFinal) return `expected DSC ${result.expectedDsc.toFixed(2)} · ${result.area.toLocaleString("en")} px · finding where it is unsure`;
  const area = result.area.toLocaleString("en");
  const unsure = result.uncertainty.total?.reduce((count, value) => count + Number(value > 0.5), 0) ?? 0;
  const closer = result.zoom === null ? "" : ` · seen in a crop of ${result.zoom.width}×${result.zoom.height} px`;
  return `expected DSC ${result.expectedDsc.toFixed(2)} · ${area} px · unsure (over ½ bit) of ${unsure.toLocaleString("en")} px${closer}`;
}
