import { describe, expect, it } from 'vitest';
import type { Handlers, Status } from '../../src/cni/command.ts';
import { CniError } from '../../src/cni/error.ts';
import type { Environment } from '../../src/cni/request.ts';
import type { Result } from '../../src/cni/result.ts';
import { runCniCommand } from '../support/cni-command.ts';
import { environment, network, textOf } from '../support/cni-requests.ts';

const attached: Result = { interfaces: [{ name: 'net1' }], ips: [{ address: '10.0.0.5/24' }], routes: [] };

const supported = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];

const fine: Handlers = {
  add: () => Promise.resolve(attached),
  check: () => Promise.resolve(),
  del: () => Promise.resolve(),
  gc: () => Promise.resolve(),
};

interface Call {
  readonly env?: Environment;
  readonly config?: unknown;
  readonly handlers?: Partial<Handlers>;
  readonly stdin?: () => string;
  readonly status?: Status;
  /** Whether the reader of stdout takes the answer. */
  readonly isRead?: boolean;
}

/** Makes one call and records its standard streams. */
async function call(
  command: string,
  { env, config = network(), handlers, stdin, status = async () => undefined, isRead = true }: Call = {},
) {
  const out: string[] = [];
  const err: string[] = [];
  let loaded = 0;
  const streams = {
    env: environment({ CNI_COMMAND: command, ...env }),
    stdin: stdin ?? (() => textOf(config)),
    stdout: async (text: string) => out.push(text) > 0 && isRead,
    stderr: (text: string) => void err.push(text),
  };
  const load = () => {
    loaded++;
    return Promise.resolve({ ...fine, ...handlers });
  };
  const exitCode = await runCniCommand(streams, load, () => Promise.resolve(status));
  const text = out.join('');
  return {
    exitCode,
    writes: out.length,
    text,
    json: text === '' ? undefined : JSON.parse(text),
    err: err.join(''),
    loaded,
  };
}

const failing = (error: unknown): Partial<Handlers> => ({
  add: () => Promise.reject(error),
  check: () => Promise.reject(error),
  del: () => Promise.reject(error),
});

describe('stdout carries exactly one JSON document (case A9, bug B45)', () => {
  it('after a successful ADD: the result, in the version that was asked for (bug B39)', async () => {
    for (const cniVersion of supported) {
      const { exitCode, writes, json, err } = await call('ADD', {
        config: network({ cniVersion, ipam: { type: 'x' } }),
      });
      expect({ exitCode, writes, err }).toEqual({ exitCode: 0, writes: 1, err: '' });
      expect(json.cniVersion).toBe(cniVersion);
    }
  });

  it('kind 6: a call whose reader did not take the answer has failed, whatever the answer was', async () => {
    for (const handlers of [fine, failing(new CniError(7, 'no'))]) {
      const { exitCode, writes, err } = await call('ADD', {
        config: network({ ipam: { type: 'x' } }),
        handlers,
        isRead: false,
      });
      expect({ exitCode, writes }).toEqual({ exitCode: 1, writes: 1 });
      expect(err).toContain('stdout was not read');
    }
  });

  it.each(['CHECK', 'DEL'])('and nothing at all after a successful %s', async (command) => {
    const answered = await call(command, { config: network({ prevResult: {} }) });
    expect(answered).toMatchObject({ exitCode: 0, text: '', err: '' });
  });

  it.each(['ADD', 'CHECK', 'DEL'])('after a failed %s: the error object, with cniVersion', async (command) => {
    const { exitCode, writes, json, err } = await call(command, {
      config: network({ cniVersion: '0.4.0', prevResult: {} }),
      handlers: failing(new CniError(11, 'the switch is away', 'since noon')),
    });
    expect({ exitCode, writes }).toEqual({ exitCode: 1, writes: 1 });
    expect(json).toEqual({ cniVersion: '0.4.0', code: 11, msg: 'the switch is away', details: 'since noon' });
    expect(err).toContain(`${command}: the switch is away`);
  });

  it('after a bug in a handler: code 999', async () => {
    expect((await call('ADD', { handlers: failing(new TypeError('oops')) })).json).toMatchObject({
      code: 999,
      msg: 'oops',
    });
  });

  it('after stdin that cannot be read: code 5', async () => {
    const stdin = (): string => {
      throw new Error('EIO: i/o error, read');
    };
    const { exitCode, json } = await call('ADD', { stdin });
    expect(exitCode).toBe(1);
    expect(json).toEqual({ cniVersion: '1.1.0', code: 5, msg: 'cannot read stdin: EIO: i/o error, read' });
  });

  it('after stdin that is not JSON: code 6, in the newest version', async () => {
    for (const config of ['', '{', 'null', '[]', '{"cniVersion": 7}']) {
      const { exitCode, writes, json } = await call('ADD', { config });
      expect({ exitCode, writes, cniVersion: json.cniVersion }).toEqual({
        exitCode: 1,
        writes: 1,
        cniVersion: '1.1.0',
      });
    }
  });

  it('after an id shorter than 12 characters as after any other (bug B26)', async () => {
    const { exitCode, json } = await call('ADD', { env: { CNI_CONTAINERID: 'a' } });
    expect({ exitCode, name: json.interfaces[0].name }).toEqual({ exitCode: 0, name: 'net1' });
  });

  it('which never has an empty details member', async () => {
    expect((await call('ADD', { handlers: failing(new CniError(7, 'x', '')) })).json).not.toHaveProperty('details');
  });
});

describe('an ADD in a version that cannot express its result', () => {
  it('is refused before any handler is loaded', async () => {
    const { exitCode, json, loaded } = await call('ADD', { config: network({ cniVersion: '0.2.0' }) });
    expect({ exitCode, code: json.code, loaded }).toEqual({ exitCode: 1, code: 1, loaded: 0 });
  });
});

describe('the handler', () => {
  it('of the verb gets the request, and no other handler does', async () => {
    const told: string[] = [];
    const handlers: Handlers = {
      add: ({ key }) => {
        told.push(`add ${key.ifName}`);
        return Promise.resolve(attached);
      },
      check: ({ key }) => Promise.resolve(void told.push(`check ${key.ifName}`)),
      del: ({ key }) => Promise.resolve(void told.push(`del ${key.ifName}`)),
      gc: ({ network: name }) => Promise.resolve(void told.push(`gc ${name}`)),
    };
    for (const command of ['ADD', 'CHECK', 'DEL'])
      await call(command, { config: network({ prevResult: {} }), handlers });
    expect(told).toEqual(['add net1', 'check net1', 'del net1']);
  });

  it('is not loaded for refused input', async () => {
    for (const command of ['ADD', 'CHECK', 'DEL'])
      expect(await call(command, { env: { CNI_IFNAME: '..' } })).toMatchObject({ exitCode: 1, loaded: 0 });
  });
});

describe('a call by a program that we started', () => {
  const env = { USERSPACE_CNI_CALL: '1 net:c0ffee:net1' };

  it.each(['ADD', 'CHECK', 'DEL', 'GC', 'STATUS'])(
    'kind 6: is refused with code 7 at once, naming the key that leads to itself, because the chain would not end (%s)',
    async (command) => {
      const { exitCode, json, loaded } = await call(command, { env });
      expect({ exitCode, loaded, code: json.code }).toEqual({ exitCode: 1, loaded: 0, code: 7 });
      expect(json.msg).toContain('"ipam.type"');
    },
  );

  it('may call VERSION', async () => {
    expect(await call('VERSION', { env })).toMatchObject({ exitCode: 0, json: { supportedVersions: supported } });
  });
});

describe('an unknown verb', () => {
  it.each(['JUMP', 'add', 'ADD ', ''])('%j is code 4, naming it', async (command) => {
    const { exitCode, json, loaded } = await call(command);
    expect({ exitCode, json, loaded }).toEqual({
      exitCode: 1,
      json: { cniVersion: '1.0.0', code: 4, msg: `unknown CNI_COMMAND: ${command}` },
      loaded: 0,
    });
  });
});

describe('VERSION', () => {
  it('answers with the version of the request and all supported ones, loading nothing', async () => {
    expect(await call('VERSION', { config: { cniVersion: '0.4.0' } })).toMatchObject({
      exitCode: 0,
      json: { cniVersion: '0.4.0', supportedVersions: supported },
      loaded: 0,
    });
  });

  it.each(['', '{', '{}', '{"cniVersion": ""}', '{"cniVersion": 7}', 'null'])(
    'answers in its newest version to %j',
    async (config) => {
      expect((await call('VERSION', { config })).json).toEqual({ cniVersion: '1.1.0', supportedVersions: supported });
    },
  );

  it('needs no other variable', async () => {
    const none = { CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined, CNI_PATH: undefined };
    expect((await call('VERSION', { env: none })).exitCode).toBe(0);
  });
});
