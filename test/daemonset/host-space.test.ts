/** Whether a pod is where it has to be: in the node's namespaces, but for the mounts. */
import { describe, expect, it } from 'vitest';
import { troubleOfPlace } from '../../src/daemonset/host-space.ts';

/** @param shared the kinds of namespaces that both have */
const reader =
  (...shared: readonly string[]) =>
  (path: string): string => {
    const [, , pid, , kind = ''] = path.split('/');
    return `${kind}:[${pid === 'self' || shared.includes(kind) ? 1 : 2}]`;
  };

describe('the place of a pod', () => {
  it('is right in the node’s network, with other mounts', () => {
    expect(troubleOfPlace(1, reader('net', 'pid'))).toBeUndefined();
  });

  it.each([
    {
      shared: ['mnt', 'net', 'pid'],
      said: 'process 7 has the files of this container, not those of the node: the pod needs hostPID',
    },
    { shared: ['pid'], said: 'process 7 has another network than this container: the pod needs hostNetwork' },
  ])('is wrong: $said', ({ shared, said }) => {
    expect(troubleOfPlace(7, reader(...shared))).toBe(said);
  });

  it('is not judged where the node’s process cannot be seen', () => {
    const closed = () => {
      throw new Error('EACCES');
    };
    expect(troubleOfPlace(1, closed)).toBeUndefined();
  });
});
