export default {
  input: "plain.js",
  external: ["umedsam"],
  output: { file: "out/rollup/bundle.js", format: "es", paths: { umedsam: "./umedsam/dist/index.js" } },
};
