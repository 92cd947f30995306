/**
 * The question whose a published file is. Its text tells the name of a port, and the engine knows whether such a port stands.
 */

/** @returns the port's holder in words; undefined if there is none, or it is this attachment */
export type FindHolder = (port: string) => Promise<string | undefined>;
