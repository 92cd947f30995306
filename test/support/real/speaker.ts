/**
 * A program that says something on its descriptor 3, and then on its stdout how that went: `speaker.ts WAY LENGTH`, with the ways of
 * an outlet; `finish` is given no time, `late` all of it. With the way `read` it reads its descriptor 3 to the end, or its standard input.
 */
import { now } from '../../../src/deadlines.ts';
import { Outlet, readToEnd } from '../../../src/os/streams.ts';

const [way = '', value = ''] = process.argv.slice(2);

async function act(): Promise<unknown> {
  if (way === 'read') return readToEnd(Number(value));
  const outlet = new Outlet(3);
  if (way === 'late') return await sayLate(outlet);
  const text = 'x'.repeat(Number(value));
  if (way === 'offer') outlet.offer(text);
  else outlet.queue(text);
  return way === 'finish' ? await outlet.finish(now()) : null;
}

/** Offers something and queues two texts to a reader that stands, says so, and waits for it. */
async function sayLate(outlet: Outlet): Promise<boolean> {
  outlet.offer('offered ');
  outlet.queue('queued ');
  outlet.queue('and more');
  console.log('"waiting"');
  return await outlet.finish(Number.POSITIVE_INFINITY);
}

console.log(JSON.stringify(await act()));
