// What the test asks of the page: everything is compared inside of the viewer.

const events = { results: [], errors: [], settled: [], cleared: [], busy: [] };

function listen(connection) {
  for (const name of Object.keys(events)) events[name].length = 0;
  connection.on("result", (result) => events.results.push(result));
  connection.on("error", ({ code, message }) => events.errors.push(`${code}: ${message}`));
  connection.on("settled", (isAccepted) => events.settled.push(isAccepted));
  connection.on("cleared", () => events.cleared.push(true));
  connection.on("busy", (isBusy) => events.busy.push(isBusy));
}
listen(connection);

const last = () => events.results.at(-1);
const image = () => viewer.world.getItemAt(0);

/** Where a pixel of the full resolution is in the window, with the viewer in it. */
function inWindow(x, y) {
  viewer.element.scrollIntoView({ block: "nearest", behavior: "instant" });
  const { left, top } = viewer.element.getBoundingClientRect();
  const pixel = image().imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y));
  return [left + pixel.x, top + pixel.y];
}

/** A pixel of the window in the full resolution. */
function inImage(x, y) {
  const { left, top } = viewer.element.getBoundingClientRect();
  const point = image().viewerElementToImageCoordinates(new OpenSeadragon.Point(x - left, y - top));
  return [point.x, point.y];
}

function placed() {
  const { region, level, pixelSize, shrink, width, height } = last().place;
  return { region, level, pixelSize, shrink, width, height, box: last().segmentation.box, isFinal: last().isFinal };
}

/**
 * What the package says of a picture for the same box: how many pixels of the mask differ, and how many are inside. The uncertainty, which takes most of
 * the time, is compared once in a page.
 */
async function compare(address) {
  const picture = await createImageBitmap(await (await fetch(address)).blob());
  const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  context.drawImage(picture, 0, 0);
  const encoded = await model.encode({ data: context.getImageData(0, 0, picture.width, picture.height) });
  const { box, mask, uncertainty } = last().segmentation;
  const isFirst = window.compared === undefined;
  window.compared = true;
  const [expected] = await encoded.segment([{ box }], isFirst ? {} : { uncertainty: { samples: 0, maps: [] } });
  encoded.dispose();
  const differing = expected.mask.reduce((sum, value, index) => sum + (value !== mask[index] ? 1 : 0), 0);
  const furthest = (most, value, index) => Math.max(most, Math.abs(value - uncertainty.total[index]));
  return { differing, inside: expected.area, pixels: expected.mask.length === mask.length, total: (expected.uncertainty.total ?? []).reduce(furthest, 0) };
}

/** How many pixels differ between a mask and the polygon of a feature, or the path over the image. */
function filled(path, { width, height }, mask) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fill(path, "evenodd");
  const { data } = context.getImageData(0, 0, width, height);
  // A last pixel that sticks out of the image is cut there, at half of it or more.
  return mask.reduce((sum, value, index) => sum + (value !== (data[4 * index + 3] > 100 ? 1 : 0) ? 1 : 0), 0);
}

function polygonsDiffer() {
  const { geometry } = connection.features().at(-1);
  const { segmentation, place } = last();
  const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
  const path = new Path2D();
  for (const ring of polygons.flat()) {
    ring.forEach(([x, y], index) => path[index === 0 ? "moveTo" : "lineTo"]((x - place.region.x) / place.pixelSize, (y - place.region.y) / place.pixelSize));
    if (String(ring[0]) !== String(ring.at(-1))) return "a ring is open";
  }
  const size = image().getContentSize();
  if (polygons.flat(2).some(([x, y]) => x < 0 || y < 0 || x > size.x || y > size.y)) return "a polygon leaves the image";
  return filled(path, place, segmentation.mask);
}

/** What is over the image, where it is in the window, and whether it is the last answer. */
function overlay() {
  const { place, segmentation } = last();
  const element = [...document.querySelectorAll(".umedsam-object")].at(-1);
  const [svg, heat] = [element.querySelector("svg"), element.querySelector("canvas")];
  const frame = svg.getBoundingClientRect();
  const { region } = place;
  const [left, top] = inWindow(region.x, region.y);
  const [right, bottom] = inWindow(region.x + region.width, region.y + region.height);
  const away = Math.max(...[frame.left - left, frame.top - top, frame.right - right, frame.bottom - bottom].map(Math.abs));
  const differing = filled(new Path2D(element.querySelector(".umedsam-mask").getAttribute("d")), place, segmentation.mask);
  let heatDiffers = 0;
  if (heat !== null) {
    const { data } = heat.getContext("2d").getImageData(0, 0, place.width, place.height);
    const max = window.shown === "epistemic" ? 0.2 : 1;
    segmentation.uncertainty[window.shown ?? "total"].forEach((value, index) => {
      if (Math.abs(data[4 * index + 3] - 255 * 0.7 * Math.min(1, value / max)) > 1.5) heatDiffers++;
    });
  }
  const suggestion = element.querySelector(".umedsam-suggestion");
  const isMarked = element.classList.contains("umedsam-needs-review") === (segmentation.needsReview === true);
  return { isMarked, away, differing, hasHeat: heat !== null, heatDiffers, hasSuggestion: suggestion !== null, suggested: segmentation.suggestions.length };
}

/** Everything of ours that is in the document, and the viewer's handlers. */
function left() {
  const names = ["canvas-press", "canvas-drag", "canvas-release", "canvas-drag-end", "canvas-click", "canvas-double-click", "canvas-pinch"];
  const handlers = [...names, "open", "animation-finish", "resize", "before-destroy"].map((name) => viewer.numberOfHandlers(name));
  const worlds = ["add-item", "remove-item"].map((name) => viewer.world.numberOfHandlers(name));
  const elements = document.querySelectorAll("[class^=umedsam]").length;
  return { handlers: [...handlers, ...worlds].join(), elements, overlays: viewer.currentOverlays.length, cursor: viewer.canvas.style.cursor };
}

Object.assign(window, { events, listen, last, inWindow, inImage, placed, compare, polygonsDiffer, overlay, left, image });
