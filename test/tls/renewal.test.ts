/** Files of TLS in use: what is renewed, what stays, and what an operator is told. */
import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TlsFiles } from '../../proxy/tls/tls-files.ts';
import { documentOf, startServer, until } from '../node/harness.ts';
import { Authority, type Issued } from './authority.ts';
import { dial, pairs, startEdge, yamlOf } from './edge.ts';

const DAY_MS = 24 * 3_600_000;
const MINUTE_MS = 60_000;
const SHOP = { names: ['DNS:shop.example.com'], days: 30 };
const MAIL = { names: ['DNS:mail.example.com'], days: 30 };
const NOBODY = 65_534;

let authority: Authority;

beforeAll(() => {
  authority = new Authority();
  // For whoever is nobody.
  chmodSync(authority.folder, 0o755);
});
afterAll(() => authority.remove());

const tlsOf = (words: string, more = '') => yamlOf(8443, { tls: `{ certificates: [${words}]${more} }`, server: 1 });

/** In use, and looked at when the test says so. */
function inUse(text: string) {
  // Certificates that are made meanwhile are good from now on.
  let now = Date.now() + MINUTE_MS;
  const said: string[] = [];
  const changes: string[] = [];
  const events = {
    changed: (whose: readonly string[]) => changes.push(...whose),
    trouble: (_: string, message: string) => said.push(message),
  };
  const files = new TlsFiles(events, () => now, null);
  const document = documentOf(text);
  const wanted = files.want(document);
  expect(wanted.problems).toEqual([]);
  wanted.take();
  files.settle(document);
  return {
    files,
    document,
    said,
    changes,
    /** Twice: what looks different at each look is still being written. */
    look: () => {
      files.look();
      files.look();
    },
    troubles: () => [...files.troubles()],
    /** Of each certificate in use, how many days it holds. */
    days: () => files.certificates().map(({ notAfter }) => Math.round((notAfter - now) / DAY_MS)),
    plan: () =>
      files.application(document.applications[0]!) as Exclude<ReturnType<TlsFiles['application']>, { kind: 'passthrough' } | null>,
    wait: (milliseconds: number) => (now += milliseconds),
  };
}

function put(old: Issued, fresh: Issued): void {
  renameSync(fresh.certificate, old.certificate);
  renameSync(fresh.key, old.key);
}

describe('certificates', () => {
  it('are in trouble from two weeks before their end on, with no file touched, and that is said once', () => {
    const { troubles, wait, said, files } = inUse(tlsOf(pairs(authority.issue(SHOP))));
    expect(troubles()).toEqual([]);
    wait(15 * DAY_MS);
    expect(troubles()).toEqual([]);
    wait(2 * DAY_MS);
    expect(troubles()).toEqual([['application shop, shop.example.com', expect.stringMatching(/ends at .*Renew it/)]]);
    wait(14 * DAY_MS);
    expect(troubles()).toEqual([['application shop, shop.example.com', expect.stringMatching(/ended at .*Renew it/)]]);
    for (let i = 0; i < 3; i++) files.look();
    expect(said).toEqual([expect.stringMatching(/The certificate of shop\.example\.com for application shop ended at/)]);
  });

  it('are in trouble before they are good, and no longer then', () => {
    const { troubles, wait } = inUse(tlsOf(pairs(authority.issue({ ...SHOP, days: 300 }))));
    wait(-MINUTE_MS * 10);
    expect(troubles()).toEqual([
      [
        'application shop, certificate for shop.example.com',
        expect.stringMatching(/is good from .* on only\. Look at the clock of this machine/),
      ],
    ]);
    wait(MINUTE_MS * 10);
    expect(troubles()).toEqual([]);
  });

  it('are in trouble while they cannot be read again, and no longer once what was there is back', () => {
    const issued = authority.issue(SHOP);
    const { files, said, troubles, look, changes } = inUse(tlsOf(pairs(issued)));
    renameSync(issued.certificate, `${issued.certificate}.away`);
    look();
    look();
    expect(said).toEqual([expect.stringMatching(/cannot be read \(ENOENT\).*What was read before stays in use/)]);
    expect(troubles()).toEqual([
      ['application shop, files', expect.stringMatching(/no good: .*\(ENOENT\).*What was read before stays in use/)],
    ]);
    renameSync(`${issued.certificate}.away`, issued.certificate);
    look();
    expect([troubles(), changes, files.failures]).toEqual([[], [], 1]);
  });

  it('are left alone while they look different at each look, and tried once as they are then', () => {
    const issued = authority.issue(SHOP);
    const { files, said } = inUse(tlsOf(pairs(issued)));
    for (const part of ['-', '--', '---']) {
      writeFileSync(issued.certificate, part);
      files.look();
    }
    expect(said).toEqual([]);
    for (let i = 0; i < 3; i++) files.look();
    expect(said).toEqual([expect.stringContaining('holds no certificate in PEM')]);
    expect(files.failures).toBe(1);
  });

  it('that were unreadable are read once they have been made readable, though nothing else has changed', () => {
    const issued = authority.issue(SHOP);
    const { days, said, look } = inUse(tlsOf(pairs(issued)));
    const fresh = authority.issue({ ...SHOP, days: 60 });
    chmodSync(fresh.key, 0);
    put(issued, fresh);
    chmodSync(issued.certificate, 0o644);
    asNobody(look);
    expect(said).toEqual([expect.stringMatching(/\(EACCES\).*must be able to read/)]);
    chmodSync(issued.key, 0o644);
    asNobody(look);
    expect(days()).toEqual([60]);
  });

  it('that are renewed are not held back by others of the same application that are no good', () => {
    const [shop, mail] = [authority.issue(SHOP), authority.issue(MAIL)];
    const { days, said, look, changes, plan } = inUse(tlsOf(pairs(shop, mail)));
    put(shop, authority.issue({ ...SHOP, days: 60 }));
    writeFileSync(mail.key, 'half a key');
    look();
    expect(days()).toEqual([60, 30]);
    expect(plan().certificates.map(({ names }) => names)).toEqual([['shop.example.com'], ['mail.example.com']]);
    expect([changes, said]).toEqual([['application shop'], [expect.stringMatching(/holds no private key.*stays in use in their place/)]]);
  });

  it('of which two have one name are in trouble each', () => {
    const [first, second] = [authority.issue({ ...SHOP, days: 5 }), authority.issue({ ...SHOP, kind: 'rsa', days: 6 })];
    const { troubles } = inUse(tlsOf(pairs(first, second)));
    expect(troubles().map(([subject]) => subject)).toEqual([
      'application shop, shop.example.com',
      'application shop, shop.example.com (2)',
    ]);
  });

  it('that are missing are looked for, and nothing else is read meanwhile', () => {
    const issued = authority.issue(SHOP);
    const { files, look } = inUse(tlsOf(pairs(issued)));
    renameSync(issued.key, `${issued.key}.away`);
    look();
    // A reading would begin anew, and fail anew.
    writeFileSync(issued.certificate, 'noise');
    renameSync(`${issued.key}.away`, issued.key);
    files.look();
    expect(files.failures).toBe(1);
    files.look();
    expect(files.failures).toBe(2);
  });

  it('that lose a name with their renewal are taken, and that is said', () => {
    const issued = authority.issue({ ...SHOP, names: ['DNS:shop.example.com', 'DNS:www.example.com'] });
    const { days, said, look } = inUse(tlsOf(pairs(issued)));
    put(issued, authority.issue({ ...SHOP, days: 60 }));
    look();
    expect(days()).toEqual([60]);
    expect(said).toEqual([
      expect.stringMatching(/^After their renewal the certificates of application shop no longer have www\.example\.com\. /),
    ]);
  });

  it('that only a dry run has looked at, or an apply that was refused, are renewed all the same', () => {
    const issued = authority.issue(SHOP);
    const { files, document, days, look, changes } = inUse(tlsOf(pairs(issued)));
    put(issued, authority.issue({ ...SHOP, days: 60 }));
    expect(files.want(document).problems).toEqual([]);
    const untake = files.want(document).take();
    untake();
    expect(days()).toEqual([30]);
    look();
    expect([days(), changes]).toEqual([[60], ['application shop']]);
  });

  it('are served anew though a dry run came right after they were renewed', async () => {
    const server = await startServer((socket) => socket.end());
    const issued = authority.issue({ ...SHOP, subject: '/CN=before' });
    const words = { tls: `{ certificates: [${pairs(issued)}] }`, server: server.port };
    const edge = await startEdge(words);
    put(issued, authority.issue({ ...SHOP, subject: '/CN=after' }));
    expect(await edge.at.node.prepare(documentOf(yamlOf(edge.port, words)))).toMatchObject({ ok: true });
    await until(async () => {
      const socket = await dial(edge.port, authority);
      const { CN } = socket.getPeerCertificate().subject;
      socket.destroy();
      return CN === 'after';
    });
    await edge.at.stop();
    await server.close();
  });
});

describe('a document that is applied', () => {
  it('is not refused for files of a section that is in force as it stands: what was read stays, and is told', () => {
    const issued = authority.issue(SHOP);
    const { files, document, days, troubles } = inUse(tlsOf(pairs(issued)));
    writeFileSync(issued.certificate, 'half');
    const wanted = files.want(document);
    expect(wanted.problems).toEqual([]);
    wanted.take();
    files.settle(document);
    expect(days()).toEqual([30]);
    expect(troubles()).toEqual([['application shop, files', expect.stringMatching(/holds no certificate/)]]);
  });

  it('is refused for files of a section that is new', () => {
    const { files } = inUse(tlsOf(pairs(authority.issue(SHOP))));
    const other = authority.issue(SHOP);
    writeFileSync(other.key, 'half');
    expect(files.want(documentOf(tlsOf(pairs(other)))).problems).toEqual([expect.stringMatching(/holds no private key/)]);
  });
});

describe('revocation lists', () => {
  const withList = (issued: Issued, list: string) => tlsOf(pairs(issued), `, clients: { ca: ${authority.ca}, crl: ${list} }`);

  it('are in trouble before their end and from then on, with no file touched', () => {
    const { files, troubles, wait } = inUse(withList(authority.issue({ ...SHOP, days: 300 }), authority.revoke()));
    expect(files.revocations()).toEqual([{ application: 'shop', issuer: 'Test Authority', nextUpdate: expect.any(Number) }]);
    wait(20 * DAY_MS);
    expect(troubles()).toEqual([]);
    wait(4 * DAY_MS);
    const subject = 'application shop, revocation list of Test Authority';
    expect(troubles()).toEqual([[subject, expect.stringMatching(/ends at .* every client of it is refused\. Renew it/)]]);
    wait(7 * DAY_MS);
    expect(troubles()).toEqual([[subject, expect.stringMatching(/ended at /)]]);
  });

  it('that are no good hold no certificate back, and leave the list before them in force', () => {
    const issued = authority.issue(SHOP);
    const list = authority.revoke();
    const { days, plan, look, said } = inUse(withList(issued, list));
    const crl = readFileSync(list, 'latin1');
    put(issued, authority.issue({ ...SHOP, days: 60 }));
    writeFileSync(list, 'half a list');
    look();
    expect(days()).toEqual([60]);
    expect(plan().clients?.crl).toBe(crl);
    expect(said).toEqual([expect.stringMatching(/holds no revocation list/)]);
  });
});

describe('OCSP responses', () => {
  const withStaple = ({ certificate, key }: Issued, file: string) => tlsOf(`{ certificate: ${certificate}, key: ${key}, ocsp: ${file} }`);

  it('are in trouble once they have run out, with no file touched', () => {
    const issued = authority.issue(SHOP);
    const { troubles, wait } = inUse(withStaple(issued, authority.staple(issued)));
    expect(troubles()).toEqual([]);
    wait(8 * DAY_MS);
    expect(troubles()).toEqual([
      ['application shop, OCSP response for shop.example.com', expect.stringMatching(/held until .* and is stapled no more/)],
    ]);
  });

  it('that are no good hold no certificate back; one of the certificate before is not kept for it', () => {
    const issued = authority.issue(SHOP);
    const staple = authority.staple(issued);
    const { days, plan, look } = inUse(withStaple(issued, staple));
    const before = plan().certificates[0]!.ocsp;
    writeFileSync(staple, 'half a response');
    look();
    expect(plan().certificates[0]!.ocsp).toEqual(before);
    put(issued, authority.issue({ ...SHOP, days: 60 }));
    look();
    expect([days(), plan().certificates[0]!.ocsp]).toEqual([[60], null]);
  });
});

/** As a user who may read what all may read. Who is not root is one anyway, of files that even their owner may not read. */
function asNobody(run: () => void): void {
  const isRoot = process.getuid!() === 0;
  if (isRoot) process.seteuid!(NOBODY);
  try {
    run();
  } finally {
    if (isRoot) process.seteuid!(0);
  }
}
