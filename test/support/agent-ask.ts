/** One call's side of the agent, in a process of its own: asks it once, and prints what came of it and how long it took. */
import { askAgent } from '../../src/agent/ask.ts';
import { now } from '../../src/deadlines.ts';

let reads = 0;
const began = now();
const asked = askAgent({
  env: process.env,
  stdin: () => {
    reads++;
    if (process.env.STDIN === 'broken') throw new Error('EIO');
    return process.env.STDIN === 'long' ? 'x'.repeat(1024 * 1024) : (process.env.STDIN ?? '');
  },
  ageMs: now,
});
console.log(JSON.stringify({ asked, ms: Math.round(now() - began), reads }));
