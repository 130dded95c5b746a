/** What a pointer does on the image. */

import type { PointLabel } from "../../umedsam/index.js";
import { page } from "../page.js";

export type Tool = "box" | "add" | "remove" | "brush" | "eraser" | "window";

const TOOLS: Readonly<Record<Tool, { readonly button: HTMLButtonElement; readonly key?: string }>> = {
  box: { button: page.toolBox, key: "b" },
  add: { button: page.toolAdd, key: "p" },
  remove: { button: page.toolRemove },
  brush: { button: page.toolBrush, key: "s" },
  eraser: { button: page.toolEraser, key: "e" },
  window: { button: page.toolWindow, key: "w" },
};

let current: Tool = "box";
/** Whether the weights have learned points and corrections. */
let isLearned = true;

/** Says of tools that the weights have not learned that they have not. */
export function setLearned(value: boolean): void {
  isLearned = value;
  choose(current);
}

export function tool(): Tool {
  return current;
}

export function choose(next: Tool): void {
  current = next;
  for (const [name, { button }] of Object.entries(TOOLS)) button.setAttribute("aria-pressed", String(name === next));
  page.viewer.dataset["tool"] = next;
  page.toolNote.hidden = next === "box" || next === "window" || isLearned;
}

/** Whether the page asks about spots: of weights that have learned what to do with the answers, or of who has taken a tool that gives them. */
export function asks(): boolean {
  return isLearned || (current !== "box" && current !== "window");
}

/** What a tool says of where it points; Alt says the contrary. */
export function labelOf(name: Tool, isInverted: boolean): PointLabel {
  const isInside = name === "add" || name === "brush";
  return isInside === isInverted ? "background" : "foreground";
}

/** Listens to the buttons and keys of the tools. */
export function listenToTools(changed: () => void): void {
  for (const [name, { button }] of Object.entries(TOOLS)) {
    button.addEventListener("click", () => {
      choose(name as Tool);
      changed();
      page.viewer.focus();
    });
  }
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
    const found = Object.entries(TOOLS).find(([, { key }]) => key === event.key.toLowerCase());
    if (found === undefined || found[1].button.hidden) return;
    choose(found[0] as Tool);
    changed();
  });
  choose(current);
}

/** Whether a key goes into a field. */
export function isTyping({ target }: Event): boolean {
  return target instanceof HTMLElement && (target.matches("textarea, select") || (target instanceof HTMLInputElement && !["checkbox", "range", "button", "file"].includes(target.type)));
}
