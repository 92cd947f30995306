import { defineConfig } from 'vitest/config';

// One project per lane, so that a lane can be asked for by name.
const lane = (name: string, include: string[], timeoutMs: number, more: object = {}) => ({
  test: { name, include, testTimeout: timeoutMs, hookTimeout: 120_000, ...more },
});

/** The lanes with needs of their own. Every other test is a unit test, so a new folder needs no entry here. */
const others = ['property', 'fault', 'cluster', 'node', 'system', 'release'];

export default defineConfig({
  test: {
    // By default one processor is left for a person at work, of two one.
    maxWorkers: '100%',
    // Bun reads TypeScript itself; vite's own loader would transform each module once more for every test file.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    reporters: ['default', './test/support/skip-reporter.ts'],
    projects: [
      lane('unit', ['test/**/*.test.ts'], 10_000, { exclude: others.map((folder) => `test/${folder}/**`) }),
      lane('property', ['test/property/**/*.test.ts'], 60_000),
      lane('fault', ['test/fault/*.test.ts'], 120_000),
      // The executable, killed and starved: its suites run one after the other, because they share the machine.
      lane('real-fault', ['test/fault/real/**/*.test.ts'], 900_000, { fileParallelism: false }),
      lane('cluster', ['test/cluster/**/*.test.ts'], 120_000, { fileParallelism: false }),
      // Two releases, made side by side.
      lane('release', ['test/release/**/*.test.ts'], 120_000, { hookTimeout: 900_000, fileParallelism: false }),
      lane('node', ['test/node/**/*.test.ts'], 900_000, { fileParallelism: false }),
      lane('system', ['test/system/**/*.test.ts'], 120_000, { fileParallelism: false }),
    ],
  },
});
