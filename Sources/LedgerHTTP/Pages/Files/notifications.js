// Shows the times of the page of notifications in the viewer's time zone.

import "./session.js";
import "./times.js";
