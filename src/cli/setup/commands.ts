/** The commands `install` and `uninstall`: their words, and what they print. */
import type { CliNode, parseWords, Terminal } from '../command-line.ts';
import { defaultBinDir, identityText, install } from '../install.ts';
import { uninstall, uninstallText } from '../uninstall.ts';
import { enableWords } from './extras.ts';
import { isSystemdThere } from './systemd.ts';

interface SetupCall {
  readonly words: ReturnType<typeof parseWords>;
  readonly terminal: Terminal;
  readonly machine: CliNode;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** @returns the exit code */
export async function runInstall({ words: { values, positionals }, terminal, machine }: SetupCall): Promise<number> {
  const { units, conflist, kubeconfig, 'conf-dir': confDir } = values;
  const directory = positionals[1] ?? defaultBinDir;
  const installed = await install({
    machine,
    directory,
    version: terminal.version,
    extras: { units, conflist, kubeconfig, confDir },
  });
  const { path, done, files = [] } = installed;
  const lines = [
    `${path}: ${done}: ${identityText(installed)}`,
    ...files.map((file) => `${file.path}: ${file.done}`),
    ...(units && !isSystemdThere(machine) ? [`systemd does not run here; where it does: ${enableWords}`] : []),
  ];
  terminal.stdout(values.json ? json(installed) : `${lines.join('\n')}\n`);
  return 0;
}

/** @returns the exit code */
export async function runUninstall({ words: { values, positionals }, terminal, machine }: SetupCall): Promise<number> {
  const places = { dataDir: values['data-dir'], ovsdb: values.ovsdb };
  const directory = positionals[1] ?? defaultBinDir;
  const gone = await uninstall({ machine, directory, places, force: values.force });
  terminal.stdout(values.json ? json(gone) : uninstallText(gone));
  return { removed: 0, failed: 1, refused: 3 }[gone.done];
}
