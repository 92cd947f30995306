/** The shape of the words on a key of the network configuration. */

/** The projects whose key it is, and where it is documented first. */
export const keyOrigins = {
  CNI: 'the CNI specification or its conventions',
  Kubernetes: "the kubelet's and the runtimes' arguments for a pod",
  Multus: 'Multus, or the network plumbing group',
  predecessor: 'intel/userspace-cni-network-plugin',
  fork: "fivetime/userspace-cni, the predecessor's fork",
  ours: 'this plugin',
} as const;

export interface KeyWords {
  /** One phrase of at most 44 characters: a line of `userspace explain`. */
  readonly title: string;
  /** The rest of its meaning. */
  readonly more?: string;
  readonly whose: keyof typeof keyOrigins;
  /** The value of a key that is left out. */
  readonly default?: unknown;
  /** The same, in words, where it is no fixed value. */
  readonly absent?: string;
  readonly example?: unknown;
  /** CNI error codes of an ADD that this key, beside a wrong shape (7), leads to. */
  readonly codes?: readonly number[];
  /** The first version that has it. Absent: 0.1.0. */
  readonly since?: string;
}

export type KeyTable = { readonly [path: string]: KeyWords };
