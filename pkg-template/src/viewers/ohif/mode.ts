/** A mode for OHIF's study list: one of the site's modes with a button and a panel more. */

import { BUTTON, EVALUATE, PANEL, TOGGLE } from "./names.js";

/** What is used of a mode of OHIF. */
interface ModeInstance {
  readonly routes: readonly ModeRoute[];
  onModeEnter(context: ModeContext): unknown;
}

interface ModeRoute {
  layoutTemplate(context: unknown): Layout | Promise<Layout>;
}

interface Layout {
  readonly props: { readonly rightPanels?: readonly unknown[] };
}

interface ModeContext {
  readonly servicesManager: {
    readonly services: { readonly toolbarService: { register(buttons: readonly object[]): void; updateSection(section: string, buttons: string[]): void } };
  };
}

/** A mode as OHIF takes it in its configuration. */
export interface OhifMode {
  readonly id: string;
  modeFactory(options: never): unknown;
}

/** The mode that is extended, and how the new one is called. */
export interface UmedsamModeOptions {
  /** A mode of the site by name, or the mode itself; default `"@ohif/mode-segmentation"`. */
  readonly base?: string | OhifMode;
  /** Default `"umedsam"`; with the id of `base` the new mode takes its place in the study list. */
  readonly id?: string;
  /** Part of the address; default the id. */
  readonly routeName?: string;
  /** What the study list calls it; default `"Segmentation by boxes"`. */
  readonly displayName?: string;
}

interface FactoryOptions {
  readonly modeConfiguration?: object;
  loadModules(names: readonly (string | OhifMode)[]): Promise<readonly (OhifMode | undefined)[]>;
}

/**
 * A mode with everything that another one has, "Segment by a box" in front of its toolbar and the panel of `umedsamExtension` in front of its right-hand
 * panels.
 *
 * @example
 * window.config = { modes: [umedsamMode()], ... };
 */
export function umedsamMode(options: UmedsamModeOptions = {}): OhifMode {
  const { base = "@ohif/mode-segmentation", id = "umedsam", routeName = id, displayName = "Segmentation by boxes" } = options;
  return {
    id,
    async modeFactory(given: FactoryOptions) {
      const [mode] = await given.loadModules([base]).catch(() => []);
      if (mode === undefined) {
        // OHIF leaves a mode out that is none; an error would leave its page empty.
        console.error(`umedsam: OHIF has no mode ${String(base)}; name one of its modes as base of umedsamMode`);
        return undefined;
      }
      const instance = (await mode.modeFactory(given as never)) as ModeInstance;
      const [route, ...routes] = instance.routes;
      return {
        ...instance,
        id,
        routeName,
        displayName,
        hide: false,
        routes: route === undefined ? [] : [withPanel(route), ...routes],
        onModeEnter(this: ModeInstance, context: ModeContext) {
          const { toolbarService } = context.servicesManager.services;
          toolbarService.register([{ ...BUTTON_OF_TOOLBAR, props: { ...BUTTON_OF_TOOLBAR.props } }]);
          toolbarService.updateSection("primary", [BUTTON]);
          return instance.onModeEnter.call(this, context);
        },
      };
    },
  };
}

const BUTTON_OF_TOOLBAR = {
  id: BUTTON,
  uiType: "ohif.toolButton",
  props: {
    icon: "tool-rectangle",
    label: "Segment by a box",
    tooltip: "Segment by a box: drag around an object",
    commands: TOGGLE,
    evaluate: EVALUATE,
  },
};

function withPanel(route: ModeRoute): ModeRoute {
  return {
    ...route,
    async layoutTemplate(context) {
      const layout = await route.layoutTemplate(context);
      const { rightPanels = [] } = layout.props;
      const props = { ...layout.props, rightPanels: [PANEL, ...rightPanels], rightPanelClosed: false };
      return { ...layout, props };
    },
  };
}
