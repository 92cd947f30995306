/**
 * Prints at the end of a run which tests were skipped and why, as their titles say in brackets. A run whose pattern fits no test's
 * name fails, because it would look like a successful one.
 */
import type { Reporter, TestModule, Vitest } from 'vitest/node';

/** The reason in the full name of a test, or of a suite around it. */
export const skippedTitle = (title: string, reason: string): string => `${title} [skipped: ${reason}]`;

const reasonIn = (fullName: string): string | undefined => fullName.match(/\[skipped: (.*?)\](?= > |$)/)?.[1];

/** Whether a module ran any test; one that broke before its first test counts too, so that its error is shown. */
const hasRun = (one: TestModule): boolean =>
  one.errors().length > 0 || [...one.children.allTests()].some((test) => test.result().state !== 'skipped');

export default class SkipReporter implements Reporter {
  #isPicked = false;

  onInit({ config }: Vitest): void {
    this.#isPicked = config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = new Map<string, number>();
    for (const one of modules) {
      for (const { fullName } of one.children.allTests('skipped')) {
        // Tests outside of the pattern were left out by the caller.
        const reason = reasonIn(fullName) ?? (this.#isPicked ? undefined : 'no reason is given');
        if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1);
      }
    }
    for (const [reason, count] of counts) console.log(`skipped: ${count} tests: ${reason}`);
    if (this.#isPicked && counts.size === 0 && !modules.some(hasRun)) {
      console.error('no test has run: none has such a name');
      process.exitCode = 1;
    }
  }
}
