/**
 * The code that each call reads. The build makes a chunk of every import(): a verb loads the modules below it, and no others. A static
 * import of a module that came late costs every call and shows nowhere: here it is a line that changes.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { productFiles } from '../support/product-code.ts';

interface Imports {
  /** Modules of ours that are loaded together with this one. */
  readonly now: readonly string[];
  /** Modules and packages that it loads when they are needed. */
  readonly late: readonly string[];
}

const target = (file: string, specifier: string): string =>
  specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier;

function importsOf(file: string): Imports {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const now: string[] = [];
  const late: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      if (node.moduleSpecifier && isLoaded(node))
        now.push(target(file, (node.moduleSpecifier as ts.StringLiteral).text));
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      late.push(target(file, (node.arguments[0] as ts.StringLiteral).text));
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { now: now.filter((path) => existsSync(path) && path.startsWith('src/')), late };
}

/** Whether anything is left of it when the types are gone. */
function isLoaded(node: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(node)) return !node.isTypeOnly;
  const { importClause } = node;
  if (!importClause) return true;
  if (importClause.isTypeOnly) return false;
  const { namedBindings } = importClause;
  return !namedBindings || !ts.isNamedImports(namedBindings) || namedBindings.elements.some((one) => !one.isTypeOnly);
}

const graph = new Map(productFiles().map((file) => [file, importsOf(file)]));

/** The modules that are loaded with these. */
function loadedWith(roots: readonly string[]): Set<string> {
  const loaded = new Set<string>();
  const visit = (file: string): void => {
    if (loaded.has(file)) return;
    loaded.add(file);
    for (const next of graph.get(file)?.now ?? []) visit(next);
  };
  for (const root of roots) visit(root);
  return loaded;
}

const late = (...files: readonly string[]): string[] => files.map((file) => `src/${file}`);

/** What each call loads late, for an ordinary network: no kubeconfig, no MTU, a switch that is root. */
const calls: Readonly<Record<string, readonly string[]>> = {
  VERSION: late('verbs/calls.ts'),
  ADD: late('verbs/calls.ts', 'cni/request.ts', 'node.ts', 'verbs/add-check.ts'),
  CHECK: late('verbs/calls.ts', 'cni/request.ts', 'node.ts', 'verbs/add-check.ts'),
  DEL: late('verbs/calls.ts', 'cni/request.ts', 'node.ts', 'verbs/del.ts'),
  GC: late('verbs/calls.ts', 'cni/upkeep.ts', 'node.ts', 'verbs/gc.ts'),
  STATUS: late('verbs/calls.ts', 'cni/upkeep.ts', 'verbs/status.ts'),
  people: late('cli/cli.ts', 'node.ts'),
  agent: late('agent/agent.ts'),
  'a call that the agent makes': [],
};

/** Files that only some calls need, with the calls of the table above that load them. */
const seldom: Readonly<Record<string, readonly string[]>> = {
  'cni/command.ts': ['VERSION', 'ADD', 'CHECK', 'DEL', 'GC', 'STATUS'],
  'agent/meter.ts': [],
  'agent/supervisor.ts': ['agent'],
  'cli/check.ts': [],
  'cli/events.ts': [],
  'cli/explain.ts': [],
  'cli/install.ts': [],
  'cli/list/list.ts': [],
  'cli/list/watch.ts': [],
  'cli/networks.ts': [],
  'cli/status.ts': [],
  'cli/sysdump/sysdump.ts': [],
  'cli/setup/commands.ts': [],
  'cli/show/picture.ts': [],
  'cli/show/show.ts': [],
  'cli/uninstall.ts': [],
  'cni/config/json-schema.ts': [],
  'cni/config/network-schema.ts': [],
  'cni/config/paths.ts': [],
  'cni/config/reference.ts': [],
  'cni/config/words.ts': [],
  'daemonset/daemonset.ts': [],
  'effects/kubernetes/annotation.ts': [],
  'effects/kubernetes/api-server.ts': [],
  'effects/kubernetes/event.ts': [],
  'effects/kubernetes/exec-credential.ts': [],
  'effects/kubernetes/kubeconfig.ts': [],
  'effects/kubernetes/pod.ts': [],
  'effects/kubernetes/token-request.ts': [],
  'effects/ovs/live-ports.ts': [],
  'effects/ovs/mtu.ts': [],
  'effects/ovs/not-taken.ts': [],
  'effects/ovs/own-rows.ts': [],
  'effects/ovs/switch-access.ts': [],
  'figures/counts.ts': [],
  'figures/node.ts': [],
  'figures/report.ts': [],
  'os/inotify.ts': [],
  'os/servers.ts': [],
  'recovery/debts.ts': [],
  'verbs/exhausted.ts': [],
  'recovery/recover.ts': ['people'],
  'recovery/collect.ts': ['GC'],
  'plan/plans.ts': ['ADD', 'CHECK', 'DEL', 'GC'],
  'machines/add.ts': ['ADD', 'CHECK', 'DEL', 'GC', 'people'],
  'effects/host.ts': ['ADD', 'CHECK', 'DEL', 'GC', 'people'],
};

describe('the code that a call loads', () => {
  it('comes late from these places alone', () => {
    const all = [...graph].flatMap(([file, imports]) => [...new Set(imports.late)].map((path) => `${file} -> ${path}`));
    expect(all.sort()).toEqual([
      'src/agent/agent.ts -> src/agent/meter.ts',
      'src/agent/worker.ts -> src/agent/limit.ts',
      'src/cli/cli.ts -> src/cli/check.ts',
      'src/cli/cli.ts -> src/cli/completion/completion.ts',
      'src/cli/cli.ts -> src/cli/explain.ts',
      'src/cli/cli.ts -> src/cli/health.ts',
      'src/cli/cli.ts -> src/cli/install.ts',
      'src/cli/cli.ts -> src/cli/list/list.ts',
      'src/cli/cli.ts -> src/cli/setup/commands.ts',
      'src/cli/cli.ts -> src/cli/show/show.ts',
      'src/cli/cli.ts -> src/cli/sysdump/sysdump.ts',
      'src/cli/list/list.ts -> src/cli/list/watch.ts',
      'src/cli/recovery.ts -> src/cli/events.ts',
      'src/cli/setup/extras.ts -> src/effects/kubernetes/kubeconfig.ts',
      'src/cli/show/picture-file.ts -> write-file-atomic',
      'src/cli/show/show.ts -> src/cli/show/picture-file.ts',
      'src/cni/command.ts -> src/cni/request.ts',
      'src/cni/command.ts -> src/cni/upkeep.ts',
      'src/effects/files/device-info.ts -> write-file-atomic',
      'src/effects/kubernetes/api-servers.ts -> src/effects/kubernetes/annotation.ts',
      'src/effects/kubernetes/api-servers.ts -> src/effects/kubernetes/api-server.ts',
      'src/effects/kubernetes/api-servers.ts -> src/effects/kubernetes/event.ts',
      'src/effects/kubernetes/api-servers.ts -> src/effects/kubernetes/pod.ts',
      'src/effects/kubernetes/kubeconfig.ts -> @kubernetes/client-node',
      'src/effects/kubernetes/kubeconfig.ts -> src/effects/kubernetes/exec-credential.ts',
      'src/effects/ovs/access.ts -> src/effects/ovs/switch-access.ts',
      'src/effects/ovs/engine.ts -> src/effects/ovs/live-ports.ts',
      'src/effects/ovs/engine.ts -> src/effects/ovs/own-rows.ts',
      'src/effects/ovs/port.ts -> src/effects/ovs/mtu.ts',
      'src/effects/ovs/port.ts -> src/effects/ovs/not-taken.ts',
      'src/effects/ovs/readiness.ts -> src/effects/ovs/switch-access.ts',
      'src/effects/readiness.ts -> src/effects/ipam/plugin.ts',
      'src/main.ts -> src/agent/agent.ts',
      'src/main.ts -> src/cli/cli.ts',
      'src/main.ts -> src/cli/text.ts',
      'src/main.ts -> src/cni/request.ts',
      'src/main.ts -> src/daemonset/daemonset.ts',
      'src/main.ts -> src/figures/node.ts',
      'src/main.ts -> src/node.ts',
      'src/main.ts -> src/os/native.ts',
      'src/main.ts -> src/verbs/add-check.ts',
      'src/main.ts -> src/verbs/calls.ts',
      'src/main.ts -> src/verbs/del.ts',
      'src/main.ts -> src/verbs/status.ts',
      'src/recovery/lease.ts -> proper-lockfile',
      'src/verbs/add.ts -> src/verbs/exhausted.ts',
      'src/verbs/del.ts -> src/recovery/debts.ts',
      'src/verbs/handlers.ts -> src/verbs/add-check.ts',
      'src/verbs/handlers.ts -> src/verbs/del.ts',
      'src/verbs/handlers.ts -> src/verbs/gc.ts',
    ]);
  });

  it.each(Object.entries(seldom))('%s is loaded by %j', (file, expected) => {
    const loading = Object.entries(calls).filter(([, roots]) =>
      loadedWith(['src/main.ts', ...roots]).has(`src/${file}`),
    );
    expect(loading.map(([verb]) => verb)).toEqual(expected);
  });
});
