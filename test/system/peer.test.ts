/**
 * A real vhost-user application connects to the socket that ADD answered for: the link comes up.
 */
import { lstat } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { TestNode } from '../support/real/node.ts';
import { startPeer } from '../support/real/peer.ts';
import { onRealSwitch } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

onRealSwitch(
  'a vhost-user application',
  (theSwitch) => {
    test.each(['client', 'server'] as const)(
      'brings the link of a %s-mode port up, with the MTU that was asked for; CHECK passes before, during and after (case A4)',
      async (mode) => {
        const node = await TestNode.create(theSwitch(), mode);
        const changes = { host: { mtu: 2000 } };
        try {
          const pod = await node.pod();
          const { json } = await pod.add('net1', changes);
          expect(await pod.check(json, 'net1', changes)).toMatchObject({ exitCode: 0 });
          const peer = await startPeer(pod.socket(), mode === 'client' ? 'server' : 'client');
          try {
            await theSwitch().vsctl('wait-until', 'Interface', pod.portName(), 'link_state=up');
            // The switch sizes its buffers when a peer comes: only then the asked MTU is the real one (case A7).
            await theSwitch().vsctl('wait-until', 'Interface', pod.portName(), 'mtu=2000');
            expect((await lstat(pod.socket())).isSocket()).toBe(true);
            expect(await pod.check(json, 'net1', changes)).toMatchObject({ exitCode: 0 });
          } finally {
            await peer.stop();
          }
          await theSwitch().vsctl('wait-until', 'Interface', pod.portName(), 'link_state=down');
          expect(await pod.check(json, 'net1', changes)).toMatchObject({ exitCode: 0 });
          expect(await pod.del()).toMatchObject({ exitCode: 0 });
          expectNothingLeft(await node.world());
        } finally {
          await node.end();
        }
      },
    );

    test('still connected does not keep a DEL from taking port and socket away', async () => {
      const node = await TestNode.create(theSwitch());
      try {
        const pod = await node.pod();
        await pod.add();
        const peer = await startPeer(pod.socket(), 'server');
        try {
          await theSwitch().vsctl('wait-until', 'Interface', pod.portName(), 'link_state=up');
          expect(await pod.del()).toMatchObject({ exitCode: 0 });
          expectNothingLeft(await node.world());
        } finally {
          await peer.stop();
        }
      } finally {
        await node.end();
      }
    });
  },
  { parts: ['peer'] },
);
