/** A real Prometheus (Debian's package) that scrapes an agent of a test, with the alerts of deploy/. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { freePort } from './metered.ts';

const patienceMs = 30_000;

interface QueryAnswer {
  readonly status: string;
  readonly error?: string;
  readonly data: { readonly result: readonly { readonly metric: object; readonly value: readonly [number, string] }[] };
}

export class Prometheus {
  private constructor(private readonly port: number) {}

  /** @param target port of the agent's meter. It ends with the test. */
  static async start(target: number): Promise<Prometheus> {
    const directory = mkdtempSync(join(tmpdir(), 'usw-p-'));
    const port = await freePort();
    const config = {
      global: { scrape_interval: '250ms', scrape_timeout: '250ms' },
      scrape_configs: [{ job_name: 'userspace-cni', static_configs: [{ targets: [`127.0.0.1:${target}`] }] }],
    };
    // JSON is YAML.
    writeFileSync(join(directory, 'prometheus.yml'), JSON.stringify(config));
    const words = [
      `--config.file=${join(directory, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'prometheus', ...words], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await ended;
      rmSync(directory, { recursive: true, force: true });
    });
    const prometheus = new Prometheus(port);
    await prometheus.until(async () => (await prometheus.query('up{job="userspace-cni"} == 1')).length > 0);
    return prometheus;
  }

  /** The series of an instant query. @throws an Error if Prometheus does not take the expression */
  async query(expression: string): Promise<QueryAnswer['data']['result']> {
    const url = `http://127.0.0.1:${this.port}/api/v1/query?query=${encodeURIComponent(expression)}`;
    const answer = (await (await fetch(url)).json()) as QueryAnswer;
    if (answer.status !== 'success') throw new Error(`${expression}: ${answer.error}`);
    return answer.data.result;
  }

  async until(holds: () => Promise<boolean>, otherwise = () => 'Prometheus does not come'): Promise<void> {
    const end = performance.now() + patienceMs;
    while (!(await holds().catch(() => false))) {
      if (performance.now() > end) throw new Error(`${otherwise()} in ${patienceMs} ms`);
      await delay(50);
    }
  }
}
