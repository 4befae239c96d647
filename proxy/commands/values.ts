/** Words that commands take in some places, apart from what the commands load: completion needs no more than these. */

/** What `bulkhead export --to` takes. */
export const EXPORT_TARGETS = ['nftables', 'kubernetes'] as const;
/** What a running node goes by, in the place of a file. */
export const IN_FORCE = 'in-force';
