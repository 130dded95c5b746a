/** What the page shows and asks of an object in a volume: following it, its size, slices to check. */

import { page } from "../page.js";
import { type Stack, countOf } from "../open/slices.js";
import type { SegmentedObject } from "../prompt/objects.js";
import type { Prompting } from "../prompt/prompting.js";
import { isTyping } from "../prompt/tools.js";
import type { Seen } from "../view/slice-view.js";
import type { Range } from "./course.js";
import type { Propagating } from "./propagating.js";
import { hintOf, sizeOf } from "./words.js";

/** What the panel needs of the page. */
export interface VolumeHost {
  readonly seen: Seen | undefined;
  readonly prompting: Prompting;
  readonly propagating: Propagating;
  /** Goes to a slice of the seen stack. */
  goTo(place: Seen["place"]): void;
  /** Follows an object from where this part of it was said. */
  follow(part: SegmentedObject, wanted: Range | undefined): void;
}

/** Puts the range at all slices of a stack that was opened. */
export function resetRange(stack: Stack): void {
  page.range.value = "all";
  page.rangeEnds.hidden = true;
  page.rangeFirst.value = "1";
  page.rangeLast.value = String(countOf(stack, stack.first.axis));
}

function wantedRange(): Range | undefined {
  return page.range.value === "all" ? undefined : [page.rangeFirst.valueAsNumber - 1, page.rangeLast.valueAsNumber - 1];
}

/** What is followed next: the selected object from here where it was corrected, else from the slice that it was said on. */
function nextPart({ prompting: { chosen, selected } }: VolumeHost): SegmentedObject | undefined {
  return selected?.isCorrection === true && selected.result !== undefined ? selected : chosen;
}

export function showVolume(host: VolumeHost): void {
  const { seen, prompting, propagating } = host;
  const { chosen, selected } = prompting;
  const count = seen === undefined ? 1 : countOf(seen.stack, (chosen ?? seen).place.axis);
  page.propagation.hidden = page.propagationHint.hidden = page.propagationStatus.hidden = count === 1;
  page.volume.hidden = chosen?.found === undefined;
  if (seen === undefined || count === 1) return;
  const { run } = propagating;
  const part = nextPart(host);
  page.propagate.textContent = part?.isCorrection === true ? "⇅ Go on from here" : "⇅ Through the slices";
  page.propagate.disabled = run !== undefined || part?.said === undefined || part.result === undefined;
  page.range.disabled = page.rangeFirst.disabled = page.rangeLast.disabled = run !== undefined;
  // The keys of the image go on working where the button goes.
  if (run === undefined && document.activeElement === page.propagationCancel) page.viewer.focus({ preventScroll: true });
  page.propagationRun.hidden = run === undefined;
  if (run !== undefined) {
    page.propagationBar.max = run.atMost;
    page.propagationBar.value = run.done;
    page.propagationText.textContent = `slice ${Math.min(run.done + 1, run.atMost)} of at most ${run.atMost}`;
  }
  say(page.propagationHint, hintOf(chosen, selected, seen.place, run !== undefined));
  // Read out where it changes: where a run begins and ends, not at every slice.
  say(page.propagationStatus, propagating.status);
  if (chosen?.found !== undefined) showFound(host, chosen, seen);
}

function say(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function showFound(host: VolumeHost, object: SegmentedObject, seen: Seen): void {
  const { found } = object;
  if (found === undefined) return;
  // While slices come in, all voxels are counted at the end.
  const isRunning = host.propagating.run?.object === object;
  say(page.volumeName, object.name);
  say(page.volumeSize, isRunning ? `${found.indices.length} slices so far` : sizeOf(found));
  const slices = found.toReview();
  const key = [object.id, ...slices.map(({ slice, expectedDsc }) => `${slice}:${expectedDsc}`)].join();
  if (page.toReview.dataset["key"] !== key) {
    page.toReview.dataset["key"] = key;
    page.toReview.replaceChildren(
      ...slices.map(({ slice, expectedDsc }) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.dataset["slice"] = String(slice);
        button.textContent = `slice ${slice + 1} · expected DSC ${expectedDsc.toFixed(2)}`;
        button.addEventListener("click", () => host.goTo({ ...object.place, index: slice }));
        item.append(button);
        return item;
      }),
    );
  }
  say(page.toReviewNote, slices.length === 0 ? "None: on no slice is the expected DSC low." : "");
  const isHere = seen.place.axis === object.place.axis && seen.place.frame === object.place.frame;
  for (const button of page.toReview.querySelectorAll("button")) {
    const isCurrent = isHere && button.dataset["slice"] === String(seen.place.index);
    button.setAttribute("aria-current", String(isCurrent));
  }
}

export function listenToVolume(host: VolumeHost): void {
  const follow = () => {
    const part = nextPart(host);
    if (part !== undefined && !page.propagate.disabled) host.follow(part, wantedRange());
  };
  const cancel = () => host.propagating.end("Cancelled.");
  page.propagate.addEventListener("click", () => {
    follow();
    page.viewer.focus({ preventScroll: true });
  });
  page.propagationCancel.addEventListener("click", cancel);
  page.range.addEventListener("change", () => {
    page.rangeEnds.hidden = page.range.value === "all";
  });
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event)) return;
    if (event.key.toLowerCase() === "g" && !page.propagation.hidden) follow();
  });
  // Before the image, whose Escape selects none.
  window.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Escape" || host.propagating.run === undefined || isTyping(event)) return;
      event.stopPropagation();
      cancel();
    },
    { capture: true },
  );
}
