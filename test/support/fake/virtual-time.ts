/**
 * Time that passes only while all code waits: a timer fires as soon as nothing else is left to do, and the clock jumps to its end.
 * A deadline of 20 s costs nothing, and measured times are the same in every run.
 *
 * Only for code whose every wait is a setTimeout or another promise, because a real system call under way would be overtaken.
 */
interface Timer {
  readonly due: number;
  readonly fire: () => void;
}

export class VirtualTime {
  #now = 0;
  #timers = new Map<number, Timer>();
  #lastId = 0;
  #pumping = false;
  #restore: (() => void) | undefined;

  /** Starts virtual time for the whole process. @returns the function that puts the real time back. */
  install(): () => void {
    const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
    const now = Object.getOwnPropertyDescriptor(performance, 'now');
    const fake = (fire: () => void, ms = 0): number => this.#add(fire, ms);
    globalThis.setTimeout = fake as unknown as typeof setTimeout;
    globalThis.clearTimeout = ((id: number) => void this.#timers.delete(id)) as unknown as typeof clearTimeout;
    Object.defineProperty(performance, 'now', { value: () => this.#now, configurable: true, writable: true });
    this.#restore = () => {
      Object.assign(globalThis, real);
      if (now) Object.defineProperty(performance, 'now', now);
      else Reflect.deleteProperty(performance, 'now');
    };
    return () => this.#restore?.();
  }

  get now(): number {
    return this.#now;
  }

  #add(fire: () => void, ms: number): number {
    this.#timers.set(++this.#lastId, { due: this.#now + Math.max(0, ms), fire });
    this.#pump();
    return this.#lastId;
  }

  /** Fires one timer per turn of the event loop, so that the code it wakes has come to rest before the next one. */
  #pump(): void {
    if (this.#pumping || this.#timers.size === 0) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      const [next] = [...this.#timers].sort(([, a], [, b]) => a.due - b.due);
      if (!next) return;
      const [id, { due, fire }] = next;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, due);
      fire();
      this.#pump();
    });
  }
}
