/** The behaviour of a real API server that the plugin relies on; the stand-in is held to the same cases (test/effects). */
import { describe } from 'vitest';
import { Cluster } from '../support/cluster/cluster.ts';
import { clusterParts, missing } from '../support/requirements.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { apiCases } from '../support/stand-in/api-cases.ts';

const title = 'a real API server';
const lacking = missing(clusterParts);

if (lacking.length > 0 && !process.env.CI) {
  describe.skip(skippedTitle(title, lacking.join('; ')), () => apiCases(title, Cluster.start)); // never in CI: the title says what is missing
} else {
  apiCases(title, async () => {
    if (lacking.length > 0) throw new Error(lacking.join('\n'));
    return await Cluster.start();
  });
}
