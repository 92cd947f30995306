/**
 * The one place that decides the seed of fast-check, so that a suite's title says how to run it again: FC_SEED=… npm test.
 */
import fc from 'fast-check';

/** Runs of a commit must be comparable: in CI the seed is fixed, and a nightly run sets its own. */
const seedOfCi = 20_250_117;

function chooseSeed(): number {
  const given = process.env.FC_SEED;
  if (given !== undefined && given !== '') {
    const seed = Number(given);
    if (!Number.isInteger(seed)) throw new Error(`FC_SEED must be an integer, not "${given}"`);
    return seed;
  }
  return process.env.CI ? seedOfCi : Math.floor(Math.random() * 2 ** 31);
}

const seed = chooseSeed();

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });

/** The title of a suite of properties. */
export const withSeed = (title: string): string => `${title} (FC_SEED=${seed})`;
