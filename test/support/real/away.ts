/** A database that cannot be reached. ovs-vswitchd keeps its connection: otherwise it would need seconds to connect again. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { View } from './world.ts';

export const socketOf = ({ rundir }: View): string => join(rundir, 'db.sock');

export async function whileAway<T>(view: View, action: () => Promise<T>): Promise<T> {
  const socket = socketOf(view);
  await rename(socket, `${socket}.away`);
  try {
    return await action();
  } finally {
    await rename(`${socket}.away`, socket);
  }
}
