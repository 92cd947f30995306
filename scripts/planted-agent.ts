/** Planted bugs of the agent: one or more for each of its rules (docs/adr/0014). */
import { type Bug, fault, system, unit } from './planted-bug.ts';

export const ofAgent: readonly Bug[] = [
  {
    letter: 'ao',
    title: 'agent: an ADD whose caller has gone goes on',
    patches: [
      {
        file: 'src/verbs/add.ts',
        search: 'goingTrouble(journal) ?? (node.isCallerGone() ? callerGone : undefined);',
        replace: 'goingTrouble(journal);',
      },
    ],
    suites: [fault('test/fault/caller-gone.test.ts', 'takes back all that it made')],
  },
  {
    letter: 'ap',
    title: 'agent: a DEL whose caller has gone is marked and done',
    patches: [
      {
        file: 'src/verbs/del.ts',
        search: '  if (node.isCallerGone()) dropUnmarked(work, atOnce);\n',
        replace: '',
      },
    ],
    suites: [fault('test/fault/caller-gone.test.ts', 'removes nothing and marks nothing')],
  },
  {
    letter: 'aq',
    title: 'agent: a worker begins when it has accepted',
    patches: [
      {
        file: 'src/agent/worker.ts',
        search: "  if (goes.kind !== 'message' || goes.message.say !== 'go') return;\n",
        replace: '',
      },
    ],
    suites: [unit('test/agent/worker.test.ts', 'WO1')],
  },
  {
    letter: 'ar',
    title: 'agent: a call acts beside an agent that it does not understand',
    patches: [
      {
        file: 'src/agent/ask.ts',
        search: "return { kind: answered.kind === 'closed' ? 'none' : 'silent' };",
        replace: "return { kind: 'none' };",
      },
    ],
    suites: [unit('test/agent/ask.test.ts', 'does nothing beside an agent')],
  },
  {
    letter: 'as',
    title: 'agent: the connection to a caller is inherited by programs',
    patches: [
      {
        file: 'src/os/unix-sockets.ts',
        search: 'MSG_DONTWAIT | MSG_CMSG_CLOEXEC)',
        replace: 'MSG_DONTWAIT | (MSG_CMSG_CLOEXEC & 0))',
      },
    ],
    suites: [unit('test/os/unix-sockets.test.ts', 'is not inherited')],
  },
  {
    letter: 'at',
    title: 'agent: a worker’s connection to its supervisor is inherited by programs',
    patches: [
      {
        file: 'src/os/unix-sockets.ts',
        search: 'fcntl(fd, F_SETFD, FD_CLOEXEC);',
        replace: 'fcntl(fd, F_SETFD, FD_CLOEXEC & 0);',
      },
    ],
    suites: [unit('test/os/unix-sockets.test.ts', 'can be kept from children')],
  },
  {
    letter: 'au',
    title: 'agent: a call acts in the environment of the call before',
    patches: [
      {
        file: 'src/os/native.ts',
        search: 'callersVariables = definedOf(variables);',
        replace: 'callersVariables ??= definedOf(variables);',
      },
    ],
    suites: [system('test/system/agent-api.test.ts', 'a credential program runs for each call')],
  },
  {
    letter: 'av',
    title: 'agent: a message takes the beginning of the next one with it',
    patches: [
      {
        file: 'src/agent/wire.ts',
        search: '    this.#filled -= begin + length;\n',
        replace: '    this.#filled = 0;\n',
      },
    ],
    suites: [unit('test/agent/wire.test.ts', 'several in one read')],
  },
  {
    letter: 'aw',
    title: 'agent: another build is asked',
    patches: [
      {
        file: 'src/agent/place.ts',
        search: '    ...[executable.device, executable.inode, executable.changed],\n',
        replace: '',
      },
    ],
    suites: [unit('test/agent/place.test.ts', 'for a copy of the executable')],
  },
  {
    letter: 'ax',
    title: 'agent: the agent of another namespace is asked',
    patches: [{ file: 'src/agent/place.ts', search: '    ...namespaces.map(namespaceOf),\n', replace: '' }],
    suites: [unit('test/agent/place.test.ts', 'in another namespace')],
  },
  {
    letter: 'ay',
    title: 'agent: the user of a peer is not asked for',
    patches: [
      {
        file: 'src/agent/supervisor.ts',
        search: 'const isOurs = peerOf(fd)?.uid === this.#options.uid;',
        replace: 'const isOurs = peerOf(fd) !== undefined;',
      },
    ],
    suites: [unit('test/agent/supervisor.test.ts', 'SU1')],
  },
  {
    letter: 'az',
    title: 'agent: a directory that others may enter is taken',
    patches: [{ file: 'src/agent/supervisor.ts', search: ' || (stats.mode & 0o077) !== 0)', replace: ')' }],
    suites: [unit('test/agent/supervisor.test.ts', 'that others may enter')],
  },
  {
    letter: 'ba',
    title: 'agent: a worker in which a call has left something takes the next one',
    patches: [
      {
        file: 'src/agent/worker.ts',
        search:
          '    if (++calls >= callsMax || reapChildren() || isUnderWay() || countOpenFiles() > filesBefore) return;\n',
        replace: '',
      },
    ],
    suites: [unit('test/agent/worker.test.ts', 'WO3')],
  },
  {
    letter: 'bb',
    title: 'agent: idle connections are handed to workers',
    patches: [
      {
        file: 'src/agent/supervisor.ts',
        search: 'if (ready.has(one.fd)) this.#queue.push(one.fd);',
        replace: 'if (ready.size > 0) this.#queue.push(one.fd);',
      },
    ],
    suites: [unit('test/agent/supervisor.test.ts', 'SU4')],
  },
  {
    letter: 'bc',
    title: 'agent: the time of a call counts from its worker’s',
    patches: [
      {
        file: 'src/agent/worker.ts',
        search: 'now() - Math.max(0, sinceBootMs() - request.startedMs)',
        replace: 'now()',
      },
    ],
    suites: [unit('test/agent/worker.test.ts', 'from the start of its process')],
  },
  {
    letter: 'bd',
    title: 'agent: a connection to the API server is used after any pause',
    patches: [
      {
        file: 'src/os/https.ts',
        search: 'return sleeps === 0 ? tls : { ...tls, passphrase: String(sleeps) };',
        replace: 'return tls;',
      },
    ],
    suites: [system('test/system/agent-api.test.ts', 'is not used after a pause')],
  },
  {
    letter: 'be',
    title: 'agent: a worker goes on although its log file owes an answer',
    patches: [{ file: 'src/log.ts', search: '    written.add(this);\n', replace: '' }],
    suites: [unit('test/log.test.ts', 'is owed an answer')],
  },
  {
    letter: 'bf',
    title: 'agent: a worker judges a server by the authorities of its own start',
    patches: [
      {
        file: 'src/agent/limit.ts',
        search:
          '  if (Object.keys(env).some((name) => env[name] !== undefined && readAtStart.test(name))) return undefined;\n',
        replace: '',
      },
    ],
    suites: [unit('test/agent/limit.test.ts', 'whose environment is read')],
  },
  {
    letter: 'bk',
    title: 'agent: a root that is mounted elsewhere is taken for the same',
    patches: [
      {
        file: 'src/agent/place.ts',
        search: 'root.device, root.inode, root.mount]',
        replace: 'root.device, root.inode]',
      },
    ],
    suites: [unit('test/agent/place.test.ts', 'mounted elsewhere')],
  },
  {
    letter: 'bl',
    title: 'agent: the caller’s directory is believed by its name',
    patches: [
      { file: 'src/agent/worker.ts', search: "return fileText('.') === cwdFile;", replace: 'return cwdFile !== "";' },
    ],
    suites: [unit('test/agent/worker.test.ts', 'another one by its name')],
  },
  {
    letter: 'bm',
    title: 'agent: a kept connection that says nothing is waited for',
    patches: [
      {
        file: 'src/os/https.ts',
        search: 'rested < restMs || rested > keptMs',
        replace: 'rested >= 0 || restMs > keptMs',
      },
    ],
    suites: [unit('test/os/https.test.ts', 'if it only reads')],
  },
  {
    letter: 'bn',
    title: 'agent: a symlink to the caller’s own descriptor is followed',
    patches: [
      {
        file: 'src/agent/limit.ts',
        search: '    const link = linkAt(next);\n',
        replace: '    const link = undefined as string | undefined;\n',
      },
    ],
    suites: [unit('test/agent/limit.test.ts', 'behind symlinks')],
  },
  {
    letter: 'bo',
    title: 'agent: two recoveries run side by side',
    patches: [{ file: 'src/agent/recoveries.ts', search: 'if (!this.#isUnderWay && now()', replace: 'if (now()' }],
    suites: [unit('test/agent/recoveries.test.ts', 'do not run side by side')],
  },
  {
    letter: 'bg',
    title: 'agent: what has just failed is tried again at once',
    patches: [
      { file: 'src/agent/supervisor.ts', search: '      this.#startsAt = now() + restMs;\n', replace: '' },
      { file: 'src/agent/supervisor.ts', search: '    this.#spareAt = now() + spareMs;\n', replace: '' },
    ],
    suites: [unit('test/agent/supervisor.test.ts', 'tries again in a second')],
  },
  {
    letter: 'bh',
    title: 'agent: a wait ends with any signal',
    patches: [
      {
        file: 'src/os/bare.ts',
        search: '    if (leftMs === 0) return false;\n',
        replace: '    return false;\n',
      },
    ],
    suites: [unit('test/os/unix-sockets.test.ts', 'when the signal has come')],
  },
  {
    letter: 'bi',
    title: 'agent: a deadline in another letter case is not seen',
    patches: [
      {
        file: 'src/agent/limit.ts',
        search: 'const { raw } = lenient(config);',
        replace: 'const raw = config;',
      },
    ],
    suites: [unit('test/agent/limit.test.ts', 'is read')],
  },
  {
    letter: 'ma',
    title: 'metrics: a meter begins while the one before it still counts',
    patches: [
      {
        file: 'src/agent/meter.ts',
        search: 'for (let tries = 1; !flock(lock); tries++) {',
        replace: 'for (let tries = 1; !flock(lock) && false; tries++) {',
      },
    ],
    suites: [system('test/system/metrics.test.ts', 'outlive the agent')],
  },
  {
    letter: 'mb',
    title: 'metrics: a call that a worker has answered is counted twice',
    patches: [{ file: 'src/main.ts', search: "if (asked.kind !== 'answered') reportCall(", replace: 'reportCall(' }],
    suites: [system('test/system/metrics.test.ts', 'are those of the calls')],
  },
  {
    letter: 'mc',
    title: 'metrics: each code that is reported makes a series',
    patches: [
      {
        file: 'src/figures/counts.ts',
        search: 'return result <= codeMax && !isFull ? key : ',
        replace: 'return isFull || codeMax > 0 ? key : ',
      },
    ],
    suites: [unit('test/figures/counts.test.ts', 'FI2')],
  },
  {
    letter: 'md',
    title: 'metrics: a step that failed is not named',
    patches: [
      {
        file: 'src/figures/counts.ts',
        search: 'if (failed) raise(this.#failedSteps,',
        replace: 'if (failed && step === undefined) raise(this.#failedSteps,',
      },
    ],
    suites: [unit('test/figures/counts.test.ts', 'name the step')],
  },
  {
    letter: 'me',
    title: 'metrics: the first recovery does not wait for the meter that counts it',
    patches: [{ file: 'src/agent/agent.ts', search: 'isHeld: () => metering?.isReady === false,', replace: '' }],
    suites: [system('test/system/metrics.test.ts', 'first recovery')],
  },
  {
    letter: 'mf',
    title: 'metrics: every scrape asks the API server',
    patches: [
      {
        file: 'src/figures/node.ts',
        search: '    if (last && now() < last.at + apiPauseMs) return last.isUp;\n',
        replace: '',
      },
    ],
    suites: [unit('test/figures/node.test.ts', 'within a minute')],
  },
  {
    letter: 'mg',
    title: 'metrics: the counters of before a restart are forgotten',
    patches: [
      {
        file: 'src/agent/meter.ts',
        search: '    return counts ?? new Counts();\n',
        replace: '    return new Counts();\n',
      },
    ],
    suites: [system('test/system/metrics.test.ts', 'outlive the agent')],
  },
];
