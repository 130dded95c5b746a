/** The list of what was found in files, and what is to be known of it. */

import { page } from "../page.js";
import type { Item, Study } from "./reading.js";

let shown: Study = { items: [], notes: [] };
let opened: Item | undefined;

/** Nothing was opened from files, but a sample. */
export function hideStudy(): void {
  showStudy({ items: [], notes: [] }, undefined, () => {});
}

/** Lists series and files; descriptions, which may name people, only when asked for. */
export function showStudy(study: Study, current: Item | undefined, open: (item: Item) => void): void {
  if (study !== shown) page.describe.checked = false;
  shown = study;
  opened = current;
  const { items, notes } = study;
  const hasDescriptions = items.some(({ description }) => description !== "");
  page.study.hidden = items.length < 2 && notes.length === 0 && !hasDescriptions;
  page.series.hidden = items.length < 2 && !(page.describe.checked && hasDescriptions);
  page.describeLabel.hidden = !hasDescriptions;
  page.notes.hidden = notes.length === 0;
  page.notesTitle.textContent = notes.length === 1 ? "1 note on the files" : `${notes.length} notes on the files`;
  page.notesList.replaceChildren(...notes.map(line));
  page.series.replaceChildren(
    ...items.map((item) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = item.title;
      button.setAttribute("aria-pressed", String(item === opened));
      if (page.describe.checked && item.description !== "") {
        const text = document.createElement("small");
        text.textContent = item.description;
        button.append(text);
      }
      button.addEventListener("click", () => open(item));
      const entry = document.createElement("li");
      entry.append(button);
      return entry;
    }),
  );
  page.describe.onchange = () => showStudy(study, opened, open);
}

function line(text: string): HTMLLIElement {
  const entry = document.createElement("li");
  entry.textContent = text;
  return entry;
}
