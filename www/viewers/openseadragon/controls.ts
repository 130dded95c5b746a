/** What is around the viewer on this page: buttons, keys, words. */

import type { Feature } from "umedsam/openseadragon";

export function find(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

/** Says how things are, or what went wrong. */
export function say(status: string, error = ""): void {
  find("status").textContent = status;
  find("error").textContent = error;
  find("error").hidden = error === "";
}

export interface Controls extends Readonly<Record<"accept" | "reject" | "undo" | "redo" | "inside" | "not-inside", () => void>> {
  /** Gives what the button saves. */
  readonly save: () => object;
  readonly file: (file: File) => Promise<unknown>;
}

export function controls({ save, file, ...steps }: Controls): void {
  for (const [id, step] of Object.entries(steps)) find(id).addEventListener("click", step);
  addEventListener("keydown", ({ key, ctrlKey, metaKey, target }) => {
    const isButton = target instanceof HTMLButtonElement || target instanceof HTMLInputElement;
    if (key === "Enter" && !isButton) steps.accept();
    if (key === "Escape") steps.reject();
    if ((ctrlKey || metaKey) && key === "z") steps.undo();
    if ((ctrlKey || metaKey) && key === "y") steps.redo();
  });
  find("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = `data:application/geo+json,${encodeURIComponent(JSON.stringify(save()))}`;
    link.download = "objects.geojson";
    link.click();
  });
  const input = find("file") as HTMLInputElement;
  input.addEventListener("change", () => {
    const [chosen] = input.files ?? [];
    if (chosen !== undefined) file(chosen).catch((cause: Error) => say("", `${chosen.name} is no picture that this browser reads: ${cause.message}`));
  });
}

export function check(id: string, changed: (isOn: boolean) => void): void {
  const box = find(id) as HTMLInputElement;
  box.addEventListener("change", () => changed(box.checked));
}

export function listObjects(features: readonly Feature[], remove: (id: string) => void): void {
  const items = features.map(({ id, properties }) => {
    const { name, expectedDsc, needsReview, isAccepted } = properties;
    const [item, button] = [document.createElement("li"), document.createElement("button")];
    const review = needsReview === true ? ", check this one" : "";
    item.append(`${isAccepted ? "✓ " : ""}${name}: expected DSC ${expectedDsc.toFixed(2)}${review}`, button);
    item.classList.toggle("check", needsReview === true);
    button.type = "button";
    button.textContent = "Remove";
    button.addEventListener("click", () => remove(id));
    return item;
  });
  find("objects").replaceChildren(...items);
}
