/** Planted bugs of `recover --events` and of what an error quotes (src/cli/events.ts, EV1 to EV3). */
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
        search: 'described(issue.input)',
        replace: 'shown(name, issue.input)',
      },
    ],
    suites: [unit('test/cni/config/refused-keys.test.ts', 'quoted nowhere')],
  },
];
