/** `userspace recover --events`: what is told of which pod, and that telling it changes nothing else. */
import { describe, expect, it } from 'vitest';
import { runAgent } from '../../src/agent/agent.ts';
import type { AttachmentKey } from '../../src/attachment.ts';
import type { Begin, Entry } from '../../src/drive/entry.ts';
import { ApiError } from '../../src/effects/kubernetes/api-error.ts';
import type { PodEvent } from '../../src/effects/kubernetes/event.ts';
import type { Outcome } from '../../src/machines/protocol.ts';
import { attached, begin, type CliScene, cliScene, owing } from '../support/fake/cli-scene.ts';
import { keyOf } from '../support/stand-in/scene.ts';

const args = (name = 'app', namespace = 'blue') =>
  `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=uid-1`;

/** The entries, of an attachment that a runtime made for a pod. */
const ofPod = (entries: readonly Entry[], cniArgs = args(), more: Partial<Begin['plan']> = {}): Entry[] =>
  entries.map((entry) =>
    entry.kind === 'begin'
      ? {
          ...entry,
          plan: {
            ...entry.plan,
            request: { stdin: '{"cniVersion":"1.0.0","name":"net"}', env: { CNI_ARGS: cniArgs } },
            ...more,
          },
        }
      : entry,
  );

const failed = (message = 'the switch is away'): Outcome => ({ kind: 'failed', trouble: { code: 11, message } });

async function scene(answer: Outcome = failed()) {
  const s = await cliScene();
  const told: { kubeconfig: string | undefined; event: PodEvent }[] = [];
  const seen = new Set<string>();
  s.answer = ({ verb }) => (verb === 'remove' ? answer : { kind: 'ok' });
  s.tell = async (kubeconfig, event) => {
    told.push({ kubeconfig, event });
    const { reason, about } = event;
    const isKnown = seen.has(`${reason} ${about}`);
    seen.add(`${reason} ${about}`);
    return isKnown ? 'known' : 'sent';
  };
  return Object.assign(s, { told });
}

const later = (s: CliScene, ms: number) => {
  s.now = new Date(s.now.getTime() + ms);
};

const [key, other]: [AttachmentKey, AttachmentKey] = [keyOf('c0ffee'), keyOf('beef')];

describe('what is owed', () => {
  it('is told after a minute: what, since when, why, what to do, and to which pod', async () => {
    const s = await scene();
    await s.journal(key, ofPod(owing(key)), true);
    later(s, 61_000);
    const { exitCode, out } = await s.run('recover', '--events');
    expect(exitCode).toBe(3);
    expect(out).toContain('events: 1 sent, 0 sent before\n');
    expect(s.told).toMatchObject([
      {
        kubeconfig: undefined,
        event: {
          pod: { namespace: 'blue', name: 'app', uid: 'uid-1' },
          type: 'Warning',
          reason: 'UserspaceOwed',
          message: expect.stringMatching(
            /^Interface net1 of network .* \(container c0ffee\): .* owed since 2025-01-17T12:00:00.000Z \(.*the switch is away.*\)\..*userspace recover/,
          ),
        },
      },
    ]);
    expect(s.told[0]?.event.onlyLiving).toBeUndefined();
  });

  it('is not told within its first minute', async () => {
    const s = await scene();
    await s.journal(key, ofPod(owing(key)), true);
    later(s, 60_000);
    expect((await s.run('recover', '--events')).out).not.toContain('events:');
    expect(s.told).toEqual([]);
  });

  it('is the same event at each recovery, whatever was tried in between', async () => {
    const s = await scene();
    await s.journal(key, ofPod(owing(key)), true);
    later(s, 61_000);
    await s.run('recover', '--events');
    s.answer = ({ verb }) => (verb === 'remove' ? failed('another reason') : { kind: 'ok' });
    later(s, 300_000);
    const { out } = await s.run('recover', '--events');
    expect(out).toContain('events: 0 sent, 1 sent before\n');
    expect(new Set(s.told.map(({ event }) => event.about)).size).toBe(1);
  });

  it('and has been paid by this recovery is not told', async () => {
    const s = await scene({ kind: 'ok' });
    await s.journal(key, ofPod(owing(key)), true);
    later(s, 3_600_000);
    expect((await s.run('recover', '--events')).exitCode).toBe(0);
    expect(s.told).toEqual([]);
  });

  it('with its annotation is told by the journal’s kubeconfig, to the pod that the API server knew', async () => {
    const s = await scene();
    const pod = { namespace: 'green', name: 'vm', uid: 'uid-9' };
    const publication = { kubeconfig: '/etc/kubeconfig', pod, mappedDir: '/run/', data: {} };
    await s.journal(key, ofPod(owing(key), args(), { publication }), true);
    later(s, 61_000);
    await s.run('recover', '--events');
    expect(s.told).toMatchObject([{ kubeconfig: '/etc/kubeconfig', event: { pod } }]);
  });
});

describe('a port that the switch lost', () => {
  it('and that was put back is told, each time again', async () => {
    const s = await scene();
    // Without an address no IPAM program is asked.
    const { address, ...plan } = begin(key).plan;
    const rest = attached(key).filter(
      (entry) => entry.kind !== 'begin' && !('step' in entry && entry.step === 'address'),
    );
    await s.journal(key, ofPod([{ ...begin(key), plan }, ...rest]));
    s.isLost = true;
    expect(await s.run('recover', '--events')).toMatchObject({ exitCode: 0, err: '' });
    later(s, 1);
    expect(await s.run('recover', '--events')).toMatchObject({ exitCode: 0 });
    const [first, second] = s.told.map(({ event }) => event);
    expect(first).toMatchObject({
      type: 'Normal',
      reason: 'UserspacePutBack',
      message: expect.stringMatching(/put back/),
    });
    expect(second?.about).not.toBe(first?.about);
  });

  it('and that cannot be put back is told at once, and once', async () => {
    const s = await scene();
    await s.journal(key, ofPod(attached(key)));
    s.isLost = true;
    s.restoreTrouble = { code: 11, message: 'ovs-vswitchd is behind' };
    for (const ms of [0, 300_000]) {
      later(s, ms);
      expect((await s.run('recover', '--events')).exitCode).toBe(3);
    }
    const [first, second] = s.told.map(({ event }) => event);
    expect(first).toMatchObject({
      type: 'Warning',
      reason: 'UserspaceOwed',
      message: expect.stringMatching(/lost its port.*vswitchd is behind/),
    });
    expect(second?.about).toBe(first?.about);
  });
});

describe('an attachment whose runtime lost the DEL', () => {
  it('is told to a pod that lives, once it is released', async () => {
    const s = await scene({ kind: 'ok' });
    await s.journal(key, ofPod(attached(key)));
    s.life = 'gone';
    expect(await s.run('recover', '--events')).toMatchObject({ exitCode: 0 });
    expect(s.told).toMatchObject([
      {
        event: {
          type: 'Normal',
          reason: 'UserspaceReleased',
          message: expect.stringMatching(/released/),
          onlyLiving: true,
        },
      },
    ]);
  });

  it('and one of an earlier boot is told to none: its DEL comes later', async () => {
    const s = await scene({ kind: 'ok' });
    await s.journal(
      key,
      ofPod(attached(key)).map((entry) => (entry.kind === 'begin' ? { ...entry, boot: 'boot-0' } : entry)),
    );
    expect((await s.run('recover', '--events')).out).toContain('rebooted, removed');
    expect(s.told).toEqual([]);
  });
});

describe('a hostile or unknown name', () => {
  it.each([
    ['no pod at all', ''],
    ['a path', args('../../secrets')],
    ['a query', args('app?x=1')],
    ['capitals', args('App')],
    ['a name that is too long', args('a'.repeat(254))],
    ['a namespace that is a path', args('app', 'blue%2Fpods')],
  ])('%s is told to none, and recovery goes on', async (_, cniArgs) => {
    const s = await scene();
    await s.journal(key, ofPod(owing(key), cniArgs), true);
    later(s, 61_000);
    expect((await s.run('recover', '--events')).exitCode).toBe(3);
    expect(s.told).toEqual([]);
  });

  it('and a message with secrets and control characters shows neither (EV3)', async () => {
    const s = await scene(failed('pool said:\n\u001b[31m password=hunter2x and Authorization: Bearer abc123def456'));
    await s.journal(key, ofPod(owing(key)), true);
    later(s, 61_000);
    await s.run('recover', '--events');
    const message = s.told[0]?.event.message ?? '';
    expect(message).toContain('pool said');
    expect(message).not.toMatch(/hunter2x|abc123def456|\p{Cc}/u);
  });
});

describe('telling', () => {
  const twoOwed = async () => {
    const s = await scene();
    for (const one of [key, other]) await s.journal(one, ofPod(owing(one)), true);
    later(s, 61_000);
    return s;
  };

  it('without the right is said once, and asked once (EV2); the exit code is that of the work', async () => {
    const s = await twoOwed();
    let asked = 0;
    s.tell = async () => {
      asked++;
      throw new ApiError(
        7,
        'API server forbids to create events in namespace "blue" (403): RBAC needs it',
        'forbidden',
      );
    };
    const { exitCode, out, err } = await s.run('recover', '--events');
    expect({ exitCode, err, asked }).toEqual({ exitCode: 3, err: '', asked: 1 });
    expect(out.match(/forbids to create events/g)).toHaveLength(1);
    expect(out).toContain('events: 2 not sent: ');
    const { json } = { json: JSON.parse((await s.run('recover', '--events', '--json')).out) };
    expect(json.events).toEqual({
      sent: 0,
      known: 0,
      notSent: [{ count: 2, message: expect.stringContaining('403') }],
    });
  });

  it('that fails otherwise is tried for the others', async () => {
    const s = await twoOwed();
    let asked = 0;
    s.tell = async () => {
      if (asked++ === 0) throw new ApiError(11, 'answered 500');
      return 'sent';
    };
    expect((await s.run('recover', '--events')).out).toMatch(
      /1 sent, 0 sent before\nevents: 1 not sent: answered 500\n$/,
    );
  });

  it('is not asked for without --events, and without news says nothing', async () => {
    const s = await twoOwed();
    const { out } = await s.run('recover', '--json');
    expect(JSON.parse(out)).not.toHaveProperty('events');
    expect(s.told).toEqual([]);
    const quiet = await scene();
    await quiet.journal(key, ofPod(attached(key)));
    expect((await quiet.run('recover', '--events')).out).not.toContain('events');
    expect(JSON.parse((await quiet.run('recover', '--events', '--json')).out).events).toEqual({
      sent: 0,
      known: 0,
      notSent: [],
    });
  });

  it.each([['--dry-run'], ['--forget', 'c0ffee']])('is refused with %s', async (...words) => {
    const s = await scene();
    const { exitCode, err } = await s.run('recover', '--events', ...words);
    expect({ exitCode, err }).toEqual({ exitCode: 2, err: expect.stringContaining(`${words[0]} takes no --events`) });
  });
});

describe('an agent', () => {
  it('that does not recover takes no --events', async () => {
    const said: string[] = [];
    const exitCode = await runAgent({
      args: ['--events'],
      stderr: (text: string) => void said.push(text),
    } as unknown as Parameters<typeof runAgent>[0]);
    expect({ exitCode, said }).toEqual({ exitCode: 2, said: [expect.stringContaining('--events needs --recover')] });
  });
});
