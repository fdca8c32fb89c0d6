import { BlockList, isIP, isIPv4 } from 'node:net';

// IANA's special-purpose address registries: everything that is not reachable from anywhere.
const reserved = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  reserved.addSubnet(network, prefix, 'ipv4');

// Only 2000::/3 is given out as global unicast; of it these are not, or stand for an IPv4 address of anybody's choice.
const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');
for (const [network, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  reserved.addSubnet(network, prefix, 'ipv6');

/** Whether an IP address is one anybody may be asked to send to: no loopback, private, link-local, cloud metadata or test network. */
export function isPublicAddress(address: string): boolean {
  const plain = address.replace(/%.*$/, '');
  if (isIPv4(plain)) return !reserved.check(plain, 'ipv4');
  if (isIP(plain) !== 6) return false;
  return globalUnicast.check(plain, 'ipv6') && !reserved.check(plain, 'ipv6');
}
