/** Planted bugs of `recover --events` (src/cli/events.ts, EV1 to EV3), and of what docs/security.md promises. */
import { type Bug, unit } from './planted-bug.ts';

export const ofEvents: readonly Bug[] = [
  {
    letter: 'ea',
    title: 'events: EV1 the name of an event has its words in it',
    patches: [
      {
        file: 'src/effects/kubernetes/event.ts',
        search: 'metadata: { name: eventName(event), namespace },',
        replace: 'metadata: { name: eventName({ ...event, about: event.message }), namespace },',
      },
    ],
    suites: [unit('test/effects/kubernetes/event.test.ts', 'told again is known')],
  },
  {
    letter: 'eb',
    title: 'events: EV2 every event asks for a right that is missing',
    patches: [
      {
        file: 'src/cli/events.ts',
        search:
          "if (error instanceof Error && 'why' in error && error.why === 'forbidden') refusals.set(place, message);",
        replace: '',
      },
    ],
    suites: [unit('test/cli/events.test.ts', 'is said once')],
  },
  {
    letter: 'ec',
    title: 'events: EV3 a message is told as another program wrote it',
    patches: [
      {
        file: 'src/cli/events.ts',
        search: 'new Redactor().text(',
        replace: 'String(',
      },
    ],
    suites: [unit('test/cli/events.test.ts', 'shows neither')],
  },
  {
    letter: 'ed',
    title: 'events: a pod that has the name of a released one is told of it',
    patches: [
      {
        file: 'src/effects/kubernetes/event.ts',
        search: "if (!living || !isMeant(pod, living)) return 'no pod';",
        replace: "if (!living) return 'no pod';",
      },
    ],
    suites: [unit('test/effects/kubernetes/event.test.ts', 'replaced by another')],
  },
  {
    letter: 'ee',
    title: 'I12 an error quotes the value of an unknown key',
    patches: [
      {
        file: 'src/cni/config/rules.ts',
        search: 'described(value)}`;\n  return',
        replace: 'shown(name, value)}`;\n  return',
      },
    ],
    suites: [unit('test/cni/config/refused-keys.test.ts', 'quoted nowhere')],
  },
  {
    letter: 'ef',
    title: 'security: device information replaces any file that a network names',
    patches: [
      {
        file: 'src/effects/files/device-info.ts',
        search: "if (isLink || !mayBeDeviceInfo(text ?? ''))",
        replace: 'if (isLink)',
      },
    ],
    suites: [unit('test/effects/files/device-info.test.ts', 'takes no file of something else')],
  },
  {
    letter: 'eg',
    title: 'security: a program is run for a kubeconfig that others may write',
    patches: [
      {
        file: 'src/effects/kubernetes/exec-credential.ts',
        search: 'if (isOurs && (mode & 0o022) === 0) return;',
        replace: 'if (isOurs) return;',
      },
    ],
    suites: [unit('test/effects/kubernetes/exec-credential.test.ts', 'is not run')],
  },
  {
    letter: 'eh',
    title: 'security: a uid of an API object becomes a part of a path as it is',
    patches: [
      {
        file: 'src/effects/kubernetes/pod.ts',
        search: 'if (!ref.uid && !isUid(uid))',
        replace: "if (!ref.uid && uid === '')",
      },
    ],
    suites: [unit('test/effects/kubernetes/pod.test.ts', 'a uid becomes a part of paths')],
  },
];
