/** The panel in OHIF: an element of its own, so that no React is needed, in the colours of OHIF's theme. */

import { PANEL_ELEMENT } from "./names.js";
import type { SegmentedObject } from "./objects.js";
import { type Segmenting, counted } from "./segmenting.js";

const STYLE = `
:host { display: block; overflow-y: auto; padding: 8px; font-size: 13px; line-height: 1.4; color: hsl(var(--foreground, 0 0% 98%)); }
[hidden] { display: none !important; }
section { margin: 0 0 8px; padding: 8px; border-radius: 6px; background: hsl(var(--popover, 219 90% 15%)); }
h3 { margin: 0 0 6px; font-size: 12px; font-weight: 600; color: hsl(var(--muted-foreground, 200 46% 65%)); }
p { margin: 0 0 6px; }
.row { display: flex; flex-wrap: wrap; gap: 4px; align-items: center; margin: 0 0 6px; }
.row:last-child { margin: 6px 0 0; }
button { font: inherit; color: inherit; cursor: pointer; padding: 3px 8px; background: none; }
button { border: 1px solid hsl(var(--input, 236 52% 30%)); border-radius: 4px; }
button:hover:enabled, button[aria-pressed="true"] { background: hsl(var(--primary, 214 98% 60%)); color: hsl(var(--primary-foreground, 0 0% 98%)); }
button:focus-visible { outline: 2px solid hsl(var(--ring, 214 98% 60%)); outline-offset: 1px; }
button:disabled { opacity: 0.45; cursor: default; }
ul { list-style: none; margin: 0; padding: 0; }
li button { display: flex; width: 100%; gap: 6px; align-items: center; text-align: left; border-color: transparent; }
li .what { flex: 1; }
li .what::first-letter { text-transform: uppercase; }
.colour { flex: none; width: 12px; height: 12px; border-radius: 3px; }
.check { padding: 0 5px; border-radius: 3px; background: #f5c518; color: #000; font-weight: 600; }
.error { color: #ff8a80; }
progress { flex: 1; min-width: 60px; accent-color: hsl(var(--primary, 214 98% 60%)); }
`;

type Child = Node | string;

function h<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Partial<HTMLElementTagNameMap[Name]>,
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

const dsc = (value: number) => value.toFixed(2);

/** Makes the element known to the browser; `segmenting` is what it shows and asks. */
export function definePanel(segmenting: Segmenting): void {
  if (customElements.get(PANEL_ELEMENT) !== undefined) return;
  customElements.define(
    PANEL_ELEMENT,
    class extends HTMLElement {
      #end: (() => void) | undefined;

      connectedCallback(): void {
        const panel = new Panel(this.shadowRoot ?? this.attachShadow({ mode: "open" }), segmenting);
        this.#end = segmenting.onChange(() => panel.update());
        panel.update();
      }

      disconnectedCallback(): void {
        this.#end?.();
      }
    },
  );
}

class Panel {
  readonly #segmenting: Segmenting;
  readonly #toggle: HTMLButtonElement;
  readonly #fresh: HTMLButtonElement;
  readonly #status = h("p", { role: "status" });
  readonly #error = h("p", { className: "error", role: "alert" });
  readonly #object: HTMLElement;
  readonly #name = h("h3", {});
  readonly #expected = h("p", { className: "row" });
  readonly #accept: HTMLButtonElement;
  readonly #reject: HTMLButtonElement;
  readonly #undo: HTMLButtonElement;
  readonly #redo: HTMLButtonElement;
  readonly #question: HTMLElement;
  readonly #propagate: HTMLButtonElement;
  readonly #progress = h("progress", { max: 1 });
  readonly #cancel: HTMLButtonElement;
  readonly #objects = h("ul", {});
  readonly #review: HTMLElement;
  readonly #toReview = h("ul", {});
  readonly #save: HTMLButtonElement;
  readonly #sections: readonly HTMLElement[];

  constructor(root: ShadowRoot, segmenting: Segmenting) {
    this.#segmenting = segmenting;
    const button = (id: string, textContent: string, title: string, onclick: () => unknown) => h("button", { id, type: "button", textContent, title, onclick });
    this.#toggle = button("toggle", "Segment by a box", "Drag a box around an object", () => segmenting.toggle());
    this.#fresh = button("fresh", "New object", "The next box begins another object", () => segmenting.begin());
    this.#accept = button("accept", "Accept", "Enter", () => segmenting.accept());
    this.#reject = button("reject", "Reject", "Escape", () => segmenting.reject());
    this.#undo = button("undo", "Undo", "Takes the last box or point back", () => segmenting.undo());
    this.#redo = button("redo", "Redo", "Takes it again", () => segmenting.redo());
    this.#question = h(
      "div",
      { className: "row" },
      "Marked place:",
      button("inside", "Inside", "The marked place belongs to the object", () => segmenting.answer(true)),
      button("outside", "Outside", "It does not", () => segmenting.answer(false)),
    );
    this.#propagate = button("propagate", "Through the slices", "Follows the object to the slices on both sides", () => segmenting.propagate());
    this.#cancel = button("cancel", "Cancel", "What was found stays", () => segmenting.cancel());
    this.#save = button("save", "Save as DICOM SEG", "All objects of its series; the file names the patient, as the images do", () => segmenting.save());
    this.#object = h(
      "section",
      { id: "object" },
      this.#name,
      this.#expected,
      h("div", { className: "row" }, this.#accept, this.#reject, this.#undo, this.#redo),
      this.#question,
      h("div", { className: "row" }, this.#propagate, this.#progress, this.#cancel),
    );
    const objects = h("section", { id: "objects" }, h("h3", {}, "Objects"), this.#objects, h("div", { className: "row" }, this.#save));
    this.#review = h("section", { id: "review" }, h("h3", {}, "Its slices, worst first"), this.#toReview);
    const tool = h("section", {}, h("div", { className: "row" }, this.#toggle, this.#fresh), this.#status, this.#error);
    this.#sections = [tool, this.#object, objects, this.#review];
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    root.replaceChildren(...this.#sections);
  }

  update(): void {
    const { isOn, isBusy, status, error, objects, selected, progress, canFollow, isPending } = this.#segmenting;
    this.#toggle.setAttribute("aria-pressed", String(isOn));
    this.#fresh.disabled = isPending || selected === undefined || selected.slices.length === 0;
    this.#status.textContent = status;
    this.#status.ariaBusy = String(isBusy);
    this.#error.textContent = error;
    this.#object.hidden = selected === undefined;
    if (selected !== undefined) this.#updateObject(selected);
    this.#progress.hidden = this.#cancel.hidden = progress === undefined;
    this.#progress.value = progress === undefined ? 0 : progress.done / Math.max(1, progress.atMost);
    this.#progress.title = progress === undefined ? "" : `${progress.done} of at most ${counted(progress.atMost)}`;
    this.#propagate.hidden = progress !== undefined;
    this.#propagate.disabled = !canFollow;
    this.#objects.replaceChildren(...objects.map((object) => this.#row(object)));
    this.#save.disabled = !objects.some(({ slices }) => slices.length > 0);
    this.#updateReview(selected);
  }

  #updateObject(object: SegmentedObject): void {
    const { last, isPending, isUndone } = object;
    this.#name.textContent = this.#segmenting.labelOf(object);
    const reason = last?.segmentation.shift?.alarm === true ? "Unlike the calibration's images: check" : "Check this one";
    const check = last?.needsReview === true ? [h("span", { className: "check" }, reason)] : [];
    this.#expected.replaceChildren(last === undefined ? "Drag a box around it." : `Expected DSC ${dsc(last.expectedDsc)}`, ...check);
    for (const button of [this.#accept, this.#reject, this.#undo]) button.disabled = !isPending;
    this.#redo.disabled = !isPending && !isUndone;
    this.#question.hidden = !isPending || last?.segmentation.suggestions[0] === undefined;
  }

  /** Slices of the selected object, the worst first. */
  #updateReview(selected: SegmentedObject | undefined): void {
    const slices = [...(selected?.slices ?? [])].sort((a, b) => a.expectedDsc - b.expectedDsc);
    this.#review.hidden = slices.length < 2;
    if (selected === undefined || slices.length < 2) return;
    this.#toReview.replaceChildren(
      ...slices.map((known) => {
        const go = h("button", { type: "button", onclick: () => this.#segmenting.goTo(selected, known) });
        go.append(h("span", { className: "what" }, `${known.plane ?? "slice"} ${this.#segmenting.numberOf(selected, known)}`), dsc(known.expectedDsc));
        if (known.needsReview === true) go.append(h("span", { className: "check" }, "Check"));
        return h("li", {}, go);
      }),
    );
  }

  #row(object: SegmentedObject): HTMLElement {
    const { last, isPending, slices } = object;
    const swatch = h("span", { className: "colour" });
    swatch.style.background = this.#segmenting.colourOf(object);
    const worst = Math.min(...slices.map(({ expectedDsc }) => expectedDsc));
    const accepted = slices.length === 0 ? "no mask yet" : `${dsc(worst)}, ${counted(slices.length)}`;
    const found = isPending && last !== undefined ? `${dsc(last.expectedDsc)}, not accepted` : accepted;
    const select = h("button", { type: "button", onclick: () => this.#segmenting.select(object) });
    select.append(swatch, h("span", { className: "what" }, this.#segmenting.labelOf(object)), found);
    select.setAttribute("aria-pressed", String(object === this.#segmenting.selected));
    if (slices.some(({ needsReview }) => needsReview === true)) select.append(h("span", { className: "check", title: "Some slice is to be checked" }, "!"));
    return h("li", {}, select);
  }
}
