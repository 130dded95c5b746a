/** The package's worker as an entry of one's own. */

import "umedsam/worker";
