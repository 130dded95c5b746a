/** The bundler finds worker, modules and weights by itself. */

import { area, report } from "./main.js";

report(area({}));
