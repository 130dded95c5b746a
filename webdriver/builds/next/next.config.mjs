// The test puts the address of its second server in place of this one.
export default { output: "export", assetPrefix: "http://assets.invalid:9" };
