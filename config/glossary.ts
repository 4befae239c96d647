/** What the reference of the file says before its keys: how values are written, and what the words mean. */

export const VALUES = `## How values are written

- **duration**: a whole number and its unit, \`250ms\`, \`2s\`, \`5m\`, \`12h\`, \`7d\`.
- **size**: \`512B\`, \`64KiB\`, \`1MiB\`, \`2GiB\` (powers of 1024).
- **rate**: so many per \`s\`, \`m\`, \`h\` or \`d\`, \`100/s\`, \`20/m\`; sizes likewise, \`1MiB/s\`.
- **percentage**: \`5%\`. **moment**: \`2026-12-31T18:00:00+01:00\`, always with its offset or \`Z\`.
- **name**: 1 to 64 letters, digits, \`.\`, \`_\` or \`-\`. One that reads as a number or a truth value needs quotes where it is referred to.
- **address:port**: \`127.0.0.1:8080\`, \`"[::1]:8080"\` (quoted, since YAML reads \`[\` as a list), or \`unix:/path\`.
- **variables**: \`\${NAME}\` and \`\${NAME:-default}\` stand for a value of the environment, anywhere in a scalar.
- **paths of files and folders** that do not begin with \`/\` are relative to the working directory of the process, not to the file that names them:
  \`./state\` is where \`bulkhead run\` was started, and under the systemd unit \`/var/lib/bulkhead/state\`. The file itself may be a folder of \`*.yaml\`,
  merged by key.
- \`process:\` is read once at start; a change of all else is applied to the running node by SIGHUP or \`bulkhead apply\`, whole or not at all.
`;

export const GLOSSARY = `## Words

- **VIP**: an address and port, or a unix socket, where clients connect. **application**: a micro-segment, its VIPs, rules and pool.
- **flow**: one client connection; in \`mode: http\` one request. **verdict**: allow or deny. **receipt**: the id of a decided flow, the same in the
  denial, the journal, the log and \`bulkhead explain\`.
- **segment**: a named set of sources. **source**: where a flow comes from, an address and whatever identities it has proved.
- **lane**: one of three sets of addresses that bound what Bulkhead does whatever the rules say: *inbound*, where VIPs may be bound; *outbound*, where
  servers may be dialled; *cluster*, sources between nodes.
- **cluster lane**: flows from sources in \`networks.cluster\` are always allowed: no rule and no quarantine may cut them. It is empty unless written.
- **guardrail**, **baseline**: rules for every application, before and after its own. What nothing allows is denied by \`default\`.
- **shadow rule**: one that is counted and not enforced. **enforcement: observe**: a whole application of that kind; its denials are *would deny*.
- **generation**: the number of the policy in force in this process; it grows with every change. **version**: what was in force, kept in the state folder
  with who changed it; \`bulkhead versions\` lists them.
- **revoke**: to end a flow that a changed policy no longer allows. **eject**: to give a server no new flows for a while after failures in a row.
- **witness**: one flow that shows a difference: \`bulkhead diff\` gives one for each group of flows whose verdict changes, and \`explain\` confirms it.
- **atom**: the coarsest part of the address space that the prefixes of the file can tell apart; what is allowed of one address
  in it is allowed of all. The policy is compiled to atoms, so that their number tells how finely a file cuts.
- **state folder**: where versions, the audit and the journal are kept (\`process.state\`, by default \`./state\`). **journal**: the records of ended flows.
- **limits** count for each source address by default (\`per: source\`); an IPv6 source counts as its /64, here and under \`connections-per-source\`.
`;
