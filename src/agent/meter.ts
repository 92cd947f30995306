/**
 * The meter of an agent: a process that hears what calls and recoveries report, counts it, and answers scrapers. It is a process of its own,
 * so whatever a scraper does delays no call, and a meter that is killed costs nothing but figures.
 *
 * Invariants
 *  ME1 One meter at a time counts for a directory: the holder of the lock. It writes its counters before it lets the lock go, so the next
 *     one goes on from them.
 *  ME2 Counters are in their file at most ten seconds after the event (`writeMs`), and whenever the agent ends.
 *  ME3 Scrapers that come while an answer is being made get that answer: many of them cost as much as one.
 */
import { chmodSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { sleep } from '../deadlines.ts';
import { Counts } from '../figures/counts.ts';
import type { NodeFigures } from '../figures/node.ts';
import { parseReport, reportBytesMax } from '../figures/report.ts';
import { contentType, type Family, textOf } from '../figures/text.ts';
import { flock } from '../os/native.ts';
import { type HttpAnswer, type HttpPlace, type Line, listenForTexts, serveHttp, takeLine } from '../os/servers.ts';
import { reapChildren } from '../os/unix-sockets.ts';
import { controlFd, takeName } from './child.ts';
import { loadWord, readyWord, type ToldLoad } from './metering.ts';
import { figuresSocket } from './report.ts';

/** How long a counter may be newer than the file. */
const writeMs = 10_000;
/** The pause between two tries for something that another process still has: the lock, or the address. */
const retryMs = 100;
/** How often the supervisor is told that this process is at work. */
const atWorkMs = 15_000;
/** The tries after which the wait is told. */
const toldTries = 50;
/** How long the supervisor may take to tell its load: it answers between two calls. */
const loadMs = 250;
/** How long calls that report while the meter ends are still heard. */
const lastMs = 20;
/** How long an answer may take: the looks at a node that hangs have their own, shorter limits. */
const answerSeconds = 30;

export interface MeterOptions {
  readonly directory: string;
  readonly place: HttpPlace;
  readonly figures: NodeFigures;
  readonly clock: () => Date;
  readonly log: (line: string) => void;
}

/** Serves until the supervisor ends, or no longer needs it. */
export async function meter(options: MeterOptions): Promise<void> {
  const { directory, log } = options;
  takeName();
  const supervisor = await Supervisor.take();
  const lock = openSync(`${directory}/figures.lock`, 'a', 0o600);
  for (let tries = 1; !flock(lock); tries++) {
    if (supervisor.hasEnded) return;
    if (tries === toldTries)
      log(`another meter counts still ("${directory}/figures.lock"): this one waits for its end`);
    await sleep(retryMs);
  }
  const store = new Store(`${directory}/figures.json`, options);
  const path = figuresSocket(directory);
  rmSync(path, { force: true });
  const reports = listenForTexts({ path, bytesMax: reportBytesMax, heard: (text) => store.add(text) });
  chmodSync(path, 0o600);
  supervisor.sayReady();
  setInterval(() => supervisor.sayReady(), atWorkMs).unref();
  const pages = new Pages(store, supervisor, options);
  const http = await listening(options, pages, supervisor);
  if (http) log(`serves /metrics and /healthz at ${placeText(options.place)}`);
  await supervisor.ended;
  http?.stop();
  rmSync(path, { force: true });
  await sleep(lastMs);
  reports.stop();
  store.write();
}

/** Another agent that is about to end may still have the address. @returns undefined if the supervisor ended meanwhile */
async function listening({ place, log }: MeterOptions, pages: Pages, supervisor: Supervisor) {
  let said = '';
  while (!supervisor.hasEnded) {
    try {
      if ('unix' in place) rmSync(place.unix, { force: true });
      const server = serveHttp(place, answerSeconds, (method, path) => pages.answer(method, path));
      if ('unix' in place) chmodSync(place.unix, 0o600);
      return server;
    } catch (error) {
      const reason = `cannot listen at ${placeText(place)}, and tries again: ${error}`;
      if (reason !== said) log(reason);
      said = reason;
      await Promise.race([sleep(retryMs * 10), supervisor.ended]);
    }
  }
  return undefined;
}

const placeText = (place: HttpPlace): string =>
  'unix' in place ? `unix:${place.unix}` : `${place.hostname}:${place.port}`;

class Supervisor {
  hasEnded = false;
  readonly ended: Promise<void>;
  #line: Line | undefined;
  #waiting: ((load: ToldLoad | undefined) => void)[] = [];

  private constructor(ended: Promise<void>) {
    this.ended = ended.then(() => {
      this.hasEnded = true;
    });
  }

  static async take(): Promise<Supervisor> {
    let closed: () => void = () => undefined;
    const supervisor = new Supervisor(
      new Promise((resolve) => {
        closed = resolve;
      }),
    );
    supervisor.#line = await takeLine(controlFd, { heard: (text) => supervisor.#hear(text), closed });
    return supervisor;
  }

  sayReady(): void {
    this.#line?.say(readyWord);
  }

  /** @returns undefined if it does not answer at once */
  async load(): Promise<ToldLoad | undefined> {
    const answer = new Promise<ToldLoad | undefined>((resolve) => this.#waiting.push(resolve));
    this.#line?.say(loadWord);
    return await Promise.race([answer, sleep(loadMs).then(() => undefined)]);
  }

  #hear(text: string): void {
    for (const tell of this.#waiting.splice(0)) tell(JSON.parse(text) as ToldLoad);
  }
}

/** The counters, and their file. */
class Store {
  readonly #path: string;
  readonly #clock: () => Date;
  readonly #log: (line: string) => void;
  readonly counts: Counts;
  #isWaiting = false;

  constructor(path: string, { clock, log }: MeterOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
    this.counts = this.#read();
  }

  add(text: string | undefined): void {
    this.counts.add(text === undefined ? undefined : parseReport(text), this.#clock().getTime() / 1000);
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    setTimeout(() => this.write(), writeMs).unref();
  }

  /** Only the lock's holder writes, so one name beside it is enough, and a killed meter's file is written over. */
  write(): void {
    this.#isWaiting = false;
    const fresh = `${this.#path}.new`;
    try {
      writeFileSync(fresh, JSON.stringify(this.counts), { mode: 0o600 });
      renameSync(fresh, this.#path);
    } catch (error) {
      this.#log(`the counters cannot be written: ${error}`);
    }
  }

  #read(): Counts {
    let text: string;
    try {
      // A FIFO in its place would never end.
      if (!statSync(this.#path).isFile()) return new Counts();
      text = readFileSync(this.#path, 'utf8');
    } catch {
      return new Counts();
    }
    const counts = Counts.from(text);
    if (!counts) this.#log(`"${this.#path}" is not of this release: the counters begin with 0`);
    return counts ?? new Counts();
  }
}

const plainText = 'text/plain; charset=utf-8';

class Pages {
  readonly #store: Store;
  readonly #supervisor: Supervisor;
  readonly #options: MeterOptions;
  readonly #underWay = new Map<string, Promise<HttpAnswer>>();

  constructor(store: Store, supervisor: Supervisor, options: MeterOptions) {
    this.#store = store;
    this.#supervisor = supervisor;
    this.#options = options;
  }

  async answer(method: string, path: string): Promise<HttpAnswer> {
    const pages: { readonly [path: string]: () => Promise<HttpAnswer> } = {
      '/metrics': () => this.#metrics(),
      '/healthz': () => this.#health(),
    };
    const make = Object.hasOwn(pages, path) ? pages[path] : undefined;
    if (!make) return { status: 404, type: plainText, body: 'there are /metrics and /healthz\n' };
    if (method !== 'GET' && method !== 'HEAD') return { status: 405, type: plainText, body: 'only GET and HEAD\n' };
    return await this.#shared(path, make);
  }

  async #shared(path: string, make: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
    const underWay = this.#underWay.get(path);
    if (underWay !== undefined) return await underWay;
    const making = make()
      .catch((error: unknown): HttpAnswer => ({ status: 500, type: plainText, body: `${error}\n` }))
      .finally(() => {
        this.#underWay.delete(path);
        // Orphans of an IPAM program, or of one that gives credentials, are this process's (native.ts, spawnProgram).
        if (this.#underWay.size === 0) reapChildren();
      });
    this.#underWay.set(path, making);
    return await making;
  }

  async #metrics(): Promise<HttpAnswer> {
    const { figures } = this.#options;
    const [ofNode, load] = await Promise.all([figures.families(), this.#supervisor.load()]);
    const families = [...ofNode, ...this.#store.counts.families(), ...ofAgent(load)];
    return { status: 200, type: contentType, body: textOf(families) };
  }

  async #health(): Promise<HttpAnswer> {
    const sick = await this.#options.figures.sick();
    const body = sick.length === 0 ? 'ok\n' : sick.map((line) => `${line}\n`).join('');
    return { status: sick.length === 0 ? 200 : 503, type: plainText, body };
  }
}

function ofAgent(load: ToldLoad | undefined): Family[] {
  const workers = Object.entries(load?.workers ?? {}).map(([state, value]) => ({ labels: { state }, value }));
  return [
    { name: 'agent_workers', type: 'gauge', help: 'Worker processes of the agent by state.', samples: workers },
    {
      name: 'agent_queue',
      type: 'gauge',
      help: 'Calls that wait for a worker.',
      samples: load ? [{ value: load.queue }] : [],
    },
    {
      name: 'agent_start_time_seconds',
      type: 'gauge',
      help: 'When the agent was started.',
      samples: load ? [{ value: load.startedAt }] : [],
    },
  ];
}
