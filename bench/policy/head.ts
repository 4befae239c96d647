/** Fields of requests as the data plane looks them up: in the bytes of a head, behind those that browsers and hops before us send. */
import type { RequestFacts } from '../../policy/request.ts';
import { SentFields } from '../../proxy/http/sent-fields.ts';

const TARGET = 'GET /';
const OTHERS = [
  'Host: shop.example',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Accept-Language: en-US,en;q=0.5',
  'Accept-Encoding: gzip, deflate, br',
  'Cookie: session=0123456789abcdef0123456789abcdef',
  'X-Forwarded-For: 10.1.2.3',
  'X-Forwarded-Proto: https',
];

export function headWith(name: string, value: string): Buffer {
  return Buffer.from([`${TARGET} HTTP/1.1`, ...OTHERS, `${name}: ${value}`, '', ''].join('\r\n'), 'latin1');
}

/** A request as it comes to be judged, its fields not looked at yet. */
export function withHead(request: RequestFacts | null, head: Buffer | undefined): RequestFacts | null {
  if (request?.kind !== 'http' || head === undefined) return request;
  const { kind, method, host, path } = request;
  return { kind, method, host, path, headers: new SentFields(head, TARGET.length) };
}
