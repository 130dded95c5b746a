/** Sees every WebAssembly memory of this page; imported before any engine. */

const memories = new Set();

WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
  construct(target, args) {
    const memory = Reflect.construct(target, args);
    memories.add(memory);
    return memory;
  },
});

function keepMemories(instance) {
  for (const value of Object.values(instance.exports)) {
    if (Object.prototype.toString.call(value) === "[object WebAssembly.Memory]") memories.add(value);
  }
}

for (const name of ["instantiate", "instantiateStreaming"]) {
  const original = WebAssembly[name];
  WebAssembly[name] = async (...args) => {
    const result = await original.apply(WebAssembly, args);
    keepMemories(result.instance ?? result);
    return result;
  };
}

/** Bytes of all WebAssembly memories, which never shrink. */
export function wasmBytes() {
  return [...memories].reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
}
