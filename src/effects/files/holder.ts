/**
 * The question to which attachment a published file belongs. Its text names a port, and the engine knows whether that port exists.
 */

/** @returns the port's holder in words; undefined if there is none, or if it is this attachment */
export type FindHolder = (port: string) => Promise<string | undefined>;
