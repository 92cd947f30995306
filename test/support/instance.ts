/** The id of the data directory, for every test in memory that needs one. */
export const instance = '0123456789abcdef';
