/** The commands `install` and `uninstall`: their words, and what they print. */
import { type CommandCall, exit, json } from '../command-line.ts';
import { defaultBinDir, identityText, install } from '../install.ts';
import { uninstall, uninstallText } from '../uninstall.ts';
import { enableWords } from './extras.ts';
import { isSystemdThere } from './systemd.ts';

/** @returns the exit code */
export async function runInstall({ words: { values, positionals }, terminal, machine }: CommandCall): Promise<number> {
  const { units, conflist, kubeconfig, manual, 'conf-dir': confDir } = values;
  const directory = positionals[1] ?? defaultBinDir;
  const installed = await install({
    machine,
    directory,
    version: terminal.version,
    extras: { units, conflist, kubeconfig, confDir, manual },
  });
  const { path, done, files = [] } = installed;
  const lines = [
    `${path}: ${done}: ${identityText(installed)}`,
    ...files.map((file) => `${file.path}: ${file.done}`),
    ...(units && !isSystemdThere(machine) ? [`systemd does not run here; where it does: ${enableWords}`] : []),
  ];
  terminal.stdout(values.json ? json(installed) : `${lines.join('\n')}\n`);
  return exit.done;
}

/** @returns the exit code */
export async function runUninstall({
  words: { values, positionals },
  terminal,
  machine,
}: CommandCall): Promise<number> {
  const places = { dataDir: values['data-dir'], ovsdb: values.ovsdb };
  const directory = positionals[1] ?? defaultBinDir;
  const gone = await uninstall({ machine, directory, places, force: values.force });
  terminal.stdout(values.json ? json(gone) : uninstallText(gone));
  return { removed: exit.done, failed: exit.failed, refused: exit.owed }[gone.done];
}
