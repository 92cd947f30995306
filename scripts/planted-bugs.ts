/** The bugs that planted.ts plants: each as it would be made, and the suites that have to see it, the cheapest first. */

import { ofAgent } from './planted-agent.ts';
import { type Bug, fault, property, real, unit } from './planted-bug.ts';
import { ofDaemonset } from './planted-daemonset.ts';
import { ofEvents } from './planted-events.ts';
import { kinds } from './planted-kinds.ts';
import { ofLibrary } from './planted-library.ts';
import { ofSetup } from './planted-setup.ts';

export const bugs: readonly Bug[] = [
  {
    letter: 'a',
    title: 'the intent is recorded after the effect',
    patches: [
      {
        file: 'src/drive/loop.ts',
        search: "return reasonToStop() ?? journalTrouble(() => journal.append({ kind: 'intent', step: name }));",
        replace: 'return reasonToStop();',
      },
      {
        file: 'src/drive/loop.ts',
        search: '  const ms = Math.round((now() - began) * 10) / 10;',
        replace: `  if (isCreating) journalTrouble(() => journal.append({ kind: 'intent', step: request.step }));
  const ms = Math.round((now() - began) * 10) / 10;`,
      },
    ],
    suites: [fault('test/fault/disk-errors.test.ts', 'without a durable intent')],
  },
  {
    letter: 'b',
    title: 'no fsync of the directory before the first intent',
    patches: [
      {
        file: 'src/verbs/add.ts',
        search: `    journal.append(begin);
    journal.fsyncName();`,
        replace: '    journal.append(begin);',
      },
    ],
    suites: [
      // ext4 and XFS keep the name of a new file with its first fsync; POSIX does not promise it, nor does the simulated disk.
      fault('test/fault/disk-errors.test.ts', 'without a durable intent'),
      fault('test/fault/second-crash.test.ts', 'both processes died before the power failed'),
    ],
  },
  {
    letter: 'c',
    title: 'files are removed that only begin with our name, or are another attachment’s',
    patches: [
      {
        file: 'src/effects/files/device-info.ts',
        search: '    if (text === undefined || !(await isOwn(text))) continue;',
        replace: '    if (text === undefined) continue;',
      },
    ],
    suites: [unit('test/effects/files/device-info.test.ts')],
  },
  {
    letter: 'd',
    title: 'children are not handed the lock',
    patches: [
      {
        file: 'src/os/subprocess.ts',
        search: 'fds: locks });',
        replace: 'fds: [] });',
      },
    ],
    suites: [unit('test/os/subprocess.test.ts')],
  },
  {
    letter: 'e',
    title: 'what was locked is not compared with what the name leads to',
    patches: [
      {
        file: 'src/journal/lock.ts',
        search: "  return disk.lookup(path)?.ino === disk.stat(fd).ino ? 'held' : 'gone';",
        replace: "  return 'held';",
      },
    ],
    suites: [unit('test/journal/lock.test.ts')],
  },
  {
    letter: 'f',
    title: 'the going mark is not looked at before the answer',
    patches: [
      {
        file: 'src/verbs/add.ts',
        search: '      reasonToStop() ??\n',
        replace: '',
      },
    ],
    suites: [fault('test/fault/going.test.ts', 'ADD sees the going mark')],
  },
  {
    letter: 'g',
    title: 'the bridge is deleted without the guard that it is empty',
    patches: [
      {
        file: 'src/effects/ovs/bridge.ts',
        search: `    unless('Bridge', asSeen, [{ ports }]),
`,
        replace: '',
      },
    ],
    suites: [unit('test/effects/ovs/bridge.test.ts')],
  },
  {
    letter: 'h',
    title: 'the address is released before the port is gone',
    patches: [
      {
        file: 'src/machines/removal.ts',
        search: "[{ guard: { type: 'owes', params: 'port' }, target: 'done' }, { target: 'bridge' }]",
        replace: "[{ target: 'bridge' }]",
      },
    ],
    suites: [unit('test/machines/removal.test.ts')],
  },
  {
    letter: 'bj',
    title: 'a DEL goes on when the first of its two effects has ended',
    patches: [
      {
        file: 'src/machines/removal.ts',
        search: "{ one: 'publicationLeft', other: 'portLeft' }",
        replace: "{ one: 'publicationLeft', other: 'afterPort' }",
      },
    ],
    suites: [unit('test/machines/removal.test.ts')],
  },
  {
    letter: 'i',
    title: 'a journal that exists is written from its start instead of appended to',
    patches: [
      {
        file: 'src/journal/disk.ts',
        search: "'r+': O_RDWR | O_APPEND | O_NONBLOCK",
        replace: "'r+': O_RDWR | O_NONBLOCK",
      },
    ],
    suites: [unit('test/journal/disk.test.ts')],
  },
  {
    letter: 'j',
    title: 'a transaction goes without the assert of its fence',
    patches: [
      {
        file: 'src/effects/ovs/session.ts',
        search: `        const results = await this.transact([{ op: 'assert', lock: fence }, ...operations], end);
        return results.slice(1);`,
        replace: '        return await this.transact(operations, end);',
      },
    ],
    suites: [unit('test/effects/ovs/session.test.ts', '^the fence')],
  },
  {
    letter: 'k',
    title: 'a published file is written through a symlink',
    patches: [
      {
        file: 'src/effects/files/directory.ts',
        search: 'const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK;',
        replace: 'const flags = O_WRONLY | O_CREAT | O_NONBLOCK;',
      },
    ],
    suites: [unit('test/effects/files/published-file.test.ts')],
  },
  {
    letter: 'm',
    title: 'a removal does not make stale what may be on its way to the API server',
    patches: [
      {
        file: 'src/effects/kubernetes/annotation.ts',
        search: "if (removal.kind === 'write' || isSettled) return removal;",
        replace: 'if (removal) return removal;',
      },
    ],
    suites: [unit('test/effects/kubernetes/annotation.test.ts', 'on its way')],
  },
  {
    letter: 'r',
    title: 'what was seen of a pod before the lock is taken for what is there under it',
    patches: [
      {
        file: 'src/effects/kubernetes/annotation.ts',
        search: '  api.forget(plan.pod);\n',
        replace: '',
      },
    ],
    suites: [property('test/property/annotation.test.ts')],
  },
  {
    letter: 'n',
    title: 'an annotation is written whatever others wrote meanwhile',
    patches: [
      {
        file: 'src/effects/kubernetes/api-server.ts',
        search: 'metadata: { uid, resourceVersion, annotations }',
        replace: 'metadata: { uid, annotations }',
      },
    ],
    suites: [unit('test/effects/kubernetes/annotation.test.ts', 'merge patch')],
  },
  {
    letter: 'o',
    title: 'what was at rest is released without the going mark',
    patches: [
      {
        file: 'src/recovery/one.ts',
        search: '    if (hasMore(journal, found) && !journal.going) journal.markGoing();\n',
        replace: '',
      },
    ],
    suites: [fault('test/fault/garbage.test.ts')],
  },
  {
    letter: 's',
    title: 'GC takes what came to rest after it was called',
    patches: [
      {
        file: 'src/recovery/one.ts',
        search: 'isLater(opened, visit.calledAt)',
        replace: 'false',
      },
    ],
    suites: [fault('test/fault/clock.test.ts', 'GC')],
  },
  {
    letter: 'p',
    title: 'a put-back is told as if it were a part of the ADD',
    patches: [
      {
        file: 'src/drive/past.ts',
        search: "if (kind === 'restoring') restoring = true;",
        replace: '',
      },
    ],
    suites: [fault('test/fault/golden-journals.test.ts', 'restor')],
  },
  {
    letter: 't',
    title: 'a name is taken over while ovs-vswitchd has not let go of it',
    patches: [
      {
        file: 'src/effects/ovs/port.ts',
        search: 'isBehind(state)',
        replace: 'false',
      },
    ],
    suites: [unit('test/effects/ovs/port-name-handover.test.ts', 'hears of both at once')],
  },
  {
    letter: 'u',
    title: 'an address is asked for while a GC with an older list is under way',
    patches: [
      {
        file: 'src/effects/ipam/gate.ts',
        search: "!(await taken(() => lockByte(fd, at, how === 'together' ? 'shared' : 'alone'), lockOf, end))",
        replace: 'false',
      },
    ],
    suites: [unit('test/effects/ipam/gate.test.ts')],
  },
  {
    letter: 'v',
    title: 'what may go is looked for before the fence is had',
    patches: [
      {
        file: 'src/effects/ovs/own-ports.ts',
        search: 'await ovs.fenced(questions(sought))',
        replace: 'await ovs.read(questions(sought))',
      },
    ],
    suites: [unit('test/effects/ovs/port-view.test.ts', 'came after it')],
  },
  {
    letter: 'q',
    title: 'an ADD answers before its last outcome is fsynced',
    patches: [
      {
        file: 'src/verbs/add.ts',
        search: "journalTrouble(() => journal.append({ kind: 'attached' })) ??",
        replace: "journalTrouble(() => journal.stage({ kind: 'attached' })) ??",
      },
    ],
    suites: [fault('test/fault/disk-errors.test.ts', 'without a durable intent')],
  },
  {
    letter: 'l',
    title: 'a record is written and not fsynced',
    patches: [
      {
        file: 'src/journal/journal.ts',
        search: "    if (how === 'durable') this.#disk.fsync(this.fd);\n",
        replace: '',
      },
    ],
    suites: [real('test/fault/real/power-cut.test.ts', 'ext4.*client.*any call of an ADD')],
  },
  ...kinds,
  ...ofAgent,
  ...ofSetup,
  ...ofLibrary,
  ...ofEvents,
  ...ofDaemonset,
];
