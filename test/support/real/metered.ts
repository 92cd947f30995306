/** An agent of a test that serves its figures, and a scraper's view of them. */
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { Agent, type AgentOptions } from './agent.ts';
import type { TestNode } from './node.ts';
import { through } from './way.ts';

/** Both ends of the wait for a report to be counted on a busy machine. */
const patienceMs = 10_000;

/** A port of this machine that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export class Metered {
  private constructor(
    readonly agent: Agent,
    readonly port: number,
  ) {}

  /** Returns when it answers. It ends with the test. */
  static async start(node: TestNode, options: AgentOptions & { readonly port?: number } = {}): Promise<Metered> {
    const { port = await freePort(), words = [], ...more } = options;
    const places = ['--data-dir', node.dataDir, '--ovsdb', node.theSwitch.ovsdb];
    const agent = await Agent.start({ ...more, words: ['--metrics', `127.0.0.1:${port}`, ...places, ...words] });
    onTestFinished(() => agent.stop());
    const metered = new Metered(agent, port);
    await metered.answers();
    return metered;
  }

  /** Returns when a meter listens. */
  async answers(): Promise<void> {
    await this.until(async () => (await this.get('/metrics')).status === 200);
  }

  /** The environment of a call that this agent makes. */
  get through() {
    return through(this.agent.directory);
  }

  get meter(): number {
    const [pid] = this.agent.children.filter(({ words }) => words.includes('--meter')).map(({ pid }) => pid);
    if (pid === undefined) throw new Error('there is no meter');
    return pid;
  }

  async get(path: string, method = 'GET'): Promise<{ readonly status: number; readonly text: string }> {
    const signal = AbortSignal.timeout(patienceMs);
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, { method, signal, keepalive: false });
    return { status: response.status, text: await response.text() };
  }

  /** The value of a series, without the prefix; undefined if it is not there. */
  async value(series: string): Promise<number | undefined> {
    const { text } = await this.get('/metrics');
    const line = text.split('\n').find((one) => one.startsWith(`userspace_${series} `));
    return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ')));
  }

  /** Waits until series have values: a report comes behind its call's answer. */
  async expectValues(expected: Readonly<Record<string, number>>): Promise<void> {
    const differing = async () => {
      const all = await Promise.all(
        Object.entries(expected).map(async ([series, wanted]) => ({ series, wanted, is: await this.value(series) })),
      );
      return all.filter(({ wanted, is }) => wanted !== is);
    };
    let rest: unknown = 'no answer';
    await this.until(async () => {
      const found = await differing();
      rest = found;
      return found.length === 0;
    }).catch(() => {
      throw new Error(`not as expected: ${JSON.stringify(rest)}`);
    });
  }

  async until(holds: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + patienceMs;
    while (!(await holds().catch(() => false))) {
      if (performance.now() > end) throw new Error(`not in ${patienceMs} ms: ${this.agent.said.join('\n')}`);
      await delay(20);
    }
  }
}
