/**
 * Unix sockets by libc (unix(7)): connecting, listening, handing a connection to another process, and looking whether its other end is
 * still there. A call through the agent thus loads neither node:net (3 ms) nor Bun's sockets (0.3 ms).
 *
 * Every function is synchronous, and waits no longer than its caller says. So a worker can look for its caller between two
 * system calls of a journal.
 *
 * Every descriptor that is made here is O_CLOEXEC and O_NONBLOCK; one that is received here is O_CLOEXEC.
 */
import { type Moment, remainingMs } from '../deadlines.ts';
import { closeFile, ffi, isReady, polledDescriptors } from './bare.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_SEQPACKET = 5;
/** SOCK_CLOEXEC | SOCK_NONBLOCK */
const SOCK_FLAGS = 0o2000000 | 0o4000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const POLLIN = 0x1;
const POLLRDHUP = 0x2000;
const WNOHANG = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

const functions = {
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  send: { args: ['i32', 'ptr', 'usize', 'i32'], returns: 'i64' },
  recv: { args: ['i32', 'ptr', 'usize', 'i32'], returns: 'i64' },
} as const;

/** The functions that only the agent's own processes need: a call does not pay for looking them up. */
const agentFunctions = {
  bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  listen: { args: ['i32', 'i32'], returns: 'i32' },
  accept4: { args: ['i32', 'ptr', 'ptr', 'i32'], returns: 'i32' },
  getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
  socketpair: { args: ['i32', 'i32', 'i32', 'ptr'], returns: 'i32' },
  sendmsg: { args: ['i32', 'ptr', 'i32'], returns: 'i64' },
  recvmsg: { args: ['i32', 'ptr', 'i32'], returns: 'i64' },
  fcntl: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  waitpid: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
} as const;

const open = () => ffi().dlopen('libc.so.6', functions).symbols;
const openForAgent = () => ffi().dlopen('libc.so.6', agentFunctions).symbols;

let opened: ReturnType<typeof open> | undefined;
let openedForAgent: ReturnType<typeof openForAgent> | undefined;

const libc = (): NonNullable<typeof opened> => {
  opened ??= open();
  return opened;
};

const agentLibc = (): NonNullable<typeof openedForAgent> => {
  openedForAgent ??= openForAgent();
  return openedForAgent;
};

/** The size of sun_path (unix(7)): the longest path of a socket, its final NUL included. */
const pathBytesMax = 108;

/** struct sockaddr_un. @throws if the path is too long */
function addressOf(path: string): Uint8Array {
  const bytes = new TextEncoder().encode(path);
  if (bytes.length >= pathBytesMax) throw new Error(`"${path}" is longer than the path of a socket may be (unix(7))`);
  const address = new Uint8Array(2 + pathBytesMax);
  address[0] = AF_UNIX;
  address.set(bytes, 2);
  return address;
}

/** @returns a connected descriptor; undefined if nothing listens, or its queue is full */
export function connectTo(path: string): number | undefined {
  const address = addressOf(path);
  const fd = libc().socket(AF_UNIX, SOCK_STREAM | SOCK_FLAGS, 0);
  if (fd < 0) return undefined;
  if (libc().connect(fd, address, address.length) === 0) return fd;
  closeFile(fd);
  return undefined;
}

/** Binds a new socket to a path where nothing is, and listens. @throws an Error */
export function listenAt(path: string, queue: number): number {
  const address = addressOf(path);
  const fd = libc().socket(AF_UNIX, SOCK_STREAM | SOCK_FLAGS, 0);
  if (fd >= 0 && agentLibc().bind(fd, address, address.length) === 0 && agentLibc().listen(fd, queue) === 0) return fd;
  if (fd >= 0) closeFile(fd);
  throw new Error(`no socket can be made at "${path}": is its directory writable?`);
}

/** @returns undefined if there is no connection to accept, or no descriptor for it */
export function acceptFrom(listener: number): number | undefined {
  const fd = agentLibc().accept4(listener, null, null, SOCK_FLAGS);
  return fd < 0 ? undefined : fd;
}

/** The process at the other end, as the kernel noted it when it connected (SO_PEERCRED). */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
}

/** @returns undefined if the kernel does not tell it */
export function peerOf(fd: number): Peer | undefined {
  // struct ucred: pid, uid, gid.
  const [credentials, size] = [new Int32Array(3), new Uint32Array([12])];
  if (agentLibc().getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, size) !== 0) return undefined;
  return { pid: credentials[0] ?? 0, uid: (credentials[1] ?? 0) >>> 0 };
}

/** Makes two connected sockets that keep messages apart (SOCK_SEQPACKET). @throws an Error */
export function socketPair(): readonly [number, number] {
  const pair = new Int32Array(2);
  if (agentLibc().socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_FLAGS, 0, pair) !== 0)
    throw new Error('the kernel makes no pair of sockets: are there too many open files?');
  return [pair[0] ?? -1, pair[1] ?? -1];
}

/** Makes an inherited descriptor O_CLOEXEC, so that no program of this process inherits it in turn. */
export const keepFromChildren = (fd: number): void => void agentLibc().fcntl(fd, F_SETFD, FD_CLOEXEC);

// ---- bytes

/** Sends until the moment `end`. @returns whether all bytes were taken */
export function sendAll(fd: number, bytes: Uint8Array, end: Moment): boolean {
  for (let sent = 0; sent < bytes.length; ) {
    const rest = bytes.subarray(sent);
    const count = Number(libc().send(fd, rest, rest.length, MSG_DONTWAIT | MSG_NOSIGNAL));
    if (count > 0) sent += count;
    else if (!isReady(fd, 'write', remainingMs(end))) return false;
    else if (isClosed(fd)) return false;
  }
  return true;
}

/**
 * Waits until the moment `end` for bytes, and receives as many as are there and `into` holds.
 * @returns their count; 0 if the connection is closed or broken; undefined if nothing came
 */
export function receive(fd: number, into: Uint8Array, end: Moment): number | undefined {
  if (!isReady(fd, 'read', remainingMs(end))) return undefined;
  return Math.max(0, Number(libc().recv(fd, into, into.length, MSG_DONTWAIT)));
}

/** Whether the other end has closed the connection, or its process has ended. poll(2) reports POLLERR and POLLHUP unasked. */
export const isClosed = (fd: number): boolean => polledDescriptors(new Int32Array([fd, POLLRDHUP]), 0) > 0;

/** Waits up to `waitMs` until a descriptor can be read or is closed; -1: without end. @returns all that are so */
export function readyOf(fds: readonly number[], waitMs: number): number[] {
  const descriptors = new Int32Array(fds.flatMap((fd) => [fd, POLLIN | POLLRDHUP]));
  if (polledDescriptors(descriptors, waitMs) <= 0) return [];
  return fds.filter((_, index) => (descriptors[index * 2 + 1] ?? 0) >>> 16 !== 0);
}

// ---- descriptors in messages (cmsg(3))

/** The size of a control buffer for one descriptor: CMSG_SPACE(4). */
const controlBytes = 24;
/** The length of one header and one descriptor in it: CMSG_LEN(4). */
const controlLength = 20n;

/** A struct msghdr, and behind it the struct iovec that it points to: for `bytes` and a control buffer. */
function headerOf(bytes: Uint8Array, control: Uint8Array): BigUint64Array {
  const { ptr } = ffi();
  // msg_name, msg_namelen, msg_iov, msg_iovlen, msg_control, msg_controllen, msg_flags; iov_base, iov_len
  const [to, room] = [BigInt(ptr(control)), BigInt(control.length)];
  const message = new BigUint64Array([0n, 0n, 0n, 1n, to, room, 0n, BigInt(ptr(bytes)), BigInt(bytes.length)]);
  // msg_iov: the iovec begins behind the seven words of msghdr.
  message[2] = BigInt(ptr(message)) + 56n;
  return message;
}

/** Sends a text and a copy of a descriptor as one message. @returns false if the other end has gone, or takes nothing now */
export function handOver(socket: number, text: string, fd: number): boolean {
  const [bytes, control] = [new TextEncoder().encode(text), new Uint8Array(controlBytes)];
  const view = new DataView(control.buffer);
  view.setBigUint64(0, controlLength, true);
  view.setInt32(8, SOL_SOCKET, true);
  view.setInt32(12, SCM_RIGHTS, true);
  view.setInt32(16, fd, true);
  const message = headerOf(bytes, control);
  return agentLibc().sendmsg(socket, message, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

/** A received message. */
export interface Handed {
  readonly text: string;
  /** The descriptor that came with it; -1 if none did. */
  readonly fd: number;
}

/** Receives a message, without a wait. @returns undefined if there is none now; 'closed' if the other end has gone */
export function takeOver(socket: number): Handed | 'closed' | undefined {
  const [bytes, control] = [new Uint8Array(256), new Uint8Array(controlBytes)];
  const message = headerOf(bytes, control);
  const count = Number(agentLibc().recvmsg(socket, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  if (count <= 0) return count === 0 ? 'closed' : undefined;
  const text = new TextDecoder().decode(bytes.subarray(0, count));
  const isGiven = (message[5] ?? 0n) >= controlLength;
  return { text, fd: isGiven ? new DataView(control.buffer).getInt32(16, true) : -1 };
}

// ---- children

/**
 * Reaps the children that have ended. They are orphans of programs, and nothing else waits for them.
 * @returns whether a child is still alive
 */
export function reapChildren(): boolean {
  let pid = 0;
  do pid = agentLibc().waitpid(-1, null, WNOHANG);
  while (pid > 0);
  return pid === 0;
}
