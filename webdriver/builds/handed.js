/** The worker is handed over; the bundler finds the rest by itself or beside the worker. */

import { area, report } from "./main.js";

report(area({ worker: () => new Worker("own-worker.js", { type: "module" }) }));
