/** The id of the data directory, wherever a test in this process' memory needs one. */
export const instance = '0123456789abcdef';
