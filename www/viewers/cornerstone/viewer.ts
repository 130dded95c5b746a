/** A viewer of Cornerstone3D as any page has it: nothing of umedsam is in here. */

import * as core from "@cornerstonejs/core";
import { init as initLoader } from "@cornerstonejs/dicom-image-loader";
import * as tools from "@cornerstonejs/tools";

const { BrushTool, PanTool, StackScrollTool, WindowLevelTool, ZoomTool, Enums: { MouseBindings } } = tools;
type Group = ReturnType<typeof tools.ToolGroupManager.createToolGroup> & object;

/** Starts Cornerstone, with the usual tools. */
export function startViewer(): { engine: core.RenderingEngine; group: Group } {
  core.init();
  initLoader({ maxWebWorkers: 1 });
  tools.init();
  const group = tools.ToolGroupManager.createToolGroup("group") as Group;
  for (const tool of [BrushTool, PanTool, StackScrollTool, WindowLevelTool, ZoomTool]) tools.addTool(tool);
  for (const tool of [PanTool, StackScrollTool, WindowLevelTool, ZoomTool]) group.addTool(tool.toolName);
  group.addToolInstance("Brush", BrushTool.toolName, { activeStrategy: "FILL_INSIDE_CIRCLE" });
  group.addToolInstance("Eraser", BrushTool.toolName, { activeStrategy: "ERASE_INSIDE_CIRCLE" });
  group.setToolActive(StackScrollTool.toolName, { bindings: [{ mouseButton: MouseBindings.Wheel }] });
  group.setToolActive(PanTool.toolName, { bindings: [{ mouseButton: MouseBindings.Auxiliary }] });
  group.setToolActive(ZoomTool.toolName, { bindings: [{ mouseButton: MouseBindings.Secondary }] });
  return { engine: new core.RenderingEngine("engine"), group };
}

/** Shows images as a stack, or as a volume in one of three planes, in the viewport `viewport`. */
export async function showImages({ engine, group }: ReturnType<typeof startViewer>, element: HTMLDivElement, images: string[], view: string): Promise<void> {
  const isStack = view === "stack";
  const type = isStack ? core.Enums.ViewportType.STACK : core.Enums.ViewportType.ORTHOGRAPHIC;
  const orientation = isStack ? {} : { defaultOptions: { orientation: view as core.Enums.OrientationAxis } };
  engine.enableElement({ viewportId: "viewport", element, type, ...orientation });
  group.addViewport("viewport", engine.id);
  const viewport = engine.getViewport("viewport") as core.StackViewport | core.VolumeViewport;
  if (viewport instanceof core.StackViewport) await viewport.setStack(images, Math.floor(images.length * 0.6));
  else {
    const { volumeId } = await core.volumeLoader.createAndCacheVolumeFromImages(`volume-${images[0]}`.replaceAll(":", "-"), images);
    await viewport.setVolumes([{ volumeId }]);
  }
  viewport.render();
}

/** Gives the mouse's first button to a tool, or to prompts. */
export function mouse(group: Group, tool: string, setActive: (on: boolean) => void): void {
  for (const other of ["Brush", "Eraser", WindowLevelTool.toolName]) group.setToolPassive(other);
  setActive(tool === "prompt");
  if (tool !== "prompt") group.setToolActive(tool, { bindings: [{ mouseButton: MouseBindings.Primary }] });
}
