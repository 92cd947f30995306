/** deploy/prometheus and deploy/grafana with a real Prometheus, which scrapes an agent on a real switch: each expression tells what happened. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parseYaml } from '../../src/os/native.ts';
import { run } from '../support/real/cni.ts';
import { killedAt } from '../support/real/kill-at-syscall.ts';
import { Metered } from '../support/real/metered.ts';
import type { Changes, TestNode } from '../support/real/node.ts';
import { Prometheus } from '../support/real/prometheus.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { startSwitch } from '../support/real/switch.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const ok = { exitCode: 0 };
const impatient: Changes = { deadlines: { delMs: 1_500, reconnectMs: 200, switchMs: 500, ipamMs: 500 } };

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly runbook: string };
}

const alertsFile = 'deploy/prometheus/alerts.yaml';
const rules = (parseYaml(readFileSync(alertsFile, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);

interface Panel {
  readonly title: string;
  readonly targets: readonly { readonly expr: string }[];
}

const dashboard = JSON.parse(readFileSync('deploy/grafana/dashboard.json', 'utf8')) as { panels: Panel[] };

/** As Grafana fills them in, for all nodes. */
const expressions = dashboard.panels.flatMap(({ title, targets }) =>
  targets.map(({ expr }) => ({
    title,
    expr: expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*').replaceAll('[1h]', '[1m]'),
  })),
);

/** A test does not wait for ten minutes: the same rule with a limit of less. */
const soon: Readonly<Record<string, (expr: string) => string>> = {
  UserspaceOwedTooOld: (expr) => expr.replace('> 600', '> 0'),
  UserspaceRecoveryMissing: (expr) => expr.replace('> 1800', '> 0'),
};

/** The series that stand for the node of the test. */
async function firing(prometheus: Prometheus): Promise<string[]> {
  const names: string[] = [];
  for (const { alert, expr } of rules) if ((await prometheus.query(expr)).length > 0) names.push(alert);
  return names;
}

/** Waits until alerts have fired, whatever else fires. */
async function expectAlerts(prometheus: Prometheus, alerts: readonly string[]): Promise<void> {
  let missing = alerts;
  await prometheus.until(
    async () => {
      const found = await Promise.all(
        rules.map(async ({ alert, expr }) => {
          const asked = soon[alert]?.(expr) ?? expr;
          return (await prometheus.query(asked)).length > 0 ? [alert] : [];
        }),
      );
      missing = alerts.filter((alert) => !found.flat().includes(alert));
      return missing.length === 0;
    },
    () => `these do not fire: ${missing.join(', ')}`,
  );
}

const kubeconfigOf = (server: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: { token: 'none' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });

/** Metrics that a node has only under Kubernetes, where its own lane looks at them. */
const onlyWithKubernetes = /userspace_api_server_up/;

const recoverHere = (node: TestNode, { agent }: Metered) =>
  run(['recover', '--data-dir', node.dataDir, '--ovsdb', node.theSwitch.ovsdb], {
    USERSPACE_CNI_AGENT: agent.directory,
  });

onRealSwitch(
  'Prometheus',
  (theSwitch) => {
    const node = useNode(theSwitch);

    test('takes the rules, and the figures of an agent', async () => {
      execFileSync('promtool', ['check', 'rules', alertsFile]);
      const metered = await Metered.start(node());
      const pod = await node().pod();
      expect(await pod.add('net1', {}, metered.through)).toMatchObject(ok);
      expect(await pod.del('net1', {}, metered.through)).toMatchObject(ok);
      await metered.expectValues({ 'calls_total{verb="DEL",code="0"}': 1 });
      const input = (await metered.get('/metrics')).text;
      expect(execFileSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' })).toBe('');
    });

    test('each rule has a summary, and a runbook that is a section of a page', () => {
      for (const { annotations } of rules) {
        const [page = '', section = ''] = annotations.runbook.split('#');
        expect(annotations.summary).not.toBe('');
        const headings = readFileSync(page, 'utf8').match(/^#+ .*$/gm) ?? [];
        const anchors = headings.map((line) => line.replace(/^#+ /, '').toLowerCase());
        expect(anchors).toContain(section);
      }
    });

    test('shows every panel of the dashboard, and fires no alert, where all is well', async () => {
      const metered = await Metered.start(node(), { words: ['--recover'] });
      const prometheus = await Prometheus.start(metered.port);
      const churn = async () => {
        const pod = await node().pod();
        expect(await pod.add('net1', {}, metered.through)).toMatchObject(ok);
        expect(await pod.del('net1', {}, metered.through)).toMatchObject(ok);
      };
      const pod = await node().pod();
      expect(await pod.add('net1', {}, metered.through)).toMatchObject(ok);
      let empty: unknown[] = expressions;
      await prometheus.until(
        async () => {
          await churn();
          const answers = await Promise.all(
            expressions.map(async ({ title, expr }) => ({ title, expr, found: await prometheus.query(expr) })),
          );
          const isEmpty = ({ expr, found }: (typeof answers)[number]) =>
            !onlyWithKubernetes.test(expr) && !found.some(({ value: [, value] }) => value !== 'NaN');
          empty = answers.filter(isEmpty).map(({ title, expr }) => `${title}: ${expr}`);
          return empty.length === 0;
        },
        () => `these show nothing: ${empty.join('\n')}\n`,
      );
      expect(await firing(prometheus)).toEqual([]);
      expect(await pod.del('net1', {}, metered.through)).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('fires each alert when what it is for has happened', async () => {
      const metered = await Metered.start(node());
      const prometheus = await Prometheus.start(metered.port);
      const [pod, killed, refused] = [await node().pod(), await node().pod(), await node().pod()];
      expect(await pod.add('net1', {}, metered.through)).toMatchObject(ok);
      for (let count = 0; count < 2; count++)
        expect(await refused.add('net1', { mtu: 'wide' }, metered.through)).toMatchObject({ exitCode: 1 });
      await expectAlerts(prometheus, ['UserspaceAddsFail', 'UserspaceRecoveryMissing']);

      expect(await killedAt('ADD', killed.call(), { call: 'fsync', n: 4 })).toBe(true);
      await theSwitch().vsctl('del-port', pod.portName());
      expect(await recoverHere(node(), metered)).toMatchObject(ok);
      await expectAlerts(prometheus, ['UserspacePortsPutBack', 'UserspaceCallsInterrupted']);

      await theSwitch().stopDatabase();
      try {
        expect(await pod.del('net1', impatient, metered.through)).toMatchObject(ok);
        await expectAlerts(prometheus, ['UserspaceSwitchAway', 'UserspaceOwedTooOld']);
      } finally {
        await theSwitch().startDatabase();
      }
      expect(await recoverHere(node(), metered)).toMatchObject(ok);
      expectNothingLeft(await node().world());

      await metered.agent.stop();
      await expectAlerts(prometheus, ['UserspaceAgentGone']);
    });

    test('fires where the data directory, the API server or the switch is of no use', async () => {
      const withoutDpdk = await startSwitch({ dpdk: false });
      onTestFinished(() => withoutDpdk.stop());
      const [dataDir, kubeconfig] = [join(node().directory, 'file'), join(node().directory, 'kubeconfig')];
      writeFileSync(dataDir, 'no directory');
      writeFileSync(kubeconfig, kubeconfigOf('https://127.0.0.1:1'));
      const places = ['--data-dir', dataDir, '--ovsdb', withoutDpdk.ovsdb];
      const metered = await Metered.start(node(), { words: [...places, '--kubeconfig', kubeconfig] });
      const prometheus = await Prometheus.start(metered.port);
      await expectAlerts(prometheus, [
        'UserspaceJournalsUnreadable',
        'UserspaceApiServerAway',
        'UserspaceSwitchWithoutDpdk',
      ]);
      const recovered = await run(['recover', ...places], metered.through.env);
      expect(recovered).toMatchObject({ exitCode: 1 });
      await expectAlerts(prometheus, ['UserspaceRecoveryFails']);
    });
  },
  { parts: ['prometheus', 'strace'] },
);
