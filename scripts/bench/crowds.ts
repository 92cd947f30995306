/** Many calls at once, each way by turns. */
import { atOnce, type Command, type Crowd, median, quantile } from './measure.ts';
import { oneLine, type Place, placesOf, rotated, type Scene } from './scene.ts';
import { type Verb, verbs, type Way } from './ways.ts';

/** A small crowd varies more, so that it gets more rounds. */
const roundsOf = (size: number, rounds: number): number => Math.max(3, Math.ceil(rounds / size));

export async function crowdsAtOnce(scene: Scene, size: number): Promise<void> {
  const rounds = roundsOf(size, scene.options.rounds);
  const crowds = new Map<string, Crowd[]>();
  const places = placesOf(scene);
  for (let round = 0; round < rounds; round++) {
    for (const place of places) {
      for (const way of rotated(place.ways, round)) {
        const both = await attachAndDetach(scene, place, way, size);
        for (const verb of verbs) {
          const key = `${verb}${place.suffix} | ${way.name}`;
          crowds.set(key, [...(crowds.get(key) ?? []), both[verb]]);
        }
      }
    }
  }
  print(scene, size, rounds, crowds);
}

/** Runs a crowd of ADDs, then one of their DELs, and takes away what failed programs left. */
async function attachAndDetach({ stage }: Scene, place: Place, way: Way, size: number): Promise<Record<Verb, Crowd>> {
  const calls = await crowdOf(stage.freshIds(size), place, way);
  const both = { ADD: await atOnce(calls.ADD), DEL: await atOnce(calls.DEL) };
  if (both.ADD.failed + both.DEL.failed > 0 && way.tidy)
    for (const id of calls.ids) for (const command of way.tidy(id)) await atOnce([[command]]);
  return both;
}

export async function crowdOf(
  ids: readonly string[],
  { prepare }: Place,
  { calls }: Way,
): Promise<Record<Verb, (readonly Command[])[]> & { readonly ids: readonly string[] }> {
  const changes = await Promise.all(ids.map(prepare));
  const of = (verb: Verb) => ids.map((id, index) => calls(verb, id, changes[index]));
  return { ids, ADD: of('ADD'), DEL: of('DEL') };
}

function print(scene: Scene, size: number, rounds: number, crowds: ReadonlyMap<string, readonly Crowd[]>): void {
  const seconds = (call: string, way: string): number =>
    median((crowds.get(`${call} | ${way}`) ?? []).map((crowd) => crowd.seconds));
  const troubles = new Map<string, string>();
  const rows = placesOf(scene).flatMap(({ ways, suffix }) =>
    verbs.flatMap((verb) =>
      ways.map(({ name: way }) => {
        const call = `${verb}${suffix}`;
        const all = crowds.get(`${call} | ${way}`) ?? [];
        const trouble = all.find((crowd) => crowd.trouble !== undefined)?.trouble;
        if (trouble !== undefined) troubles.set(`${call}, ${way}`, oneLine(trouble));
        const own = seconds(call, way);
        const failed = all.reduce((sum, crowd) => sum + crowd.failed, 0);
        const of = (share: number) => median(all.map(({ wallMs }) => quantile(wallMs, share)));
        return [
          ...[call, way, own / seconds(verb, 'R1'), own / seconds(call, 'alone')],
          ...[`${failed}/${size * rounds}`, of(1) / of(0.5), own, of(0.5), of(0.9), of(1)],
        ];
      }),
    ),
  );
  scene.report.print({
    title: `${size} at once`,
    notes: [
      `${rounds} rounds; the time until the last has ended, and a call's own time in that crowd`,
      'the programs of a call end with their first failure; the DEL of a failed ADD is made too',
      ...[...troubles].map(([name, trouble]) => `${name}: ${trouble}`),
    ],
    columns: [
      ['call'],
      ['way'],
      ['x R1', 2],
      ['x alone', 2],
      ['failed'],
      ['slowest/median', 2],
      ['s', 3],
      ['median ms', 0],
      ['p90 ms', 0],
      ['slowest ms', 0],
    ],
    rows,
  });
}
