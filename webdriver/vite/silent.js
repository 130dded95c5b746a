// A worker that runs no engine.
self.onmessage = () => {};
