/** The help text: what the executable is, for a runtime and for a person. */
export const help = (
  version: string,
): string => `userspace ${version}: a CNI plugin for vhost-user interfaces on Open vSwitch with DPDK

A container runtime calls it with CNI_COMMAND (ADD, CHECK, DEL, GC, STATUS, VERSION) in its environment and a network
configuration of type "userspace" on stdin. For people:

  userspace list                     every attachment: its state, port, addresses, and what is owed
  userspace show ID [IFNAME]         the journal of an attachment as a timeline; ID may be the beginning of one
  userspace recover                  finish what was interrupted, release what no sandbox can use any more, put back the
                                     ports of living ones that the switch lost, remove ports without a journal
  userspace install [DIR]            put this executable into the runtime's plugin directory (default /opt/cni/bin), also over
                                     one that runs
  userspace help

  --json             one JSON document instead of text
  --boot             recover waits up to a minute for the switch first
  --forget KEY       recover drops what is owed of one attachment, and says what that leaves
  --dry-run          recover says what it would do, and changes nothing
  --data-dir DIR     where the journals are (default /var/lib/cni/userspace)
  --ovsdb ADDRESS    the Open vSwitch database (default unix:/var/run/openvswitch/db.sock): where recover looks
                     for ports without a journal, and for an attachment's own database that moved
  --kubeconfig FILE  used where a journal's own kubeconfig is gone, or has no rights any more
  --version          of this executable: version, target and size

Exit codes: 0 done, nothing left to do; 1 it failed; 2 wrong words; 3 something is owed (try recover again once
what its reason names works).
`;
