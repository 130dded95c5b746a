// OHIF's own configuration; lines with "umedsam" are all that a site adds.
// A copy of the package lies beside the viewer: cp -r node_modules/umedsam VIEWER/umedsam
window.config = async () => {
  const { load } = await import("/umedsam/dist/index.js");
  const { umedsamExtension, umedsamMode } = await import("/umedsam/dist/ohif.js");
  return {
    extensions: [umedsamExtension({ model: (onProgress) => load({ onProgress, cache: "persistent" }) })],
    modes: [umedsamMode()],
    routerBasename: null,
    showStudyList: true,
    maxNumberOfWebWorkers: 2,
    showWarningMessageForCrossOrigin: true,
    showCPUFallbackMessage: true,
    showLoadingIndicator: true,
    strictZSpacingForVolumeViewport: true,
    investigationalUseDialog: { option: "never" },
    defaultDataSourceName: "dicomlocal",
    dataSources: [
      {
        namespace: "@ohif/extension-default.dataSourcesModule.dicomlocal",
        sourceName: "dicomlocal",
        configuration: { friendlyName: "files of this computer" },
      },
    ],
  };
};
