/** An object over its image: the box, the mask's outline, where the model is unsure, the suggested click. All of it follows pan, zoom, rotation and flips. */

import type { Box, Segmentation } from "../../types.js";
import { UNCERTAINTY_MAX } from "../uncertainty-scale.js";
import { polygons } from "./contours.js";
import type { Geometry } from "./geometry.js";
import type { OsdModule, OsdViewer } from "./osd.js";
import { type Place, toPlace } from "./place.js";

const SVG = "http://www.w3.org/2000/svg";

function svg(kind: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const element = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

export class ObjectOverlay {
  readonly #viewer: OsdViewer;
  readonly #place: Place;
  readonly #element = document.createElement("div");
  readonly #marks: SVGElement;
  /** Light on dark, so that it is seen over anything. */
  readonly #outlines: readonly SVGElement[];
  readonly #box: SVGElement | undefined;
  readonly #heat = document.createElement("canvas");
  readonly #suggestion = document.createElement("div");
  /** The map that is about to be shown. */
  #values: Float32Array | undefined;

  constructor(osd: OsdModule, viewer: OsdViewer, geometry: Geometry, place: Place, box: Box | undefined, color: string) {
    this.#viewer = viewer;
    this.#place = place;
    this.#element.className = "umedsam-object";
    Object.assign(this.#element.style, { position: "absolute", left: "0", top: "0", transformOrigin: "0 0", pointerEvents: "none" });
    this.#marks = svg("svg", { viewBox: `0 0 ${place.width} ${place.height}`, preserveAspectRatio: "none" });
    for (const layer of [this.#heat, this.#marks]) Object.assign(layer.style, { position: "absolute", left: "0", top: "0", width: "100%", height: "100%" });
    this.#heat.className = "umedsam-uncertainty";

    const line = { fill: "none", "vector-effect": "non-scaling-stroke", "stroke-width": 2 };
    this.#outlines = [
      svg("path", { ...line, stroke: "#000", "stroke-opacity": 0.6, "stroke-width": 4 }),
      svg("path", { ...line, class: "umedsam-mask", fill: color, "fill-opacity": 0.2, "fill-rule": "evenodd", stroke: color }),
    ];
    this.#marks.append(...this.#outlines);
    if (box !== undefined) {
      const [x0, y0, x1, y1] = toPlace(place, box);
      const frame = { x: x0, y: y0, width: x1 - x0, height: y1 - y0, stroke: "#ffd54a", "stroke-dasharray": "6 4" };
      this.#box = svg("rect", { ...line, ...frame, class: "umedsam-box", "stroke-width": 1.5 });
      this.#marks.append(this.#box);
    }
    this.#suggestion.className = "umedsam-suggestion";
    const ring = { border: "3px solid #fff", outline: "2px solid #000", outlineOffset: "-1px", borderRadius: "50%", width: "14px", height: "14px" };
    Object.assign(this.#suggestion.style, { position: "absolute", transform: "translate(-50%, -50%)", boxSizing: "border-box", ...ring });
    this.#element.append(this.#marks);

    const location = place.tiledImage.imageToViewportCoordinates(place.region.x, place.region.y, true);
    const onDraw = () => geometry.lay(this.#element, place.tiledImage, place.region);
    viewer.addOverlay({ element: this.#element, location: new osd.Point(location.x, location.y) as never, onDraw });
  }

  /** Shows an answer, or nothing but the box. Dashed is what a person should check. */
  show(segmentation: Segmentation | undefined, map: keyof typeof UNCERTAINTY_MAX | "none"): void {
    const { width, height } = this.#place;
    const rings = segmentation === undefined ? [] : polygons(segmentation.mask, width, height).flat();
    const path = rings.map((ring) => `M${ring.map((corner) => corner.join(" ")).join("L")}Z`).join("");
    const isPoor = segmentation?.needsReview === true;
    for (const outline of this.#outlines) outline.setAttribute("d", path);
    this.#outlines[1]?.setAttribute("stroke-dasharray", isPoor ? "4 3" : "none");
    this.#element.classList.toggle("umedsam-needs-review", isPoor);

    this.#values = (map === "none" ? null : segmentation?.uncertainty[map]) ?? undefined;
    this.#heat.remove();
    if (map !== "none") void this.#paint(this.#values, UNCERTAINTY_MAX[map]);

    const [suggestion] = segmentation?.suggestions ?? [];
    this.#suggestion.remove();
    if (suggestion !== undefined) {
      Object.assign(this.#suggestion.style, { left: `${(100 * suggestion.x) / width}%`, top: `${(100 * suggestion.y) / height}%` });
      this.#element.append(this.#suggestion);
    }
  }

  async #paint(values: Float32Array | undefined, max: number): Promise<void> {
    if (values === undefined) return;
    const { colorize } = await import("../../colormap.js");
    if (this.#values !== values) return;
    const { width, height } = this.#place;
    [this.#heat.width, this.#heat.height] = [width, height];
    this.#heat.getContext("2d")?.putImageData(colorize(values, width, height, { max, opacity: 0.7 }), 0, 0);
    this.#element.prepend(this.#heat);
    this.#values = undefined;
  }

  /** Nothing more is asked of it. */
  settle(): void {
    this.#box?.remove();
    this.#suggestion.remove();
    this.#values = undefined;
    this.#heat.remove();
    // Its pixels are freed.
    this.#heat.width = 0;
    this.#element.classList.add("umedsam-accepted");
  }

  remove(): void {
    this.#viewer.removeOverlay(this.#element);
    this.#element.remove();
  }
}
