import { existsSync, readdirSync } from "node:fs";

const pages = readdirSync(import.meta.dirname).filter((name) => name !== "node_modules" && existsSync(`${import.meta.dirname}/${name}/index.html`));

export default {
  mode: "production",
  context: import.meta.dirname,
  entry: Object.fromEntries(pages.map((name) => [name, `./${name}/main.js`])),
  output: { path: `${import.meta.dirname}/out`, filename: "[name].js" },
  experiments: { topLevelAwait: true },
  // What decoders of DICOM ask Node.js for and do not get in a browser.
  resolve: { fallback: { fs: false, path: false, url: false, zlib: false } },
  // Most of the time would go into it.
  optimization: { minimize: false },
  performance: { hints: false },
};
