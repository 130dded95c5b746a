import { existsSync, readdirSync } from "node:fs";

/** A folder with an index.html is a page. */
const pages = readdirSync(".").filter((name) => name !== "node_modules" && existsSync(`${name}/index.html`));

export default {
  // Wherever the pages are put.
  base: "./",
  worker: { format: "es" },
  // Decoders of DICOM come as CommonJS beside their wasm modules.
  optimizeDeps: { exclude: ["@cornerstonejs/dicom-image-loader", "umedsam"], include: ["dicom-parser"] },
  build: {
    target: "es2022",
    chunkSizeWarningLimit: 10_000,
    rollupOptions: { input: Object.fromEntries(pages.map((name) => [name, `${name}/index.html`])) },
  },
};
