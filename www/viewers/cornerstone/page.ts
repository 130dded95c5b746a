/** Buttons, keys and files of the page. */

import type { ViewerConnection } from "umedsam/cornerstone";

/** An element by its name. */
export function at(id: string): HTMLElement {
  return document.getElementById(id) as HTMLElement;
}

/** Shows a text, or nothing. */
export function say(id: string, text: string): void {
  Object.assign(at(id), { textContent: text, hidden: text === "" });
}

interface Actions {
  open(files: readonly Blob[]): Promise<void>;
  show(view: string): Promise<void>;
  propagate(): Promise<void>;
  mouse(tool: string): void;
  connection(): ViewerConnection<unknown> | undefined;
}

/** What a click, a key or a file does. */
export function listen({ open, show, propagate, mouse, connection }: Actions): void {
  const tell = (work: Promise<void>) => work.catch((error: Error) => error.name !== "AbortError" && say("error", error.message));
  // One after the other, however fast somebody chooses.
  let shown = Promise.resolve<unknown>(undefined);
  const next = (work: () => Promise<void>) => (shown = shown.then(() => tell(work())));
  const clicks: Record<string, () => void> = {
    accept: () => connection()?.accept(),
    reject: () => connection()?.reject(),
    undo: () => connection()?.undo(),
    redo: () => connection()?.redo(),
    cancel: () => connection()?.cancel(),
    yes: () => connection()?.answer(true),
    no: () => connection()?.answer(false),
    propagate: () => void tell(propagate()),
  };
  for (const [id, action] of Object.entries(clicks)) at(id).addEventListener("click", action);
  const [file, view, tool] = ["file", "view", "tool"].map(at) as [HTMLInputElement, HTMLSelectElement, HTMLSelectElement];
  file.addEventListener("change", () => next(() => open([...(file.files ?? [])])));
  view.addEventListener("change", () => next(() => show(view.value)));
  tool.addEventListener("change", () => mouse(tool.value));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const files = [...(event.dataTransfer?.files ?? [])];
    next(() => open(files));
  });
  document.addEventListener("keydown", (event) => {
    const isUndo = event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey);
    const id = event.key === "Escape" ? "reject" : isUndo ? (event.shiftKey ? "redo" : "undo") : event.key === "Enter" ? "accept" : "";
    // A button that has the focus is pressed by Enter itself.
    if (id === "" || (event.key === "Enter" && event.target instanceof HTMLButtonElement)) return;
    event.preventDefault();
    clicks[id]?.();
  });
  at("viewport").addEventListener("contextmenu", (event) => event.preventDefault());
}
