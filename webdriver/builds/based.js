/** A copy of the package's files is beside the page. */

import { area, report } from "./main.js";

report(area({ baseUrl: new URL("umedsam/", document.baseURI) }));
