export default { optimizeDeps: { exclude: ["umedsam"] } };
