/** What a file may hold at most. Every bound is far above honest use and keeps a hostile file from costing memory or minutes. */

/** All sources together. 100,000 prefixes are 2.5 MB. */
export const SOURCE_BYTES_MAX = 32 * 1024 * 1024;

/** Files of one folder. */
export const SOURCE_FILES_MAX = 1_000;

/** The deepest key of the language is at depth 7. */
export const DEPTH_MAX = 32;

/** Values that aliases may stand for, over all sources: enough to reuse a long list many times, too little for an alias bomb. */
export const ALIASED_NODES_MAX = 250_000;

/** VIPs of one application, port ranges expanded: each is a socket in each worker. */
export const VIPS_PER_APPLICATION_MAX = 4_096;

/** Characters of a name: names become metric labels and journal fields. */
export const NAME_CHARACTERS_MAX = 64;

/** Linux: `sun_path` holds 108 bytes with the closing NUL (unix(7)). */
export const UNIX_PATH_BYTES_MAX = 107;

/** Servers by name, over all pools: each name is looked up for as long as the file is in force, and may have dozens of addresses. */
export const SERVER_NAMES_MAX = 1_024;

/** Characters of a path pattern or of a test's path: no request target is longer by default. */
export const PATH_CHARACTERS_MAX = 8_192;

/** Cases of a source that depends on identities; honest ones have two or three. */
export const IDENTITY_CASES_MAX = 256;
