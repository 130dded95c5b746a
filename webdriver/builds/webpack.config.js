export default {
  mode: "production",
  entry: { umedsam: "./plain.js" },
  output: { path: `${import.meta.dirname}/out/webpack`, filename: "[name].js" },
  performance: { hints: false },
};
