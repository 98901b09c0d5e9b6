/** The version of this program: the one place that reads it, stamped into the executable by the bundler. */
import { version as packageVersion } from "../../package.json" with { type: "json" };

export const version: string = packageVersion;
