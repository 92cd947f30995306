/** A socket's way as a graph in Graphviz' language (dot), by the names of a plan: which side makes it and listens, and which connects. Pure. */
import { join } from 'node:path';
import { socketPathBytesMax } from '../../src/attachment.ts';
import { interfaceType, switchPathOf } from '../../src/effects/ovs/columns.ts';
import { switchSocketDirectory } from '../../src/effects/ovs/root-row.ts';
import { isAnnotation, type Plan, type PortPlan } from '../../src/machines/protocol.ts';
import { boxes, fonts, monospace, plain } from './look.ts';

const colours = { listens: '#1f6f43', connects: '#1d5f9e', plugin: '#a33327', plain } as const;

const lineMax = 60;

/** A path in lines, broken before a slash. */
function pathText(path: string): string {
  const lines: string[] = [];
  for (const part of path.split(/(?=\/)/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + part.length <= lineMax) lines[lines.length - 1] = last + part;
    else lines.push(part);
  }
  return `<font face="${monospace}" point-size="11">${lines.join('<br/>')}</font>`;
}

const box = (id: string, title: string, text: string): string => `"${id}" [label=<<b>${title}</b><br/>${text}>];`;

const place = (name: string, heading: string, ...boxes: readonly string[]): string[] => [
  `subgraph "cluster_${name}" {`,
  `label=<<b>${heading}</b>> labeljust=l fontsize=13 style="rounded" color="${colours.plain}" margin=12;`,
  ...boxes,
  '}',
];

interface Deed {
  readonly text: string;
  readonly way: keyof typeof colours;
  /** The lower one does it to the upper one. */
  readonly isUp?: true;
}

/** An arrow between two things, the upper one first. */
const arrow = (upper: string, lower: string, { text, way, isUp }: Deed): string =>
  `"${upper}" -> "${lower}" [label="  ${text}" color="${colours[way]}" fontcolor="${colours[way]}"${isUp ? ' dir=back' : ''}];`;

const same = (upper: string, lower: string, text: string): string =>
  `"${upper}" -> "${lower}" [label="  ${text}" style=dashed dir=none color="${colours.plain}" fontcolor="${colours.plain}"];`;

/** @param plan of an attachment in a pod */
export function socketDot({ ovsdb, port, publication }: Plan): string {
  if (!port || !isAnnotation(publication)) throw new Error('the plan of a pod is needed');
  const seen = join(publication.mappedDir, port.file);
  return [
    `digraph "socket ${port.mode}" {`,
    `graph [rankdir=TB ranksep=0.45 nodesep=0.4 bgcolor="white" ${fonts}];`,
    `node [${boxes} width=5.6 margin="0.16,0.08" color="${colours.plain}" ${fonts} fontsize=12];`,
    `edge [${fonts} fontsize=12 arrowsize=0.7];`,
    ...place(
      'pod',
      'pod',
      box('application', 'the application', 'DPDK'),
      box('seen', 'its volume shared-dir', pathText(seen)),
    ),
    ...(port.mode === 'client' ? clientWay(port) : serverWay(port, ovsdb)),
    '}',
    '',
  ].join('\n');
}

const switchBox = ({ mode }: PortPlan, more: string): string =>
  box('switch', 'ovs-vswitchd', `interface of type ${interfaceType[mode]}${more}`);

function clientWay(port: PortPlan): string[] {
  const option = `<br/>vhost-server-path among its options:<br/>${pathText(switchPathOf(port))}`;
  return [
    ...place(
      'node',
      'node',
      box('volume', "the kubelet's directory of the volume", pathText(join(port.directory, port.file))),
      ...(port.link ? [box('link', 'a symlink to that directory', pathText(port.link))] : []),
      switchBox(port, option),
    ),
    arrow('application', 'seen', { text: 'makes the socket and listens', way: 'listens' }),
    same('seen', 'volume', 'one directory: the kubelet mounts it'),
    arrow('volume', 'link', {
      text: `made by ADD, because the path of\\n  a socket has at most ${socketPathBytesMax} bytes`,
      way: 'plugin',
      isUp: true,
    }),
    arrow('link', 'switch', { text: 'connects, also after a restart', way: 'connects', isUp: true }),
  ];
}

function serverWay(port: PortPlan, ovsdb: string): string[] {
  const made = join(switchSocketDirectory(ovsdb, undefined), port.name);
  return [
    ...place(
      'node',
      'node',
      box('volume', 'the directory of the volume', pathText(join(port.directory, port.file))),
      box('made', "the switch's run directory", pathText(made)),
      switchBox(port, ''),
    ),
    arrow('application', 'seen', { text: 'connects', way: 'connects' }),
    same('seen', 'volume', 'one directory: the kubelet mounts it'),
    arrow('volume', 'made', { text: 'moved by ADD within one file system', way: 'plugin', isUp: true }),
    arrow('made', 'switch', { text: 'makes the socket and listens', way: 'listens', isUp: true }),
  ];
}
