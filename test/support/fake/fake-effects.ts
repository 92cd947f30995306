/**
 * Each step's ensure, remove and find on a FakeWorld: the same promises as src/effects, without its system calls. (The switch's:
 * fake-engine.ts.)
 *
 * `half` is called at the point between two changes of the real effect.
 */
import { code, keyHash, keyText } from '../../../src/attachment.ts';
import type { EngineRequest } from '../../../src/effects/engine.ts';
import type {
  AnnotationPlan,
  Call,
  CallText,
  Facts,
  FilePlan,
  Outcome,
  Plan,
  Request,
  Step,
} from '../../../src/machines/protocol.ts';
import type { FakeEngine } from './fake-engine.ts';
import { drift, failed, type Half, ok } from './fake-ports.ts';
import type { FakeFile, FakePod, FakeWorld } from './fake-world.ts';

type Annotations = { readonly [name: string]: string | null };

/** A pod's annotation: an array with one entry for each interface. */
const dataName = 'userspace/configuration-data';

/** The steps that are not the switch's. */
type OwnStep = Exclude<Step, EngineRequest['step']>;

/** What a step is handed beside its plan. */
interface Given {
  readonly facts: Facts;
  readonly call: Call;
  readonly half: Half;
}

export class FakeEffects {
  readonly #world: FakeWorld;
  readonly #engine: FakeEngine;

  constructor(world: FakeWorld, engine: FakeEngine) {
    this.#world = world;
    this.#engine = engine;
  }

  async act(request: Request, call: Call, half: Half): Promise<Outcome> {
    const { step, verb, plan, facts } = request;
    if (step === 'bridge' || step === 'port') return await this.#engine.perform({ ...request, step }, call, half);
    switch (verb) {
      case 'ensure':
      case 'restore':
        return await this.#ensure(step, plan, { facts, call, half });
      case 'remove':
      case 'withdraw':
        return await this.#remove(step, plan, { facts, call, half });
      case 'find':
        return await this.#find(step, plan, { facts, call });
    }
  }

  async #ensure(step: OwnStep, plan: Plan, { facts, call, half }: Given): Promise<Outcome> {
    const by = keyText(plan.key);
    switch (step) {
      case 'address':
        return plan.address ? this.#allocate(plan.request) : ok;
      case 'socketDir':
        return await this.#makeDirectory(plan, by, { call, half });
      case 'publication': {
        if (!plan.publication) return ok;
        if ('pod' in plan.publication) return await this.#annotate(plan, plan.publication, facts, half);
        const { directory, file } = plan.publication;
        if (!this.#world.files.has(directory)) return failed(code.io, `ENOENT: "${directory}"`);
        await this.#replace(
          `${directory}/${file}`,
          `${directory}/.${keyHash(plan.key)}.tmp`,
          by,
          textOf(plan, facts),
          half,
        );
        return ok;
      }
      case 'deviceInfo': {
        if (!plan.deviceInfo) return ok;
        const { path, socket } = plan.deviceInfo;
        await this.#replace(path, `${path}.4711`, by, socket, half);
        return ok;
      }
    }
  }

  async #remove(step: OwnStep, plan: Plan, { facts, call, half }: Given): Promise<Outcome> {
    const { files } = this.#world;
    switch (step) {
      case 'address':
        return plan.address ? await this.#release(plan, facts, call) : ok;
      case 'socketDir': {
        if (!plan.socketDir) return ok;
        const { own, hold, link } = plan.socketDir;
        if (link) this.#unlink(link, 'symlink');
        if (own === undefined) return ok;
        this.#unlink(`${own}/${hold}`, 'file');
        await half();
        if (this.#world.childrenOf(own).length > 0) return ok;
        files.delete(own);
        this.#world.entries.delete(own);
        return ok;
      }
      case 'publication': {
        if (!plan.publication) return ok;
        if ('pod' in plan.publication) return await this.#forgetAnnotation(plan, plan.publication, facts, half);
        const { directory, file } = plan.publication;
        this.#unlink(`${directory}/${file}`, 'file');
        await half();
        this.#unlink(`${directory}/.${keyHash(plan.key)}.tmp`, 'file');
        return ok;
      }
      case 'deviceInfo': {
        if (!plan.deviceInfo) return ok;
        this.#unlink(plan.deviceInfo.path, 'file');
        await half();
        this.#unlink(`${plan.deviceInfo.path}.4711`, 'file');
        return ok;
      }
    }
  }

  async #find(step: OwnStep, plan: Plan, { facts, call }: Omit<Given, 'half'>): Promise<Outcome> {
    const { files } = this.#world;
    const { socketDir, publication, deviceInfo } = plan;
    switch (step) {
      case 'address':
        return this.#addressOf(plan.request) === undefined ? drift('the address is gone') : ok;
      case 'socketDir':
        if (socketDir?.link && files.get(socketDir.link)?.kind !== 'symlink') return drift('the symlink is gone');
        if (socketDir?.own && !files.has(`${socketDir.own}/${socketDir.hold}`)) return drift('the hold file is gone');
        return await this.#engine.way.find(plan, call.end);
      case 'publication': {
        if (publication && 'pod' in publication) return this.#findAnnotation(plan, publication);
        const file = publication && files.get(`${publication.directory}/${publication.file}`);
        return file?.text === textOf(plan, facts) ? ok : drift('the publication is not as it was written');
      }
      case 'deviceInfo':
        return files.get(deviceInfo?.path ?? '')?.text === deviceInfo?.socket ? ok : drift('the device info is gone');
    }
  }

  /** The plan's pod, if it is still there under its name. */
  #podOf({ pod }: AnnotationPlan): FakePod | undefined {
    const found = this.#world.pods.get(`${pod.namespace}/${pod.name}`);
    return pod.uid === undefined || found?.uid === pod.uid ? found : undefined;
  }

  /** Sends a write, which lands when it is answered: a sender that dies in between does not learn of it. */
  async #send({ pod }: AnnotationPlan, { version }: FakePod, annotations: Annotations, half: Half): Promise<void> {
    this.#world.writes.push({ pod: `${pod.namespace}/${pod.name}`, version, annotations });
    await half();
    this.#world.land();
  }

  async #annotate(plan: Plan, annotation: AnnotationPlan, facts: Facts, half: Half): Promise<Outcome> {
    const { containerId, ifName } = plan.key;
    const entry = { containerId, ifName, network: plan.key.network, text: textOf({ publication: annotation }, facts) };
    for (let round = 0; round < 5; round++) {
      const pod = this.#podOf(annotation);
      if (!pod) return failed(code.tryAgainLater, 'the pod is gone');
      const entries = entriesOf(pod);
      const text = JSON.stringify([...entries.filter((other) => other.ifName !== ifName), entry]);
      if (text === pod.annotations[dataName]) return { kind: 'ok', facts: { settled: true } };
      await this.#send(annotation, pod, { [dataName]: text }, half);
    }
    return failed(code.tryAgainLater, 'the pod is written by others again and again');
  }

  /** Lets a dead sender's write land right after the look at the pod, which is the worst moment. */
  async #forgetAnnotation(plan: Plan, annotation: AnnotationPlan, facts: Facts, half: Half): Promise<Outcome> {
    const { containerId, ifName } = plan.key;
    const fence = `removing-${keyHash(plan.key)}`;
    let first: number | undefined;
    for (;;) {
      const pod = this.#podOf(annotation);
      if (!pod) return ok;
      first ??= pod.version;
      this.#world.land();
      const entries = entriesOf(pod);
      const others = entries.filter((entry) => entry.containerId !== containerId || entry.ifName !== ifName);
      const settled = facts.publication?.settled || pod.version !== first;
      const change: Annotations = {
        ...(others.length < entries.length && { [dataName]: others.length > 0 ? JSON.stringify(others) : null }),
        ...(pod.annotations[fence] !== undefined && { [fence]: null }),
      };
      if (Object.keys(change).length === 0 && settled) return ok;
      await this.#send(annotation, pod, Object.keys(change).length > 0 ? change : { [fence]: 'true' }, half);
    }
  }

  #findAnnotation({ key }: Plan, annotation: AnnotationPlan): Outcome {
    const pod = this.#podOf(annotation);
    const own = pod && entriesOf(pod).filter(({ ifName }) => ifName === key.ifName);
    return own?.length === 1 && own[0]?.containerId === key.containerId ? ok : drift('the annotation is not as it was');
  }

  /** Allocates as a delegated plugin does: by its own input and environment, and never twice for the same interface. */
  #allocate(text: CallText): Outcome {
    const { addresses } = this.#world;
    const holder = ipamHolder(text);
    if (this.#addressOf(text) !== undefined) return failed(code.tryAgainLater, `${holder} has an address already`);
    let host = 2;
    while (addresses.has(`192.0.2.${host}`)) host++;
    addresses.set(`192.0.2.${host}`, holder);
    return { kind: 'ok', facts: { ips: [{ address: `192.0.2.${host}/24` }], routes: [] } };
  }

  async #release(plan: Plan, { port }: Facts, call: Call): Promise<Outcome> {
    const released = await this.#engine.released(plan, port, call.end);
    if (released.kind !== 'ok') return released;
    const address = this.#addressOf(plan.request);
    if (address !== undefined) this.#world.addresses.delete(address);
    return ok;
  }

  #addressOf(text: CallText): string | undefined {
    const holder = ipamHolder(text);
    return [...this.#world.addresses].find(([, by]) => by === holder)?.[0];
  }

  async #makeDirectory(plan: Plan, by: string, { call, half }: Pick<Given, 'call' | 'half'>): Promise<Outcome> {
    if (!plan.socketDir) return ok;
    const made = await this.#ensureDirectory(plan.socketDir, by, half);
    return made.kind === 'ok' ? await this.#engine.way.open(plan, call.end, half) : made;
  }

  async #ensureDirectory(
    { base, own, hold, link, kubelet }: NonNullable<Plan['socketDir']>,
    by: string,
    half: Half,
  ): Promise<Outcome> {
    const { files } = this.#world;
    if (!files.has(base) && kubelet) return failed(code.io, `ENOENT: "${base}"`);
    if (!files.has(base)) files.set(base, { kind: 'directory', by: 'admin', text: '' });
    if (own === undefined) {
      await half();
      if (link) files.set(link, { kind: 'symlink', by, text: base });
      return ok;
    }
    for (let round = 0; round < 3; round++) {
      // The first call makes it for all interfaces of the sandbox, so it belongs to none of them.
      if (!files.has(own)) files.set(own, { kind: 'directory', by: 'shared', text: '' });
      await half();
      // A sibling's removal came in between: make it again.
      if (!files.has(own)) continue;
      files.set(`${own}/${hold}`, { kind: 'file', by, text: 'hold' });
      return ok;
    }
    return failed(code.tryAgainLater, `"${own}" is removed again and again`);
  }

  async #replace(path: string, temporary: string, by: string, text: string, half: Half): Promise<void> {
    const { files } = this.#world;
    files.set(temporary, { kind: 'file', by, text });
    await half();
    files.delete(temporary);
    files.set(path, { kind: 'file', by, text });
  }

  /** Removes a file of ours; one of another kind at our name is not ours. */
  #unlink(path: string, kind: FakeFile['kind']): void {
    if (this.#world.files.get(path)?.kind === kind) this.#world.files.delete(path);
  }
}

const textOf = ({ publication }: { publication?: Pick<FilePlan, 'data'> }, { address }: Facts): string =>
  JSON.stringify([publication?.data, address?.ips]);

/** The entries of a pod's annotation, one for each interface. */
function entriesOf({ annotations }: FakePod): { containerId: string; ifName: string }[] {
  return JSON.parse(annotations[dataName] ?? '[]');
}

/** The attachment to which an IPAM plugin would assign this call. */
function ipamHolder({ stdin, env }: CallText): string {
  return `${JSON.parse(stdin).name}:${env.CNI_CONTAINERID}:${env.CNI_IFNAME}`;
}
