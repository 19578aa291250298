/** Imported before any schema parses: zod's compiled parsers need `new Function`, which the page's content
 * security policy forbids, and even its probe for it would be reported as a violation. */
import { config } from "zod";

config({ jitless: true });
