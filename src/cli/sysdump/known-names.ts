/**
 * The names whose values a dump may show where other programs and people can add names of their own: everything else there is taken for
 * a secret. Pure.
 */

const names = (text: string): ReadonlySet<string> => new Set(text.trim().toLowerCase().split(/\s+/));

/** Keys of a network configuration: ours, the runtimes', and those of the usual IPAM programs. In lower case, as Go reads them. */
export const knownKeys = names(`
  cniVersion name type plugins kubeconfig kubeletRootDir shortDir grantAccess predecessorDir sharedDir logFile logLevel dataDir ovsdb
  deadlines addMs rollbackMs delMs statusMs lockMs ipamMs switchMs reconnectMs apiMs apiRetryMs directoryMs
  mtu host container engine iftype netType mac memif vhost bridge mode group socketfile ingressPolicingRate ingressPolicingBurst
  enableGso enablePacked enableEventIdx bridgeName bridgeId vlanId trunks vlanMode
  capabilities deviceID disableCheck disableGC ipMasq loadOnlyInlinedPlugins pciBusID
  ipam ranges subnet rangeStart rangeEnd gateway routes dst gw resolvConf addresses address ips range range_start range_end exclude
  network_name enable_overlapping_ranges kubernetes log_file log_level configuration_path interface interfaces sandbox version
  dns nameservers domain search options prevResult runtimeConfig CNIDeviceInfoFile ipRanges args cni OvnPort role socketpath`);

/** Variables of a call (CNI SPEC section 2), and the pairs in its CNI_ARGS. */
export const knownVariables = names('CNI_CONTAINERID CNI_IFNAME CNI_NETNS CNI_PATH CNI_COMMAND');
export const knownArguments = names(
  'IgnoreUnknown MAC IP OvnPort K8S_POD_NAMESPACE K8S_POD_NAME K8S_POD_UID K8S_POD_INFRA_CONTAINER_ID',
);

/** Maps in rows of the switch's database: our marks, those of OVN, and the settings that decide about DPDK. */
export const knownMapKeys: { readonly [column: string]: ReadonlySet<string> } = {
  external_ids: names(`
    owner instance key data-dir bridge mode directory file link socket netns netns-file netns-directory begun pod pod-uid kubeconfig mac
    iface-id iface-status ovn-installed ovn-installed-ts hostname rundir system-id system-type system-version ovn-bridge ovn-encap-type`),
  other_config: names(`
    dpdk-init dpdk-socket-mem dpdk-socket-limit dpdk-alloc-mem dpdk-hugepage-dir dpdk-lcore-mask dpdk-extra pmd-cpu-mask pmd-auto-lb
    pmd-rxq-assign pmd-rxq-isolate pmd-sleep-max per-port-memory vhost-sock-dir vhost-iommu-support vhost-postcopy-support
    userspace-tso-enable hw-offload tx-flush-interval emc-insert-inv-prob smc-enable max-idle max-revalidator n-handler-threads
    n-revalidator-threads shared-mempool-config vlan-limit hwaddr mac-table-size`),
  options: names('vhost-server-path n_rxq n_txq tx-retries-max dpdk-devargs'),
};

/** Parameters of the kernel's command line: hugepages, IOMMU, processors, memory, cgroups and security modules. */
export const knownParameters = names(`
  hugepages hugepagesz default_hugepagesz hugetlb_free_vmemmap hugetlb_cma transparent_hugepage iommu intel_iommu amd_iommu
  iommu.passthrough iommu.strict isolcpus nohz nohz_full rcu_nocbs irqaffinity nr_cpus maxcpus nosmt mitigations numa numa_balancing mem
  memmap cgroup_no_v1 cgroup_disable systemd.unified_cgroup_hierarchy selinux enforcing apparmor security lsm lockdown
  vfio_iommu_type1.allow_unsafe_interrupts`);
