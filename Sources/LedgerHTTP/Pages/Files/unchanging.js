// Shows the times of a page that does not follow anything in the viewer's time zone.

import "./session.js";
import "./times.js";
