/** Prompts by Cornerstone's own tools: a box, points inside and outside, and the marker of the suggested click. */

import { UmedsamError } from "../../errors.js";
import type { CornerstoneCore, Point3, ToolAnnotation, ToolGroup, Viewer } from "./modules.js";

/** What a person said, in places of the world. */
export interface Said {
  readonly kind: "box" | "inside" | "outside";
  readonly points: readonly Point3[];
  /** Takes its annotation out of the viewer. */
  remove(): void;
  /** Of its annotation: which slice it is on. */
  readonly metadata: ToolAnnotation["metadata"];
}

/** What connections of one tool group share; Cornerstone cannot take tools out of a group. */
interface Shared {
  connections: number;
  /** What the mouse's first button did before it prompted. */
  before: string | undefined;
}

const groups = new WeakMap<object, Shared>();

const PRIMARY = 1;
const SHIFT = 16;
const ALT = 18;

export class PromptTools {
  readonly #viewer: Viewer;
  readonly #group: ToolGroup;
  readonly #names: Record<Said["kind"], string>;
  readonly #marker = "UmedsamSuggestion";
  readonly #onSaid: (said: Said) => void;
  /** Annotations that were begun in this viewport. */
  readonly #begun = new Set<string>();
  /** Annotations that are to be taken out. */
  readonly #placed = new Set<string>();
  #marked: string | undefined;
  readonly #shared: Shared;

  constructor(viewer: Viewer, group: ToolGroup, boxName: string, onSaid: (said: Said) => void) {
    const { tools, core } = viewer;
    this.#viewer = viewer;
    this.#group = group;
    this.#onSaid = onSaid;
    this.#names = { box: boxName, inside: "UmedsamInclude", outside: "UmedsamExclude" };
    tools.addTool(tools.RectangleROITool as never);
    tools.addTool(tools.ProbeTool as never);
    const { box, inside, outside } = this.#names;
    this.#add(box, tools.RectangleROITool.toolName);
    for (const name of [inside, outside, this.#marker]) this.#add(name, tools.ProbeTool.toolName);
    group.setToolEnabled(this.#marker);
    this.#shared = groups.get(group) ?? { connections: 0, before: undefined };
    this.#shared.connections++;
    groups.set(group, this.#shared);
    for (const [type, listener] of this.#listeners) core.eventTarget.addEventListener(type, listener);
  }

  #add(name: string, parent: string): void {
    if (this.#group.hasTool(name)) return;
    this.#group.addToolInstance(name, parent, { getTextLines: () => null, calculateStats: false });
    const tool = this.#group.getToolInstance(name) as { createMemo?: () => void };
    // A prompt is no annotation that undo would bring back; the mask is what is undone.
    tool.createMemo = () => {};
  }

  readonly #listeners: readonly (readonly [string, Parameters<CornerstoneCore["eventTarget"]["addEventListener"]>[1]])[] = [
    ["CORNERSTONE_TOOLS_ANNOTATION_ADDED", (event: CustomEvent<AnnotationDetail>) => this.#began(event.detail)],
    ["CORNERSTONE_TOOLS_ANNOTATION_COMPLETED", (event: CustomEvent<AnnotationDetail>) => this.#completed(event.detail.annotation)],
    ["CORNERSTONE_TOOLS_ANNOTATION_REMOVED", ({ detail }: CustomEvent<AnnotationDetail>) => void this.#begun.delete(detail.annotation.annotationUID ?? "")],
  ];

  #kind(annotation: ToolAnnotation): Said["kind"] | undefined {
    const { toolName } = annotation.metadata;
    return (["box", "inside", "outside"] as const).find((kind) => this.#names[kind] === toolName);
  }

  /** Only these events say in which viewport it is. */
  #began({ annotation, viewportId, renderingEngineId }: AnnotationDetail): void {
    const isHere = viewportId === this.#viewer.viewport.id && renderingEngineId === this.#viewer.renderingEngineId;
    if (isHere && annotation.annotationUID !== undefined && this.#kind(annotation) !== undefined) this.#begun.add(annotation.annotationUID);
  }

  #completed(annotation: ToolAnnotation): void {
    const { annotationUID: uid, metadata, data } = annotation;
    const kind = this.#kind(annotation);
    if (uid === undefined || kind === undefined || !this.#begun.delete(uid)) return;
    const { annotation: { state, locking } } = this.#viewer.tools;
    const tool = this.#group.getToolInstance(this.#names[kind]) as { editData?: { annotation?: unknown } | null };
    const remove = () => {
      if (this.#placed.delete(uid)) state.removeAnnotation(uid);
      this.#viewer.viewport.render();
    };
    this.#placed.add(uid);
    // Cornerstone completes what is cancelled too, before it forgets what was edited.
    if (tool.editData?.annotation === annotation) {
      queueMicrotask(remove);
      return;
    }
    // The next drag may begin on it.
    locking.setAnnotationLocked(uid, true);
    this.#onSaid({ kind, points: data.handles?.points ?? [], metadata, remove });
  }

  /** Marks a place on the slice of a prompt; none without a place. */
  mark(place?: Point3, metadata?: ToolAnnotation["metadata"]): void {
    const { annotation } = this.#viewer.tools;
    if (this.#marked !== undefined) annotation.state.removeAnnotation(this.#marked);
    this.#marked = undefined;
    if (place !== undefined && metadata !== undefined) {
      const marker = {
        metadata: { ...metadata, toolName: this.#marker },
        data: { handles: { points: [[...place]], activeHandleIndex: null }, cachedStats: {}, label: "" },
        highlighted: false,
        invalidated: false,
        isLocked: true,
        isVisible: true,
      };
      this.#marked = annotation.state.addAnnotation(marker as never, this.#viewer.viewport.element as never);
      annotation.config.style.setAnnotationStyles(this.#marked, { color: "rgb(255, 214, 0)", colorLocked: "rgb(255, 214, 0)", lineWidth: "3" });
    }
    this.#viewer.viewport.render();
  }

  /** Gives the mouse's first button to the box, with Shift to points inside, with Alt to points outside; or back. */
  setActive(on: boolean): void {
    const { box, inside, outside } = this.#names;
    const primary = this.#group.getActivePrimaryMouseButtonTool();
    if (on) {
      if (primary !== undefined && primary !== box) {
        this.#shared.before = primary;
        this.#group.setToolPassive(primary);
      }
      this.#group.setToolActive(box, { bindings: [{ mouseButton: PRIMARY }] });
      this.#group.setToolActive(inside, { bindings: [{ mouseButton: PRIMARY, modifierKey: SHIFT }] });
      this.#group.setToolActive(outside, { bindings: [{ mouseButton: PRIMARY, modifierKey: ALT }] });
      return;
    }
    for (const name of Object.values(this.#names)) this.#group.setToolPassive(name, { removeAllBindings: true });
    const { before } = this.#shared;
    if (primary === box && before !== undefined) this.#group.setToolActive(before, { bindings: [{ mouseButton: PRIMARY }] });
    this.#shared.before = undefined;
  }

  dispose(): void {
    const { core, tools } = this.#viewer;
    for (const [type, listener] of this.#listeners) core.eventTarget.removeEventListener(type, listener);
    this.mark();
    for (const uid of [...this.#placed, ...this.#begun]) tools.annotation.state.removeAnnotation(uid);
    if (--this.#shared.connections > 0) return;
    this.setActive(false);
    for (const name of [...Object.values(this.#names), this.#marker]) this.#group.setToolDisabled(name);
  }
}

interface AnnotationDetail {
  readonly annotation: ToolAnnotation;
  readonly viewportId?: string;
  readonly renderingEngineId?: string;
}

/** @throws {UmedsamError} `invalid-option` where the viewport has no tools. */
export function toolGroupOf({ tools, viewport, renderingEngineId }: Viewer, toolGroupId: string | undefined): ToolGroup {
  const { ToolGroupManager } = tools;
  const group = toolGroupId === undefined
    ? ToolGroupManager.getToolGroupForViewport(viewport.id, renderingEngineId)
    : ToolGroupManager.getToolGroup(toolGroupId);
  if (group !== undefined && group !== null) return group as ToolGroup;
  const message = toolGroupId === undefined
    ? `the viewport ${viewport.id} is in no tool group; make one with ToolGroupManager.createToolGroup and addViewport`
    : `there is no tool group ${toolGroupId}; name the one that the viewport is in`;
  throw new UmedsamError("invalid-option", message);
}
