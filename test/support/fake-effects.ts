/**
 * Each step's ensure, remove and find on a FakeWorld: the same promises as src/effects, without its system calls.
 *
 * `half` is called where the real effect stands between two of its own changes.
 */
import { code, keyHash, keyText, owner, type Trouble } from '../../src/attachment.ts';
import type {
  AnnotationPlan,
  Call,
  CallText,
  Facts,
  FilePlan,
  Outcome,
  Plan,
  PortPlan,
  Request,
  Step,
} from '../../src/machines/protocol.ts';
import { type FakeFile, type FakePod, type FakePort, type FakeWorld, switchDir } from './fake-world.ts';

type Half = () => Promise<void>;
type Annotations = { readonly [name: string]: string | null };

/** Of a pod: an array with one entry for each interface. */
const dataName = 'userspace/configuration-data';

const ok: Outcome = { kind: 'ok' };
const failed = (number: number, message: string): Extract<Outcome, { kind: 'failed' }> => ({
  kind: 'failed',
  trouble: { code: number, message },
});
const drift = (message: string): Outcome => failed(code.drift, message);

const socketOf = ({ directory, file }: PortPlan): string => `${directory}/${file}`;

export class FakeEffects {
  readonly #world: FakeWorld;

  constructor(world: FakeWorld) {
    this.#world = world;
  }

  async act(request: Request, call: Call, half: Half): Promise<Outcome> {
    const { step, verb, plan, facts } = request;
    if (verb === 'find') return this.#find(step, plan, facts, call);
    if (verb === 'restore') return await this.#restorePort(plan, call, half);
    if (verb === 'withdraw') return this.#withdrawPort(facts);
    return verb === 'ensure'
      ? await this.#ensure(step, plan, facts, call, half)
      : await this.#remove(step, plan, facts, call, half);
  }

  /** By its marks, by the row that the journal has, or by its name with its socket where the marks were cleared. */
  ownPorts(plan: Plan, call: Call, facts: Facts = {}): [string, FakePort][] {
    const id = facts.port && 'uuid' in facts.port ? facts.port.uuid : undefined;
    const isMarked = ({ marks }: FakePort) =>
      marks.owner === owner && marks.key === keyText(plan.key) && isOfDirectory(marks, call);
    const isBare = (name: string, { marks, mode }: FakePort) =>
      marks.owner === undefined && name === plan.port?.name && mode === 'client';
    return [...this.#world.ports].filter(
      ([name, port]) => isMarked(port) || (id !== undefined && port.uuid === id) || isBare(name, port),
    );
  }

  /** The instance of another data directory that has a port of this key. */
  foreignPort(plan: Plan, call: Call): string | undefined {
    const foreign = [...this.#world.ports.values()].find(
      ({ marks }) => marks.owner === owner && marks.key === keyText(plan.key) && !isOfDirectory(marks, call),
    );
    return foreign?.marks.instance;
  }

  /** Who holds the name or the socket of this port, if it is not the attachment itself. */
  portTroubles(plan: Plan, port: PortPlan, call: Call): Trouble[] {
    const isOwn = ({ marks }: FakePort) => marks.key === keyText(plan.key) && isOfDirectory(marks, call);
    const holds = (name: string, { marks }: FakePort) => name === port.name || marks.socket === socketOf(port);
    const holder = [...this.#world.ports].find(([name, other]) => holds(name, other) && !isOwn(other));
    if (!holder) return [];
    return [{ code: code.invalidConfig, message: `"${port.name}" is held by "${holder[1].marks.key}"` }];
  }

  async #ensure(step: Step, plan: Plan, facts: Facts, call: Call, half: Half): Promise<Outcome> {
    const by = keyText(plan.key);
    switch (step) {
      case 'address':
        return plan.address ? this.#allocate(plan.request) : ok;
      case 'socketDir':
        return plan.socketDir ? await this.#ensureDirectory(plan.socketDir, by, half) : ok;
      case 'bridge': {
        const { bridges } = this.#world;
        if (!plan.bridge) return ok;
        const there = bridges.get(plan.bridge.name);
        if (there) return { kind: 'ok', facts: { created: false, ours: there.instance === call.instance } };
        bridges.set(plan.bridge.name, { instance: call.instance, ports: [] });
        return { kind: 'ok', facts: { created: true, ours: true } };
      }
      case 'port':
        return plan.port ? await this.#ensurePort(plan, plan.port, call, half) : ok;
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

  async #remove(step: Step, plan: Plan, facts: Facts, call: Call, half: Half): Promise<Outcome> {
    const { files } = this.#world;
    switch (step) {
      case 'address':
        return plan.address ? this.#release(plan.request) : ok;
      case 'socketDir': {
        if (!plan.socketDir) return ok;
        const { own, hold, link } = plan.socketDir;
        if (link) this.#unlink(link, 'symlink');
        if (own === undefined) return ok;
        this.#unlink(`${own}/${hold}`, 'file');
        await half();
        if (this.#world.childrenOf(own).length === 0) files.delete(own);
        return ok;
      }
      case 'bridge': {
        const { bridges } = this.#world;
        const found = plan.bridge && bridges.get(plan.bridge.name);
        if (found?.instance === call.instance && found.ports.length === 0) bridges.delete(plan.bridge?.name ?? '');
        return ok;
      }
      case 'port':
        return await this.#removePort(plan, facts, call, half);
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

  #find(step: Step, plan: Plan, facts: Facts, call: Call): Outcome {
    const { files, bridges } = this.#world;
    const { socketDir, publication, deviceInfo, port } = plan;
    switch (step) {
      case 'address':
        return this.#addressOf(plan.request) === undefined ? drift('the address is gone') : ok;
      case 'socketDir':
        if (socketDir?.link && files.get(socketDir.link)?.kind !== 'symlink') return drift('the symlink is gone');
        return !socketDir?.own || files.has(`${socketDir.own}/${socketDir.hold}`) ? ok : drift('the hold file is gone');
      case 'bridge':
        return !plan.bridge || bridges.has(plan.bridge.name) ? ok : drift('the bridge is gone');
      case 'port':
        return port ? this.#findPort({ plan, facts }, port, call) : ok;
      case 'publication': {
        if (publication && 'pod' in publication) return this.#findAnnotation(plan, publication);
        const file = publication && files.get(`${publication.directory}/${publication.file}`);
        return file?.text === textOf(plan, facts) ? ok : drift('the publication is not as it was written');
      }
      case 'deviceInfo':
        return files.get(deviceInfo?.path ?? '')?.text === deviceInfo?.socket ? ok : drift('the device info is gone');
    }
  }

  /** The pod that is meant, if it is still there under its name. */
  #podOf({ pod }: AnnotationPlan): FakePod | undefined {
    const found = this.#world.pods.get(`${pod.namespace}/${pod.name}`);
    return pod.uid === undefined || found?.uid === pod.uid ? found : undefined;
  }

  /** Sent, and landed when it is answered: a sender who dies in between does not know. */
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

  /** What a dead sender had sent lands right after this has looked: the worst moment. */
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

  /** As a delegated plugin does: by its own standard input and environment, and never twice for the same interface. */
  #allocate(text: CallText): Outcome {
    const { addresses } = this.#world;
    const holder = ipamHolder(text);
    if (this.#addressOf(text) !== undefined) return failed(code.tryAgainLater, `${holder} has an address already`);
    let host = 2;
    while (addresses.has(`192.0.2.${host}`)) host++;
    addresses.set(`192.0.2.${host}`, holder);
    return { kind: 'ok', facts: { ips: [{ address: `192.0.2.${host}/24` }], routes: [] } };
  }

  #release(text: CallText): Outcome {
    const address = this.#addressOf(text);
    if (address !== undefined) this.#world.addresses.delete(address);
    return ok;
  }

  #addressOf(text: CallText): string | undefined {
    const holder = ipamHolder(text);
    return [...this.#world.addresses].find(([, by]) => by === holder)?.[0];
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
      // Whoever comes first makes it for all interfaces of the sandbox: it is nobody's.
      if (!files.has(own)) files.set(own, { kind: 'directory', by: 'shared', text: '' });
      await half();
      // A sibling's removal came in between: make it again.
      if (!files.has(own)) continue;
      files.set(`${own}/${hold}`, { kind: 'file', by, text: 'hold' });
      return ok;
    }
    return failed(code.tryAgainLater, `"${own}" is removed again and again`);
  }

  async #ensurePort(plan: Plan, port: PortPlan, call: Call, half: Half): Promise<Outcome> {
    const { ports, bridges, files } = this.#world;
    const socket = socketOf(port);
    const taken = [...ports].some(([name, { marks }]) => name === port.name || marks.socket === socket);
    if (taken) return { ...failed(code.invalidConfig, `"${port.name}" belongs to another port`), made: 'nothing' };
    const bridge = bridges.get(port.bridge);
    if (!bridge) {
      return { kind: 'displaced', trouble: { code: code.tryAgainLater, message: `bridge "${port.bridge}" went away` } };
    }
    const uuid = this.#world.newUuid();
    const by = keyText(plan.key);
    const { bridge: _, name, mode, directory, vlan, link } = port;
    const ours = {
      owner,
      instance: call.instance,
      key: by,
      bridge: port.bridge,
      mode,
      directory,
      socket,
      ...(link && { link }),
      ...(call.dataDir && { 'data-dir': call.dataDir }),
      ...(call.begun && { begun: call.begun }),
    };
    ports.set(name, { uuid, by, mode, tag: vlan.tag, marks: { ...port.marks, ...ours } });
    bridges.set(port.bridge, { ...bridge, ports: [...bridge.ports, name] });
    if (mode === 'client') {
      await half();
      return { kind: 'ok', facts: { uuid, ofport: 1 } };
    }
    const made: FakeFile = { kind: 'socket', by, text: uuid };
    files.set(`${switchDir}/${name}`, made);
    await half();
    if (!files.has(directory)) return failed(code.io, `ENOENT: "${directory}"`);
    files.delete(`${switchDir}/${name}`);
    files.set(socket, made);
    return { kind: 'ok', facts: { uuid, ofport: 1, switchSocket: `${switchDir}/${name}` } };
  }

  async #restorePort(plan: Plan, call: Call, half: Half): Promise<Outcome> {
    const { port } = plan;
    const [own] = this.ownPorts(plan, call);
    if (!port || !own) return port ? await this.#ensurePort(plan, port, call, half) : ok;
    if (port.mode === 'client') return ok;
    const made = this.#world.files.get(`${switchDir}/${own[0]}`);
    if (!made) return failed(code.io, 'ENOENT: the switch made no socket');
    await half();
    this.#world.files.delete(`${switchDir}/${own[0]}`);
    this.#world.files.set(socketOf(port), made);
    return ok;
  }

  /** The row that a failed put-back made, and nothing else. */
  #withdrawPort({ port }: Facts): Outcome {
    for (const [name, { uuid }] of this.#world.ports)
      if (port && 'uuid' in port && uuid === port.uuid) this.#dropPort(name);
    return ok;
  }

  #dropPort(name: string): void {
    this.#world.ports.delete(name);
    for (const [bridge, found] of this.#world.bridges) {
      if (!found.ports.includes(name)) continue;
      this.#world.bridges.set(bridge, { ...found, ports: found.ports.filter((other) => other !== name) });
    }
  }

  /** Sockets before rows; one that another row or the journal of a living attachment names is not ours any more. */
  async #removePort(plan: Plan, facts: Facts, call: Call, half: Half): Promise<Outcome> {
    if (facts.port && 'goneAt' in facts.port) return { kind: 'ok', facts: facts.port };
    const own = this.ownPorts(plan, call, facts);
    const names = new Set(own.map(([name]) => name));
    const claimed = [...this.#world.ports].filter(([name]) => !names.has(name)).map(([, { marks }]) => marks.socket);
    const sockets = own.map(([, { marks }]) => marks.socket ?? '');
    if (plan.port) sockets.push(socketOf(plan.port));
    const isKept = (socket: string) =>
      plan.port?.socketStays || claimed.includes(socket) || call.isAnothersSocket?.(socket);
    for (const socket of sockets) if (!isKept(socket)) this.#unlink(socket, 'socket');
    await half();
    for (const [name] of own) {
      this.#unlink(`${switchDir}/${name}`, 'socket');
      this.#dropPort(name);
    }
    return ok;
  }

  #findPort({ plan, facts }: { plan: Plan; facts: Facts }, port: PortPlan, call: Call): Outcome {
    const [own] = this.ownPorts(plan, call, facts);
    if (!own) return drift(`port "${port.name}" is gone`);
    if (own[1].marks.owner === undefined) return drift('its marks are gone');
    if (own[1].tag !== port.vlan.tag) return drift(`tag is ${own[1].tag} instead of ${port.vlan.tag}`);
    if (!this.#world.bridges.get(port.bridge)?.ports.includes(own[0])) return drift(`it is not on "${port.bridge}"`);
    if (port.mode === 'server' && this.#world.files.has(`${switchDir}/${own[0]}`))
      return drift('the socket was made again');
    if (port.mode === 'server' && this.#world.files.get(socketOf(port))?.kind !== 'socket') return drift('no socket');
    return ok;
  }

  async #replace(path: string, temporary: string, by: string, text: string, half: Half): Promise<void> {
    const { files } = this.#world;
    files.set(temporary, { kind: 'file', by, text });
    await half();
    files.delete(temporary);
    files.set(path, { kind: 'file', by, text });
  }

  /** What is of another kind at our name is not ours. */
  #unlink(path: string, kind: FakeFile['kind']): void {
    if (this.#world.files.get(path)?.kind === kind) this.#world.files.delete(path);
  }
}

const textOf = ({ publication }: { publication?: Pick<FilePlan, 'data'> }, { address }: Facts): string =>
  JSON.stringify([publication?.data, address?.ips]);

/** Of a pod's annotation, by interface. */
function entriesOf({ annotations }: FakePod): { containerId: string; ifName: string }[] {
  return JSON.parse(annotations[dataName] ?? '[]');
}

/** The attachment an IPAM plugin would take this call for. */
function ipamHolder({ stdin, env }: CallText): string {
  return `${JSON.parse(stdin).name}:${env.CNI_CONTAINERID}:${env.CNI_IFNAME}`;
}

const isOfDirectory = (marks: FakePort['marks'], { instance, dataDir }: Call): boolean =>
  marks.instance === instance || (dataDir !== undefined && marks['data-dir'] === dataDir);
